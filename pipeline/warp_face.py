"""The face under the warp: exact radial basis interpolation of the 68 points, two-sided at the lips, and the mouth.

Above the lip line the upper lip's points count, below it the lower lip's; between open lips the two fields are
mixed. So a mouth that is open in the reference image can close without leaving its teeth on the lips.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .warp_geometry import Skeleton, apply

UPPER_LIP, LOWER_LIP = (49, 50, 51, 52, 53, 61, 62, 63), (55, 56, 57, 58, 59, 65, 66, 67)
INNER_TOP, INNER_BOTTOM = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
WIDE, NARROW = 0.32, 0.10  # kernel widths in head heights: the head's turn, then single features
WIDE_RIDGE, RIDGE = 0.3, 5e-3  # the second is small enough to be exact to 1/200 of a residual
FREE = 1e3  # ridge of a point that does not count
MOUTH_DARK, TEETH = 0.28, 0.30  # mouth interior in lip colours; teeth strip in shares of the opening
TEETH_COLOUR = (0.87, 0.84, 0.80)


@dataclass(frozen=True)
class Mouth:
    """Signed depths on the flow grid (N,2,h,w), metric: below the upper inner lip, above the lower; paint (N,)."""

    depth: Tensor
    paint: Tensor
    teeth: Tensor
    outside: Tensor


def _gauss(points: Tensor, width: Tensor) -> Tensor:
    """(N,K,K) Gaussian kernel between points (N,K,2)."""
    return torch.exp(-torch.cdist(points, points).square() / (2 * width[:, None, None].square()))


def _solve(kernel: Tensor, ridge: Tensor, values: Tensor) -> Tensor:
    """Coefficients (N,K,2) of the regularised interpolation."""
    factor = torch.linalg.cholesky(kernel + torch.diag_embed(ridge))
    return torch.cholesky_solve(values, factor)


def _field(coefficients: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """(N,2,h,w) sum of separable Gaussians: tables are (N,K,w) and (N,K,h)."""
    across, down = tables
    rows = coefficients.transpose(1, 2)[:, :, :, None] * down[:, None]  # N,2,K,h
    return rows.transpose(2, 3) @ across[:, None]


def _tables(points: Tensor, nodes: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    scale = 2 * width[:, None, None].square()
    x, y = nodes[0, 0], nodes[1, :, 0]
    return tuple(torch.exp(-(v - points[..., i, None]).square() / scale) for i, v in ((0, x), (1, y)))


def residual(
    head: Tensor, ratio: Tensor, reference: Skeleton, target: Skeleton, nodes: Tensor, unit: Tensor
) -> Tensor:
    """(N,4,h,w) displacement in the reference beyond the head's similarity: 2 for above, 2 for below the lips.

    head (N,2,3) maps target to reference; ratio (N,) is target size over reference size; unit (N,) the
    reference's head height. Where a frame has no face the result is zero.
    """
    seen = (reference.face_seen & target.face_seen).float()
    seen = seen * (seen.mean(-1, keepdim=True) > 0.5)
    placed = apply(head, target.face)
    rest = (reference.face - placed) * seen[..., None]
    absent = (1 - seen) * FREE
    kernel = _gauss(placed, WIDE * unit)
    wide = _solve(kernel, WIDE_RIDGE + absent, rest)
    rest = rest - (kernel @ wide) * seen[..., None]
    kernel = _gauss(placed, NARROW * unit)
    target_unit = unit * ratio
    tables = _tables(target.face, nodes, NARROW * target_unit)
    base = _field(wide, _tables(target.face, nodes, WIDE * target_unit))
    halves = []
    for dropped in (LOWER_LIP, UPPER_LIP):
        skip = absent.clone()
        skip[:, dropped] = FREE
        halves.append(base + _field(_solve(kernel, RIDGE + skip, rest), tables))
    return torch.cat(halves, 1)


def _curve(t: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear curve through (knots, values) (N,5) at t (N,h,w), level outside."""
    result = values[:, 0, None, None].expand_as(t)
    for k in range(knots.shape[1] - 1):
        a, b = knots[:, k, None, None], knots[:, k + 1, None, None]
        rise = (values[:, k + 1] - values[:, k])[:, None, None]
        result = result + rise * ((t - a) / (b - a).clamp_min(1e-5)).clamp(0, 1)
    return result


def _opening(face: Tensor) -> Tensor:
    """(N,) mean distance of the inner lips."""
    return (face[:, INNER_TOP[1:4]] - face[:, INNER_BOTTOM[1:4]]).norm(dim=-1).mean(-1)


def mouth(reference: Skeleton, target: Skeleton, nodes: Tensor, unit: Tensor, ratio: Tensor) -> Mouth:
    """The target's mouth opening on the flow grid, and how much of it is beyond what the reference shows."""
    face = target.face
    left, right = face[:, 60], face[:, 64]
    axis = torch.nn.functional.normalize(right - left, dim=-1)
    normal = torch.stack([-axis[:, 1], axis[:, 0]], -1)  # towards the chin

    def local(points: Tensor) -> tuple[Tensor, Tensor]:
        away = points - left[:, None]
        return (away * axis[:, None]).sum(-1), (away * normal[:, None]).sum(-1)

    x, y = nodes[0] - left[:, 0, None, None], nodes[1] - left[:, 1, None, None]
    t = x * axis[:, 0, None, None] + y * axis[:, 1, None, None]
    n = x * normal[:, 0, None, None] + y * normal[:, 1, None, None]
    top, bottom = _curve(t, *local(face[:, INNER_TOP])), _curve(t, *local(face[:, INNER_BOTTOM]))
    bottom = torch.maximum(bottom, top)  # crossed lips are shut
    size = unit * ratio
    opening, before = _opening(face) / size, _opening(reference.face) / unit
    seen = (target.face_seen & reference.face_seen).float().mean(-1) > 0.5
    paint = ((opening - 1.6 * before - 0.004) / 0.02).clamp(0, 1) * seen
    width = (right - left).norm(dim=-1)[:, None, None]
    outside = torch.relu(t - width) + torch.relu(-t)
    teeth = (TEETH * opening).clamp_max(0.035) * size
    return Mouth(torch.stack([n - top, bottom - n], 1), paint, teeth, outside[:, None])


def side(depth: Tensor, outside: Tensor, pixel: float) -> Tensor:
    """(N,1,H,W) share of the field below the lips: 0 above, 1 below, a ramp between open lips."""
    above, below = depth.split(1, 1)
    gap = (above + below).clamp_min(pixel) + outside
    return (above / gap + 0.5 * (1 - (above + below).clamp(0, pixel) / pixel)).clamp(0, 1)


def lips_colour(image: Tensor, face: Tensor, aspect: float) -> Tensor:
    """(B,3) mean colour of the reference's lips, sampled between their outer and inner points."""
    outer, inner = (49, 50, 51, 52, 53, 55, 56, 57, 58, 59), (61, 61, 62, 63, 63, 65, 65, 66, 67, 67)
    places = (face[:, outer] + face[:, inner]) / 2
    fractions = places / places.new_tensor([aspect, 1.0]) * 2 - 1
    picked = torch.nn.functional.grid_sample(
        image, fractions[:, :, None], align_corners=False, padding_mode="border"
    )
    return picked.mean((2, 3))


def paint(
    picture: Tensor, depth: Tensor, outside: Tensor, inside: Mouth, colour: Tensor, pixel: float
) -> tuple[Tensor, Tensor]:
    """The picture (N,3,H,W) with the mouth's interior and upper teeth painted where the lips newly open; and where."""
    above, below = depth.split(1, 1)
    soft = lambda d: (d / pixel + 0.5).clamp(0, 1)  # noqa: E731
    open_here = ((above + below) / pixel).clamp(0, 1)  # no line where the lips touch
    amount = open_here * soft(torch.minimum(above, below) - outside) * inside.paint[:, None, None, None]
    teeth = soft(inside.teeth[:, None, None, None] - above)
    dark = (colour * MOUTH_DARK)[:, :, None, None]
    light = colour.new_tensor(TEETH_COLOUR)[None, :, None, None] * (
        0.35 + 0.65 * colour.amax(1)[:, None, None, None]
    )
    interior = dark + (light - dark) * teeth * 0.9
    return picture + (interior - picture) * amount, amount
