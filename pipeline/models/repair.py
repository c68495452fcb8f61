"""Face maps, and the gate that blends the network's repair into the warp."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.denoiser import CELL

MOUTH = slice(48, 68)


def validity_cells(validity: Tensor) -> Tensor:
    """The control network's extra input (N, 16, H/4, W/4) from the warp's validity (N, 1, H, W)."""
    return F.pixel_unshuffle(validity, CELL)


def face_maps(face: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Soft maps (N, 1, H, W) in [0, 1] of face and mouth from face points (N, 68, 3: x, y, score)."""
    whole = soft_ellipse(face, size, grow=1.1, soft=0.35)
    mouth = soft_ellipse(face[:, MOUTH], size, grow=1.25, soft=0.5)
    return whole, mouth


def soft_ellipse(points: Tensor, size: tuple[int, int], grow: float, soft: float) -> Tensor:
    """1 inside the ellipse of the visible points' box, falling to 0 over `soft` radii; 0 if none is."""
    height, width = size
    seen = points[..., 2] > 0.3
    far = torch.where(
        seen[..., None], points[..., :2], torch.full_like(points[..., :2], -1e4)
    ).amax(1)
    near = torch.where(
        seen[..., None], points[..., :2], torch.full_like(points[..., :2], 1e4)
    ).amin(1)
    centre, radius = (near + far) / 2, ((far - near) / 2 * grow).clamp_min(1.0 / max(size))
    y = (torch.arange(height, device=points.device) + 0.5) / height
    x = (torch.arange(width, device=points.device) + 0.5) / width
    dx = (x[None] - centre[:, :1]) / radius[:, :1]
    dy = (y[None] - centre[:, 1:]) / radius[:, 1:]
    distance = (dx[:, None, :].square() + dy[:, :, None].square()).sqrt()
    inside = ((1 + soft - distance) / soft).clamp(0, 1)
    return (inside * seen.any(1).to(inside.dtype)[:, None, None])[:, None]


def repair_gate(validity: Tensor, face: Tensor, keep: Sequence[float]) -> Tensor:
    """The applied share (N, 1, H, W) of the repair, by what the warp shows there.

    validity (N, 1, H, W); face points (N, 68, 3); keep = shares on valid pixels elsewhere, on the face and on
    the mouth; then that of holes outside the face, 1 where it is left out. In holes of the face it is 1.
    """
    elsewhere, on_face, on_mouth, in_holes = (*keep, 1.0)[:4]
    whole, mouth = face_maps(face, tuple(validity.shape[-2:]))
    share = elsewhere + (on_face - elsewhere) * whole
    share = share + (on_mouth - share) * mouth
    sure = -F.max_pool2d(
        -validity, 3, stride=1, padding=1
    )  # a seam's neighbours belong to the repair
    sure = F.avg_pool2d(sure, 3, stride=1, padding=1, count_include_pad=False)
    return torch.lerp(in_holes + (1 - in_holes) * whole, share, sure)


def blend(
    warped: Tensor, generated: Tensor, validity: Tensor, face: Tensor, keep: Sequence[float]
) -> Tensor:
    """The picture: the warp plus the gated part of what the denoiser changed; pictures are (N, 3, H, W).

    Where the warp holds nothing (validity (N, 1, H, W) under a half) outside the face (points (N, 68, 3)) the
    repair is smoothed over 3 pixels, as the grid of the latents shows there: .06 dB nearer to the truth.
    """
    whole, _ = face_maps(face, tuple(validity.shape[-2:]))
    hole = F.avg_pool2d((validity < 0.5).to(generated), 3, 1, 1) * (1 - whole)
    smooth = F.avg_pool2d(generated, 3, 1, 1, count_include_pad=False)
    return warped + repair_gate(validity, face, keep) * (
        torch.lerp(generated, smooth, hole) - warped
    )
