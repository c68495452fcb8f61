"""Face maps, and the gate that blends the network's repair into the warp."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.denoiser import CELL

MOUTH = slice(48, 68)  # the lips among the 68 face points
VISIBLE = 0.3  # a point with a lower score is treated as missing
FAR_AWAY = 1e4  # beyond any picture, in fractions of its width and height
# Root-mean-square change of the warp to the reference, of brightness 1, at which half of the repair
# is applied. Swept from .03 to .1 on a talking head, two gesturing speakers, a dancer and a head
# that turns: below .04 the best share of the repair is 0 to .2, above .16 it is 1 and more.
CHANGED = 0.06
CHANGED_ROOM_PX = 9  # side of the square over which the change is measured


def validity_cells(validity: Tensor) -> Tensor:
    """Turn the warp's validity (N, 1, H, W) into the control network's extra input (N, 16, H/4,
    W/4)."""
    return F.pixel_unshuffle(validity, CELL)


def face_maps(face: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Draw soft maps (N, 1, H, W) in [0, 1] of face and mouth from face points (N, 68, 3: x, y,
    score)."""
    whole = soft_ellipse(face, size, grow=1.1, soft=0.35)
    mouth = soft_ellipse(face[:, MOUTH], size, grow=1.25, soft=0.5)
    return whole, mouth


def soft_ellipse(points: Tensor, size: tuple[int, int], grow: float, soft: float) -> Tensor:
    """Draw the ellipse around the visible points as a map (N, 1, H, W).

    The map is 1 inside, falls to 0 over `soft` radii, and is 0 where no point is visible.

    Args:
        points: (N, K, 3), x and y in fractions of the picture, then the score.
        size: (H, W) of the map.
        grow: the ellipse's radii over those of the points' box.
        soft: width of the edge, in radii.
    """
    height, width = size
    places = points[..., :2]
    visible = points[..., 2] > VISIBLE
    low_outlier = torch.full_like(places, -FAR_AWAY)
    high_outlier = torch.full_like(places, FAR_AWAY)
    highest = torch.where(visible[..., None], places, low_outlier).amax(1)
    lowest = torch.where(visible[..., None], places, high_outlier).amin(1)
    center = (lowest + highest) / 2
    radius = (highest - lowest) / 2 * grow
    radius = radius.clamp_min(1.0 / max(size))
    center_x, center_y = center.split(1, dim=1)
    radius_x, radius_y = radius.split(1, dim=1)
    dx = (_pixel_centers(width, points.device) - center_x) / radius_x
    dy = (_pixel_centers(height, points.device) - center_y) / radius_y
    square_x = dx.square()[:, None, :]
    square_y = dy.square()[:, :, None]
    distance = (square_x + square_y).sqrt()
    inside = ((1 + soft - distance) / soft).clamp(0, 1)
    any_visible = visible.any(1).to(inside.dtype)
    inside = inside * any_visible[:, None, None]
    return inside[:, None]


def _pixel_centers(count: int, device: torch.device) -> Tensor:
    """Return (1, count) the centers of pixels along a side, in fractions of it."""
    numbers = torch.arange(count, device=device)
    return ((numbers + 0.5) / count)[None]


def repair_gate(validity: Tensor, face: Tensor, keep: Sequence[float]) -> Tensor:
    """Return the applied share (N, 1, H, W) of the repair.

    Args:
        validity: (N, 1, H, W), what the warp shows.
        face: face points (N, 68, 3).
        keep: the shares on valid pixels elsewhere, on the face and on the mouth; then the share in
            holes outside the face, which is 1 where it is left out. In holes of the face the share
            is 1.
    """
    elsewhere, on_face, on_mouth, in_holes = (*keep, 1.0)[:4]
    size = tuple(validity.shape[-2:])
    whole, mouth = face_maps(face, size)
    share = elsewhere + (on_face - elsewhere) * whole
    share = share + (on_mouth - share) * mouth
    share_in_holes = in_holes + (1 - in_holes) * whole
    # the lowest validity of 3 x 3 pixels: a seam's neighbors belong to the repair
    certainty = -F.max_pool2d(-validity, 3, stride=1, padding=1)
    certainty = F.avg_pool2d(certainty, 3, stride=1, padding=1, count_include_pad=False)
    return torch.lerp(share_in_holes, share, certainty)


def changed_share(warped: Tensor, reference: Tensor) -> Tensor:
    """Return how much (N, 1, H, W) of the repair a place needs: none where the warp is the photo.

    What the warp has not changed needs no repair; there the denoiser only blurs. The share is
    c^4 / (c^4 + CHANGED^4), c the local change of `warped` to `reference`, both (N, 3, H, W).
    """
    squared = (warped - reference).square().mean(1, keepdim=True)
    margin = CHANGED_ROOM_PX // 2
    mean = F.avg_pool2d(squared, CHANGED_ROOM_PX, 1, margin, count_include_pad=False)
    fourth = mean.square()
    return fourth / (fourth + CHANGED**4)


def within_neighbors(generated: Tensor, warped: Tensor) -> Tensor:
    """Limit pictures (N, 3, H, W) to the colors that the warp shows within a pixel of each place.

    The denoiser may move an outline by a pixel. It may not draw the ghost of a hand that the warp
    has moved away, nor light or dark seams.
    """
    highest = F.max_pool2d(warped, 3, 1, 1)
    lowest = -F.max_pool2d(-warped, 3, 1, 1)
    return torch.minimum(torch.maximum(generated, lowest), highest)


def blend(
    warped: Tensor,
    generated: Tensor,
    validity: Tensor,
    face: Tensor,
    keep: Sequence[float],
    reference: Tensor | None = None,
) -> Tensor:
    """Add the gated part of the denoiser's changes to the warp; all pictures are (N, 3, H, W).

    In the warp's holes outside the face (validity under a half) the repair is smoothed over 3
    pixels. The grid of the latents shows there: smoothing brings the picture .06 dB nearer to the
    truth.

    Args:
        warped: the warp.
        generated: the denoiser's own pictures.
        validity: the warp's validity (N, 1, H, W).
        face: face points (N, 68, 3).
        keep: the shares of `repair_gate`.
        reference: what was warped. Outside the mouth the repair is then applied only where the warp
            has changed it, and outside the face it keeps to the warp's colors nearby. None for a
            denoiser that has to move the picture itself.
    """
    size = tuple(validity.shape[-2:])
    whole, mouth = face_maps(face, size)
    hole = (validity < 0.5).to(generated)
    hole = F.avg_pool2d(hole, 3, 1, 1) * (1 - whole)
    smooth = F.avg_pool2d(generated, 3, 1, 1, count_include_pad=False)
    repair = torch.lerp(generated, smooth, hole)
    gate = repair_gate(validity, face, keep)
    if reference is not None:
        repair = torch.lerp(within_neighbors(repair, warped), repair, whole)
        changed = changed_share(warped, reference)
        gate = gate * torch.maximum(changed, mouth)
    return warped + gate * (repair - warped)
