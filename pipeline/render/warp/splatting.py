"""Draw moved pieces: nodes splatted to a map from the picture back to the texture, then sampled.

Every node knows how the map runs around it (its Jacobian), so a lattice of target pixels takes the
nearest node's own linear map instead of a mean over nodes: a piece that turns, grows or shrinks as
a whole is exact, what lies folded over itself is not mixed, and the outcome does not depend on the
order of the nodes. The lattice has a spacing of whole pixels and is enlarged bilinearly.
T = frames, n = nodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.skinning import HAND, LEGS, Piece

ROWS = 192  # of a lattice over the whole picture, at most
HAND_ROWS = 384  # fingers are thin
LEVELS = 63  # of nearness of a node to a place of the lattice
CLOSE = 3  # places of the lattice across which holes are closed
AROUND = 4  # steps of the nodes: no place is farther from its node in the reference
SMALL = 0.05  # of the area that a node stood for: the map's inverse is limited there
TORN = 3.5  # times as far apart in the reference as in the target
CLEAR = 0.02  # alpha
OUTSIDE = 1e4  # half windows: so far away that any mean with it lies outside as well


@dataclass(frozen=True)
class Lattice:
    """Places where the map back is known: `spacing` pixels apart, `rows` by `columns` from each
    frame's corner (top, left) on."""

    spacing: int
    rows: int
    columns: int
    corners: list[tuple[int, int]]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its frames in pixels."""
        return (self.rows - 1) * self.spacing + 1, (self.columns - 1) * self.spacing + 1


def draw_piece(picture: Tensor, piece: Piece, places: Tensor, shown: Tensor, aspect: float) -> None:
    """Put a piece over the picture (T,4,H,W), color times alpha and validity, in place.

    places (T,n,2): metric, of the piece's nodes; shown (T,) bool; aspect: of the picture.
    """
    size = (picture.shape[2], picture.shape[3])
    pixels = places * places.new_tensor([size[1] / aspect, size[0]]) - 0.5
    spacing = max(1, round(size[0] / (HAND_ROWS if _is_hand(piece) else ROWS)))
    frames, lattice = _lattice(pixels, shown, spacing, size)
    if not frames:
        return
    if len(frames) < len(picture):
        pixels = pixels[frames]
    back = splat(piece, pixels, lattice, size[0])
    where = F.interpolate(back, lattice.size, mode="bilinear", align_corners=True)
    texture = piece.texture.expand(len(frames), -1, -1, -1)
    drawn = F.grid_sample(texture, where.permute(0, 2, 3, 1), align_corners=False)
    for frame, layer, (top, left) in zip(frames, drawn, lattice.corners, strict=True):
        _over(picture[frame], layer, top, left)


def _is_hand(piece: Piece) -> bool:
    return piece.bone == HAND and piece.limb not in LEGS


def _over(picture: Tensor, layer: Tensor, top: int, left: int) -> None:
    """Put a layer (5,h,w) over the picture (4,H,W) from a corner on, as far as it lies inside."""
    window = picture[:, top : top + layer.shape[1], left : left + layer.shape[2]]
    layer = layer[:, : window.shape[1], : window.shape[2]]
    window.mul_(1 - layer[3])
    window[:3] += layer[:3]
    window[3] += layer[4]


def _lattice(
    pixels: Tensor, shown: Tensor, spacing: int, size: tuple[int, int]
) -> tuple[list[int], Lattice]:
    """The frames in which a piece is shown and reaches into the picture, and the lattice around
    its places (T,n,2) in pixels there."""
    low = pixels.amin(1) - spacing
    high = pixels.amax(1) + spacing
    known = torch.cat([low, high, shown[:, None].to(low.dtype)], 1).tolist()  # the one sync
    frames = []
    corners = []
    extent = [1, 1]
    for frame, (left, top, right, bottom, on) in enumerate(known):
        ends = (max(top, 0), min(bottom, size[0] - 1), max(left, 0), min(right, size[1] - 1))
        if on and ends[0] < ends[1] and ends[2] < ends[3]:
            corner = (math.floor(ends[0]), math.floor(ends[2]))
            frames.append(frame)
            corners.append(corner)
            extent = [max(extent[0], ends[1] - corner[0]), max(extent[1], ends[3] - corner[1])]
    rows, columns = (math.ceil(side / spacing) + 1 for side in extent)
    return frames, Lattice(spacing, rows, columns, corners)


def splat(piece: Piece, pixels: Tensor, lattice: Lattice, height: int) -> Tensor:
    """(T,2,rows,columns) places in the texture, -1 to 1, of a lattice in the target; OUTSIDE where
    the piece is not. pixels (T,n,2): of the piece's nodes; height: of the picture in pixels."""
    corners = pixels.new_tensor(lattice.corners).flip(-1)
    places = (pixels - corners[:, None]) / lattice.spacing
    back, upright = _back(piece, places)
    nearest = _nearest(places, upright, piece.opaque, (lattice.rows, lattice.columns))
    table = torch.cat([_in_texture(piece).expand(len(places), -1, -1), places, back], 2)
    rows = (nearest.flatten(1) - 1).clamp_min(0).long()
    found = table.gather(1, rows[..., None].expand(-1, -1, table.shape[2]))
    y, x = torch.meshgrid(
        torch.arange(lattice.rows, device=pixels.device, dtype=pixels.dtype),
        torch.arange(lattice.columns, device=pixels.device, dtype=pixels.dtype),
        indexing="ij",
    )
    away = torch.stack([x, y], -1).flatten(0, 1) - found[..., 2:4]
    shift = (found[..., 4:].unflatten(-1, (2, 2)) @ away[..., None])[..., 0]
    most = AROUND * piece.step / _extent(piece)
    shift = torch.minimum(torch.maximum(shift, -most), most)
    out = torch.where(nearest.flatten(1)[..., None] > 0, found[..., :2] + shift, OUTSIDE)
    out = out.transpose(1, 2).unflatten(2, (lattice.rows, lattice.columns))
    return _untorn(piece, out, lattice.spacing / height)


def _untorn(piece: Piece, back: Tensor, spacing: float) -> Tensor:
    """Where neighbors on the lattice (T,2,h,w) come from places far apart, those that show nothing
    are put outside: what lies between them in the texture would be drawn between them."""
    texture = piece.texture[:, 3:4].expand(len(back), -1, -1, -1)
    alpha = F.grid_sample(texture, back.permute(0, 2, 3, 1), align_corners=False)
    far = TORN * spacing / _extent(piece)[:, None, None]
    across = ((back[..., 1:] - back[..., :-1]).abs() > far).any(1, keepdim=True)
    down = ((back[:, :, 1:] - back[:, :, :-1]).abs() > far).any(1, keepdim=True)
    torn = F.pad(across, (1, 0)) | F.pad(across, (0, 1))
    torn = torn | F.pad(down, (0, 0, 1, 0)) | F.pad(down, (0, 0, 0, 1))
    return torch.where(torn & (alpha < CLEAR), OUTSIDE, back)


def _in_texture(piece: Piece) -> Tensor:
    """(1,n,2) the nodes in the texture, -1 to 1."""
    top, left, bottom, right = piece.window
    corner = piece.nodes.new_tensor([left, top])
    return ((piece.nodes - corner) / _extent(piece) - 1)[None]


def _extent(piece: Piece) -> Tensor:
    """Half the texture's window, metric."""
    top, left, bottom, right = piece.window
    return piece.nodes.new_tensor([(right - left) / 2, (bottom - top) / 2])


def _back(piece: Piece, places: Tensor) -> tuple[Tensor, Tensor]:
    """(T,n,4) how the place in the texture changes with that on the lattice, and (T,n) whether the
    map keeps its orientation there."""
    rows, steps = piece.beside
    left, right, above, below = (places[:, row] for row in rows.unbind(1))
    across = (right - left) / steps[:, :1].clamp_min(1)
    down = (below - above) / steps[:, 1:].clamp_min(1)
    quarter = torch.stack([-across[..., 1], across[..., 0]], -1)
    down = torch.where(steps[:, 1:] > 0, down, quarter)
    quarter = torch.stack([down[..., 1], -down[..., 0]], -1)
    across = torch.where(steps[:, :1] > 0, across, quarter)
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    size = (across.square().sum(-1) + down.square().sum(-1)) / 2
    least = (SMALL * size).clamp_min(1e-6)
    held = torch.where(area < 0, -1.0, 1.0) * torch.maximum(area.abs(), least)
    inverse = torch.stack([down[..., 1], -down[..., 0], -across[..., 1], across[..., 0]], -1)
    scale = (piece.step / _extent(piece)).repeat_interleave(2)
    return inverse / held[..., None] * scale, area > 0


def _nearest(places: Tensor, upright: Tensor, opaque: Tensor, size: tuple[int, int]) -> Tensor:
    """(T,rows,columns) 1 + the row of the node nearest to each place of the lattice, 0 where none
    is. Nodes around which the map is flipped do not count; transparent ones where no other is."""
    frames, count = places.shape[:2]
    limits = places.new_tensor([size[1], size[0]])
    base = places.floor()
    own = torch.arange(1, count + 1, device=places.device, dtype=places.dtype)
    offset = torch.arange(frames, device=places.device)[:, None] * (size[0] * size[1])
    keys = places.new_zeros(frames * size[0] * size[1])
    for shift in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        at = base + places.new_tensor(shift)
        nearness = (1 - (places - at).abs()).clamp_min(0).prod(-1)
        level = (nearness * LEVELS * opaque).floor()
        inside = ((at >= 0) & (at < limits)).all(-1) & upright
        cell = torch.where(inside, at[..., 1] * size[1] + at[..., 0], 0.0).long() + offset
        key = torch.where(inside, level * (count + 1) + own, 0.0)
        keys.scatter_reduce_(0, cell.flatten(), key.flatten(), "amax")
    return _closed(keys.view(frames, 1, *size))[:, 0].remainder(count + 1)


def _closed(keys: Tensor) -> Tensor:
    """Keys (T,1,h,w) with small holes closed and one more place around them."""
    grown = keys
    for _ in range(CLOSE):
        grown = torch.where(grown > 0, grown, F.max_pool2d(grown, 3, 1, 1))
    reach = CLOSE - 1
    empty = F.pad((grown == 0).to(keys.dtype), (reach,) * 4)
    near = F.max_pool2d(F.max_pool2d(empty, (2 * reach + 1, 1), 1), (1, 2 * reach + 1), 1)
    return torch.where((near > 0) & (keys == 0), 0.0, grown)
