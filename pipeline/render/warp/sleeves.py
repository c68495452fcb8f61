"""Lend pixels of the upper arm to a forearm that points at the camera in the reference.

Such a forearm shows too little of itself to be drawn at length. It borrows where both have the same
colors, as under a sleeve or without one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.geometry import ARMS, LIMB_RADIUS, Skeleton, arm_bones, bone, has_face
from pipeline.render.warp.matte import features

SHORT = 0.55  # of the upper arm's length in the reference: below it a forearm is foreshortened
LIKE = 0.2  # distance of mean colours (`matte.features`) up to which they are one cloth or one skin
# shares of the upper arm from the elbow on: before lies the forearm, beyond the shoulder
LENT = (0.38, 0.85)
SKIN = 0.14  # distance from the nose's colour up to which an arm is bare
NOSE = (27, 28, 29, 30)  # face points
PAIRS = ((0, 2), (1, 3))  # upper arm and forearm in ARMS


@dataclass(frozen=True)
class Sources:
    """Where ARMS' pixels come from: bones (B,4,2,2), start and end in the reference; width (B,4) of
    the part over that of its source."""

    bones: Tensor
    width: Tensor

    def frames(self, rows: Tensor) -> Sources:
        return Sources(self.bones[rows], self.width[rows])


def nose_colour(image: Tensor, pose: Skeleton, aspect: float) -> Tensor:
    """(B,3) `features` of the skin on the nose; NaN, which is like nothing, where no face is
    seen."""
    found = _colours(image, pose.face[:, NOSE], aspect).median(1).values
    return torch.where(has_face(pose)[:, None], found, torch.nan)


def _colours(image: Tensor, points: Tensor, aspect: float) -> Tensor:
    """(B,K,3) features at metric points (B,K,2)."""
    places = (points * image.new_tensor([2 / aspect, 2.0]) - 1)[:, None]
    picked = F.grid_sample(image, places, padding_mode="border", align_corners=False)
    return features(picked[:, :, 0]).mT


def bare(image: Tensor, pose: Skeleton, skin: Tensor, aspect: float) -> Tensor:
    """(B,4) bool: ARMS whose middle has the `skin`'s colour (B,3): no sleeve is around them."""
    start, end = arm_bones(pose).unbind(2)
    along = torch.stack([start + share * (end - start) for share in (0.3, 0.5, 0.7)], 2)
    limbs = _colours(image, along.flatten(1, 2), aspect).unflatten(1, along.shape[1:3])
    apart = (limbs.median(2).values - skin[:, None]).norm(dim=-1)
    return apart < SKIN


def lendable(pose: Skeleton) -> Tensor:
    """(B,2,2,2) start, at the elbow's end, and end of what upper arms can lend."""
    shoulder, elbow = (pose.body[:, [joints[end] for joints in ARMS[:2]]] for end in (0, 1))
    return torch.stack([elbow + share * (shoulder - elbow) for share in LENT], 2)


def stretches(nodes: Tensor, pose: Skeleton, unit: Tensor) -> tuple[Tensor, Tensor]:
    """(B,2,h,w) each: 1 in what upper arms can lend, round at its ends; in that and the arm above
    it.

    What lies nearer to the elbow is hidden behind a forearm that points at the camera.
    """
    own = []
    inside = []
    for (a, b), ends, radius in zip(
        ARMS[:2], lendable(pose).unbind(1), LIMB_RADIUS[:2], strict=True
    ):
        along, _, _, length = bone(nodes, pose.body[:, a], pose.body[:, b])
        apart = bone(nodes, *ends.unbind(1))[2] / unit[:, None, None] - radius
        inside.append((0.5 - apart / 0.06).clamp(0, 1))
        own.append(torch.where(along > (1 - LENT[0]) * length, inside[-1], 1.0))
    return torch.stack(inside, 1), torch.stack(own, 1)


def lenders(image: Tensor, known: Tensor, alphas: Tensor, pose: Skeleton) -> Tensor:
    """(B,2) bool: the upper arms that lend. known (B,2,H,W): where upper arms and forearms show
    themselves; alphas (B,4+,H,W) of ARMS."""
    length = [(pose.body[:, b] - pose.body[:, a]).norm(dim=-1) for a, b in ARMS]
    areas = [known[:, k // 2] * (alphas[:, k] > 0.5) for k in range(len(ARMS))]
    shown = [area.sum((1, 2)) for area in areas]
    colours = [
        features((image * area[:, None]).sum((2, 3)) / total.clamp_min(1)[:, None])
        for area, total in zip(areas, shown, strict=True)
    ]
    found = []
    for upper, fore in PAIRS:
        like = ((colours[upper] - colours[fore]).norm(dim=-1) < LIKE) & (shown[fore] > 0)
        short = length[fore] < SHORT * length[upper]
        found.append(like & short & (shown[upper] > shown[fore]))
    return torch.stack(found, 1)


def lent(arms: Tensor, lend: Tensor, inside: Tensor, pose: Skeleton) -> tuple[Tensor, Sources]:
    """Arm layers (B,6,5,H,W) = colour, alpha, known, where upper arms (B,2) lend; and the arms'
    sources.

    Lent is what lies `inside` (B,2,H,W). It counts as known where the upper arm is: a denoiser that
    takes it for a hole paints background over it. The upper arm itself is stretched over what it
    does not show.
    """
    bones = arm_bones(pose)
    sources = lendable(pose)
    width = torch.ones_like(bones[:, :, 0, 0])
    layers = list(arms.unbind(1))
    for (upper, fore), use in zip(PAIRS, lend.unbind(1), strict=True):
        bones[:, fore] = torch.where(use[:, None, None], sources[:, upper], bones[:, fore])
        bones[:, upper, 1] = torch.where(use[:, None], sources[:, upper, 0], bones[:, upper, 1])
        width[:, fore] = torch.where(use, LIMB_RADIUS[fore] / LIMB_RADIUS[upper], 1.0)
        copy = layers[upper] * inside[:, upper, None]
        layers[fore] = torch.where(use[:, None, None, None], copy, layers[fore])
    return torch.stack(layers, 1), Sources(bones, width)
