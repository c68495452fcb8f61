"""The face under the warp: radial basis interpolation of the 68 points, two-sided at lips and lids;
mouth.

Above the lip line the upper lip's points count, below it the lower lip's; between open lips the two
fields are mixed, and so are they at the eyes. So a mouth or an eye that is open in the reference
image can close without leaving teeth on the lips or folding the skin around.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.render.warp.geometry import Skeleton, apply
from pipeline.render.warp.head_turn import HeadTurn

UPPER = (37, 38, 43, 44, 49, 50, 51, 52, 53, 61, 62, 63)  # upper lids and lip
LOWER = (40, 41, 46, 47, 55, 56, 57, 58, 59, 65, 66, 67)
INNER_TOP = (60, 61, 62, 63, 64)
INNER_BOTTOM = (60, 67, 66, 65, 64)
SLITS = (  # upper and lower edge from corner to corner: mouth, eyes
    (INNER_TOP, INNER_BOTTOM),
    ((36, 37, 38, 39), (36, 41, 40, 39)),
    ((42, 43, 44, 45), (42, 47, 46, 45)),
)
JAW_SIDES = ((tuple(range(8)), 36, 0, 48, 5), (tuple(range(9, 17)), 45, 16, 54, 11))
# a cheek narrower than this share of its width in the reference is turned out of sight
FOLDED = 0.35
# kernel widths in head heights: the head's turn, features, lids
WIDE = 0.32
MIDDLE = 0.12
FINE = 0.045
# the last one is exact to 1/200 of what is left
WIDE_RIDGE = 0.3
MIDDLE_RIDGE = 0.1
FINE_RIDGE = 5e-3
FREE = 1e3  # ridge of a point that does not count
# pixels: lips or lids so near to each other are shut; a shut seam's ramp
SEAM = 0.5
SHARP = 0.05
SHUT = 0.25  # share of the lips' thickness that goes out of sight when an open mouth closes
# mouth interior in lip colors; teeth strip in shares of the opening
MOUTH_DARK = 0.28
TEETH = 0.30
TEETH_COLOR = (0.87, 0.84, 0.80)


@dataclass(frozen=True)
class Mouth:
    """Signed depths on the flow grid (N,2,h,w), metric: below the upper inner lip, above the lower;
    outside, paint (N,1,h,w) way past a corner and share to paint; teeth (N,) height of the upper
    teeth."""

    depth: Tensor
    paint: Tensor
    teeth: Tensor
    outside: Tensor


def _gauss(points: Tensor, width: Tensor) -> Tensor:
    """(N,K,K) Gaussian kernel between points (N,K,2).

    The squares are those of differences: `torch.cdist` goes by products from 25 points on and
    loses distances that are small beside the picture.
    """
    apart = points[:, :, None] - points[:, None]
    squares = apart.square().sum(-1)
    return torch.exp(-squares / (2 * width[:, None, None].square()))


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
    x = nodes[0, 0]
    y = nodes[1, :, 0]
    return tuple(
        torch.exp(-(v - points[..., i, None]).square() / scale) for i, v in ((0, x), (1, y))
    )


def residual(
    turn: HeadTurn, reference: Skeleton, target: Skeleton, nodes: Tensor, unit: Tensor
) -> Tensor:
    """(N,4,h,w) displacement in the reference beyond the head's turn: above, then below the lip
    line.

    unit (N,) is the reference's head height. Where a frame has no face the result is zero.
    """
    seen = (reference.face_seen & target.face_seen).float()
    seen = seen * (seen.mean(-1, keepdim=True) > 0.5)
    placed = apply(turn.head, target.face)
    target_unit = unit * turn.ratio
    goal = shut(reference.face, target.face, unit, target_unit)
    rest = (goal - turn.places(target.face)) * seen[..., None]
    absent = (1 - seen) * FREE + _hidden(reference.face, placed)
    levels = ((WIDE, WIDE_RIDGE), (MIDDLE, MIDDLE_RIDGE), (FINE, FINE_RIDGE))
    kernels = [_gauss(placed, width * unit) for width, _ in levels]
    tables = [_tables(target.face, nodes, width * target_unit) for width, _ in levels]
    wide = _solve(kernels[0], WIDE_RIDGE + absent, rest)
    rest = (rest - kernels[0] @ wide) * seen[..., None]
    base = _field(wide, tables[0])
    halves = []
    for dropped in (LOWER, UPPER):
        skip = absent.clone()
        left = rest
        field = base
        skip[:, dropped] = FREE
        for kernel, table, (_, ridge) in zip(kernels[1:], tables[1:], levels[1:], strict=True):
            gain = _solve(kernel, ridge + skip, left)
            left = left - kernel @ gain
            field = field + _field(gain, table)
        halves.append(field)
    return torch.cat(halves, 1)


def shut(reference: Tensor, target: Tensor, unit: Tensor, size: Tensor) -> Tensor:
    """(N,68,2) the reference's face for a target whose lips are nearer to each other.

    Detectors place inner lips on the teeth's rim or a little inside it: closed lips would show a
    white line.
    So the lips meet a part of their thickness further in, the more the mouth shuts. unit, size
    (N,): head heights of reference and target.
    """
    before = _opening(reference) / unit
    opening = _opening(target) / size
    share = (
        SHUT
        * (1 - opening / before.clamp_min(1e-4)).clamp(0, 1)
        * ((before - 0.01) / 0.02).clamp(0, 1)
    )
    face = reference.clone()
    inner = (*INNER_TOP[1:4], *INNER_BOTTOM[1:4])
    outer = (50, 51, 52, 58, 57, 56)
    face[:, inner] += share[:, None, None] * (reference[:, outer] - reference[:, inner])
    return face


def _hidden(reference: Tensor, placed: Tensor) -> Tensor:
    """(N,68) ridge of jaw points on a side that a turned head hides: they would fold the face over
    itself."""
    across = torch.nn.functional.normalize(reference[:, 45] - reference[:, 36], dim=-1)[:, None]
    at = (reference * across).sum(-1)
    now = (placed * across).sum(-1)
    ridge = torch.zeros_like(at)
    for side_points, eye, temple, corner, jaw in JAW_SIDES:
        widths = [(x[:, a] - x[:, b]) for x in (now, at) for a, b in ((eye, temple), (corner, jaw))]
        share = torch.minimum(widths[0] / _signed(widths[2]), widths[1] / _signed(widths[3]))
        ridge[:, side_points] = (torch.relu(FOLDED - share) * 30)[:, None].clamp_max(FREE)
    return ridge


def _signed(width: Tensor) -> Tensor:
    return torch.where(width < 0, -1.0, 1.0) * width.abs().clamp_min(1e-4)


def _curve(t: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear curve through (knots, values) (N,5) at t (N,h,w), level outside."""
    result = values[:, 0, None, None].expand_as(t)
    for k in range(knots.shape[1] - 1):
        a = knots[:, k, None, None]
        b = knots[:, k + 1, None, None]
        rise = (values[:, k + 1] - values[:, k])[:, None, None]
        result = result + rise * ((t - a) / (b - a).clamp_min(1e-5)).clamp(0, 1)
    return result


def _opening(face: Tensor) -> Tensor:
    """(N,) mean distance of the inner lips."""
    return (face[:, INNER_TOP[1:4]] - face[:, INNER_BOTTOM[1:4]]).norm(dim=-1).mean(-1)


def _slit(face: Tensor, top: tuple, bottom: tuple, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Depths (N,2,h,w) below the upper, above the lower edge; (N,1,h,w) past a corner, off the
    middle."""
    left = face[:, top[0]]
    right = face[:, top[-1]]
    axis = torch.nn.functional.normalize(right - left, dim=-1)
    normal = torch.stack([-axis[:, 1], axis[:, 0]], -1)  # towards the chin

    def local(points: Tensor) -> tuple[Tensor, Tensor]:
        away = points - left[:, None]
        return (away * axis[:, None]).sum(-1), (away * normal[:, None]).sum(-1)

    x = nodes[0] - left[:, 0, None, None]
    y = nodes[1] - left[:, 1, None, None]
    t = x * axis[:, 0, None, None] + y * axis[:, 1, None, None]
    n = x * normal[:, 0, None, None] + y * normal[:, 1, None, None]
    above = _curve(t, *local(face[:, top]))
    below = _curve(t, *local(face[:, bottom]))
    below = torch.maximum(below, above)  # crossed edges are shut
    width = (right - left).norm(dim=-1)[:, None, None]
    outside = torch.relu(t - width) + torch.relu(-t)
    middle = (t - width / 2).square() + n.square()
    return torch.stack([n - above, below - n], 1), outside[:, None], middle[:, None]


def mouth(
    reference: Skeleton, target: Skeleton, nodes: Tensor, unit: Tensor, ratio: Tensor
) -> Mouth:
    """The target's mouth and eye slits on the flow grid, and how much of the mouth is to be
    painted."""
    depth, outside, nearest = _slit(target.face, *SLITS[0], nodes)
    paintable = torch.ones_like(nearest, dtype=torch.bool)
    for edges in SLITS[1:]:
        other = _slit(target.face, *edges, nodes)
        closer = other[2] < nearest
        depth = torch.where(closer, other[0], depth)
        outside = torch.where(closer, other[1], outside)
        nearest = torch.minimum(nearest, other[2])
        paintable = paintable & ~closer
    size = unit * ratio
    opening = _opening(target.face) / size
    before = _opening(reference.face) / unit
    seen = (target.face_seen & reference.face_seen).float().mean(-1) > 0.5
    paint = ((opening - 1.6 * before - 0.004) / 0.02).clamp(0, 1) * seen
    teeth = (TEETH * opening).clamp_max(0.035) * size
    edge = torch.nn.functional.max_pool2d(
        (~paintable).to(depth.dtype), 3, 1, 1
    )  # nothing across the seams
    return Mouth(depth, paint[:, None, None, None] * (1 - edge), teeth, outside)


def side(depth: Tensor, outside: Tensor, pixel: float) -> Tensor:
    """(N,1,H,W) share of the field below the lips or lids: 0 above, 1 below, a ramp between open
    ones.

    Where they are less than SEAM pixels apart no place lies between them: teeth, or an eye, would
    show there.
    """
    above, below = depth.split(1, 1)
    total = above + below
    gap = (total - SEAM * pixel).clamp_min(0)
    into = above - (total.clamp_min(0) - gap) / 2
    sharp = SHARP * pixel
    return (into / (gap.clamp_min(sharp) + outside) + 0.5 * (1 - (gap / sharp).clamp(0, 1))).clamp(
        0, 1
    )


def lips_color(image: Tensor, face: Tensor, aspect: float) -> Tensor:
    """(B,3) mean color of the reference's lips, sampled between their outer and inner points."""
    outer = (49, 50, 51, 52, 53, 55, 56, 57, 58, 59)
    inner = (61, 61, 62, 63, 63, 65, 65, 66, 67, 67)
    places = (face[:, outer] + face[:, inner]) / 2
    fractions = places / places.new_tensor([aspect, 1.0]) * 2 - 1
    picked = torch.nn.functional.grid_sample(
        image, fractions[:, :, None], align_corners=False, padding_mode="border"
    )
    return picked.mean((2, 3))


def paint(
    picture: Tensor, maps: Tensor, teeth: Tensor, color: Tensor, pixel: float
) -> tuple[Tensor, Tensor]:
    """The picture (N,3,H,W) with dark and upper teeth painted where the lips newly open; and where
    (N,1,H,W).

    maps (N,4,H,W): depths, way past a corner, share to paint; teeth (N,); color (N,3) of the lips.
    """
    above, below, outside, share = maps.split(1, 1)

    def soft(depth: Tensor) -> Tensor:
        return (depth / pixel + 0.5).clamp(0, 1)

    open_here = ((above + below) / pixel).clamp(0, 1)  # no line where the lips touch
    amount = open_here * soft(torch.minimum(above, below) - outside) * share
    height = teeth[:, None, None, None].clamp_min(pixel)
    strip = ((height - above) / (0.3 * height + pixel) + 0.5).clamp(0, 1)
    strip = strip * ((above + below) / (3 * height)).clamp(0, 1)  # darker towards the corners
    strip = strip * (0.65 + 0.35 * (above / height).clamp(0, 1))  # the upper lip's shadow
    dark = (color * MOUTH_DARK)[:, :, None, None]
    light = color.new_tensor(TEETH_COLOR)[None, :, None, None]
    light = light * (0.35 + 0.65 * color.amax(1)[:, None, None, None])
    return torch.lerp(picture, dark + (light - dark) * strip * 0.9, amount), amount
