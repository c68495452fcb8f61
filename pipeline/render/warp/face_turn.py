"""Faces that would fold: they are held towards the head that moves as one piece.

A face that turns far hides a cheek, or shows one that the photo hides. Its points come to lie on
each other or change sides, and a field through them tears. So a coarse mesh spans the face. Where a
triangle of it would be flipped, crushed or stretched, the tilt of the skull is held first, then the
points' own way: as far as it takes, for the whole face at once. Held one by one, brows and nose
would bend. Lips and lids stay as far apart as the target says, so that speech is seen on any face.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import Delaunay
from torch import Tensor

from pipeline.motion.average_face import average_face
from pipeline.render.warp.geometry import Skeleton
from pipeline.render.warp.head_turn import HeadTurn
from pipeline.values import FACE

# The 68 points in groups whose middles are the mesh's knots: jaw, eyes with their brows, nose,
# mouth. Single points are too near to each other: their triangles are noise.
KNOTS = (
    (0, 1),
    (2, 3, 4),
    (5, 6),
    (7, 8, 9),
    (10, 11),
    (12, 13, 14),
    (15, 16),
    (*range(17, 22), *range(36, 42)),
    (*range(22, 27), *range(42, 48)),
    (27, 28),
    (29, 30),
    range(31, 36),
    range(48, 68),
)
SLIM_AREA = 2e-3  # square head heights: smaller triangles of the average face are left out
SPARE_AREA = 5e-4  # square head heights that every triangle gets on top, against noise
# A triangle's area over that in the photo, of a head of one size.
LEAST_AREA = 0.25
MOST_AREA = 2.0
TILT_ROUNDS = 2
HALVINGS = 3  # of each round
WAY_ROUNDS = 6
INVERSE_ROUNDS = 8
INVERSE_STEP = 0.8  # of a step that would be exact for a head that does not tilt
TINY = 1e-6
UPPER = (61, 62, 63, 49, 50, 51, 52, 53, 37, 38, 43, 44)
LOWER = (67, 66, 65, 59, 58, 57, 56, 55, 41, 40, 47, 46)
LOWER_LIP = (55, 56, 57, 58, 59)
# Jaw points that go with the lower lip, and how far.
CHIN = tuple(range(4, 13))
CHIN_SHARES = (0.2, 0.45, 0.7, 0.9, 1.0, 0.9, 0.7, 0.45, 0.2)

Stretch = Callable[[Tensor], Tensor]  # face (N,68,2) -> areas (N,F) over those in the photo


def hold_turn(
    turn: HeadTurn, reference: Skeleton, target: Skeleton, unit: Tensor
) -> tuple[HeadTurn, Tensor]:
    """Return the turn of N heads and the target's face (N,68,2), held as far as the face folds.

    Args:
        turn: From the reference to the target.
        reference: N times the person as in the photo.
        target: The N poses.
        unit: The reference's head height (N,).
    """
    mesh = _mesh(unit.device)
    size = unit * turn.ratio
    spare = SPARE_AREA * size.square()[:, None]
    flat = replace(turn, tilt=torch.zeros_like(turn.tilt))
    whole = mesh.areas(_moved(flat, reference.face, 0)) + spare

    def stretch(face: Tensor) -> Tensor:
        return (mesh.areas(face) + spare) / whole

    rigid = _moved(turn, reference.face)
    is_whole = _fits(stretch(rigid))
    if not is_whole.all():  # a sync, which most calls end with
        turn = _hold_tilt(turn, reference.face, stretch, is_whole)
        rigid = _moved(turn, reference.face)
    kept = torch.ones_like(unit)[:, None, None]
    at_rest = stretch(rigid)
    for _ in range(WAY_ROUNDS):
        area = stretch(torch.lerp(rigid, target.face, kept))
        kept = kept * _free_share(area, at_rest)[:, None, None]
    face = torch.lerp(rigid, target.face, kept)
    return turn, _speaking(face, target.face)


def _fits(area: Tensor) -> Tensor:
    """Return (...) bool whether no triangle is folded, by areas (...,F) over those in the photo."""
    fits = (area >= LEAST_AREA) & (area <= MOST_AREA)
    return fits.all(-1)


def _hold_tilt(turn: HeadTurn, face: Tensor, stretch: Stretch, is_whole: Tensor) -> HeadTurn:
    """Return the turn with the largest share of its tilt that folds no triangle.

    It is found by bisection, all shares of a round at once. Heads (N,) that are whole at all of
    their tilt keep it.
    """
    low = torch.zeros_like(turn.size)
    step = 1.0
    parts = torch.arange(1, 2**HALVINGS, device=low.device)[:, None]
    for _ in range(TILT_ROUNDS):
        step /= 2**HALVINGS
        shares = low + step * parts
        tried = replace(turn, tilt=turn.tilt * shares[..., None])
        moved = _moved(tried, face)
        fits = _fits(stretch(moved))
        reached = torch.zeros_like(parts[:1]).expand(1, len(low))
        for halving in reversed(range(HALVINGS)):
            further = reached + 2**halving
            reached = torch.where(fits.gather(0, further - 1), further, reached)
        low = low + step * reached[0]
    share = torch.where(is_whole, 1.0, low)
    return replace(turn, tilt=turn.tilt * share[:, None])


def _free_share(area: Tensor, at_rest: Tensor) -> Tensor:
    """Return the share (N,) of its way that a face may keep, as if areas (N,F) grew evenly."""
    excess = area - MOST_AREA
    stretched = excess / (area - at_rest).clamp_min(TINY)
    lack = LEAST_AREA - area
    crushed = lack / (at_rest - area).clamp_min(TINY)
    back = torch.maximum(stretched, crushed)
    return 1 - back.amax(1).clamp(0, 1)


def _moved(turn: HeadTurn, face: Tensor, rounds: int = INVERSE_ROUNDS) -> Tensor:
    """Return where the turn takes places (N,68,2) of the reference; no rounds: without its tilt."""
    linear = torch.linalg.inv(turn.head[..., :2])
    forward = linear.transpose(1, 2)
    shift = turn.head[..., 2]
    places = (face - shift[:, None]) @ forward
    for _ in range(rounds):
        missed = turn.places(places) - face
        places = places - INVERSE_STEP * (missed @ forward)
    return places


def _speaking(face: Tensor, target: Tensor) -> Tensor:
    """Return the face (N,68,2) with its lips and lids as far apart as the target's."""
    apart = target[:, LOWER] - target[:, UPPER]
    spoken = face.clone()
    spoken[:, LOWER] = face[:, UPPER] + apart
    lips = spoken[:, LOWER_LIP] - face[:, LOWER_LIP]
    drop = lips.mean(1, keepdim=True)
    shares = face.new_tensor(CHIN_SHARES)
    spoken[:, CHIN] += drop * shares[:, None]
    return spoken


@dataclass(frozen=True)
class _Mesh:
    """Triangles (F,3) of knots, which are means (13,68) of the face's points."""

    knots: Tensor
    triangles: Tensor

    def areas(self, face: Tensor) -> Tensor:
        """Return the signed areas (...,F) on faces (...,68,2)."""
        corners = (self.knots @ face)[..., self.triangles, :]
        return signed_areas(corners)


def signed_areas(corners: Tensor) -> Tensor:
    """Return the signed areas (...) of triangles (...,3,2)."""
    first, second, third = corners.unbind(-2)
    ax, ay = (second - first).unbind(-1)
    bx, by = (third - first).unbind(-1)
    return (ax * by - ay * bx) / 2


@functools.lru_cache(maxsize=4)
def _mesh(device: torch.device) -> _Mesh:
    """Return the mesh that spans the average face."""
    knots = torch.zeros(len(KNOTS), FACE)
    for row, points in enumerate(KNOTS):
        knots[row, list(points)] = 1 / len(points)
    front = torch.from_numpy(average_face()[:, :2])
    places = knots @ front
    found = Delaunay(places.numpy()).simplices
    triangles = torch.from_numpy(found.astype(np.int64))
    areas = signed_areas(places[triangles])
    triangles = torch.where(areas[:, None] < 0, triangles.flip(1), triangles)
    kept = triangles[areas.abs() > SLIM_AREA]
    return _Mesh(knots.to(device), kept.to(device))
