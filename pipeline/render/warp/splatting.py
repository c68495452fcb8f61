"""Draw moved pieces: nodes splatted to a map from the picture back to the texture, then sampled.

Every node knows how the map runs around it (its slopes), so a lattice of target pixels takes the
nearest node's own linear map instead of a mean over nodes: a piece that turns, grows or shrinks as
a whole is exact, what lies folded over itself is not mixed, and the outcome does not depend on the
order of the nodes. The lattice has a spacing of whole pixels and is enlarged bilinearly.
T = frames, n = nodes, h x w = lattice.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.maps import looked_up
from pipeline.render.warp.skinning import HAND, LEGS, Piece
from pipeline.render.warp.smear import Taps, smear_taps, smeared

ROWS = 192  # of a lattice over the whole picture, at most
HAND_ROWS = 384  # fingers are thin
LEVELS = 63  # of nearness of a node to a place of the lattice
CLOSE = 3  # places of the lattice across which holes are closed
STEEP = 4  # places in the reference over those in the target: a map runs no steeper around a node
SHRUNK = 0.6  # of the area at rest: below it a texture is averaged within pixels
CRUSHED = 8  # a map that is narrower than 1 : this gives way to others
TORN = 3.5  # where neighbors in the target come from so many times as far apart, there is a tear
CLEAR = 0.02  # alpha
TINY = 1e-6  # squares of steps or pixels
OUTSIDE = 1e4  # half windows: so far away that any mean with it lies outside as well


@dataclass(frozen=True)
class Lattice:
    """Places where the map back is known: `spacing` pixels apart, from each frame's corner (top,
    left) on; height: of the picture in pixels; shrunk: of each frame, whether the piece is much
    smaller there than at rest."""

    spacing: int
    rows: int
    columns: int
    corners: list[tuple[int, int]]
    sizes: list[tuple[int, int]]
    height: int
    shrunk: list[bool]

    def places(self, frames: slice) -> tuple[int, int]:
        """Rows and columns that are enough for some of the frames, with what closes their holes."""
        rows, columns = zip(*self.sizes[frames], strict=True)
        return min(max(rows) + CLOSE, self.rows), min(max(columns) + CLOSE, self.columns)

    def pixels(self, rows: int, columns: int) -> tuple[int, int]:
        """Height and width of what so many rows and columns span."""
        return (rows - 1) * self.spacing + 1, (columns - 1) * self.spacing + 1


@dataclass(frozen=True)
class Slopes:
    """How the place in the texture, in half windows, changes with that on the lattice.

    x_by_x, x_by_y, y_by_x, y_by_y (T,n); firm (T,n): 1, falling to 0 where the map
    is crushed or flipped.
    """

    x_by_x: Tensor
    x_by_y: Tensor
    y_by_x: Tensor
    y_by_y: Tensor
    firm: Tensor


@dataclass(frozen=True)
class MovedPiece:
    """A piece in the frames in which it reaches into the picture.

    frames: their rows, ascending; opacity (K,) of each; back (K,2,h,w): places in the texture, -1
    to 1, on the `lattice` of each of them; taps: how each is smeared by its motion, None: not.
    """

    piece: Piece
    frames: list[int]
    opacity: Tensor
    lattice: Lattice
    back: Tensor
    taps: list[Taps] | None = None

    def draw(self, picture: Tensor, rows: slice) -> None:
        """Put the piece over some frames' picture (n,4,H,W), color times alpha and validity."""
        here = slice(bisect_left(self.frames, rows.start), bisect_left(self.frames, rows.stop))
        frames = self.frames[here]
        if not frames:
            return
        height, width = self.lattice.places(here)
        back = self.back[here, :, :height, :width]
        size = self.lattice.pixels(height, width)
        back = F.interpolate(back, size, mode="bilinear", align_corners=True)
        drawn = _sampled(self.piece, back, self.lattice.shrunk[here])
        if self.piece.fade is not None:
            drawn = drawn * self.opacity[here, None, None, None]
        corners = self.lattice.corners[here]
        for row, (frame, layer) in enumerate(zip(frames, drawn, strict=True)):
            margin = 0
            if self.taps is not None:
                layer, margin = smeared(layer, self.taps[here][row])
            _over(picture[frame - rows.start], layer, corners[row], margin)


def move_piece(
    piece: Piece,
    places: Tensor,
    opacity: Tensor,
    size: tuple[int, int],
    aspect: float,
    ways: Tensor | None = None,
) -> MovedPiece | None:
    """Return a piece at metric places (T,n,2) of its nodes; None where no frame shows it.

    opacity (T,), 0 in frames that do not show it; size: (H,W) of the picture; aspect: of the
    picture; ways (T,2): metric, along which it is smeared.
    """
    height, width = size
    scale = places.new_tensor([width / aspect, height])
    pixels = places * scale - 0.5
    rest = _spread(piece.nodes * height)
    spread = _spread(pixels) / rest
    spacing = _spacing(piece, height)
    frames, lattice = _lattice(pixels, spread, opacity > 0, spacing, (height, width))
    if not frames:
        return None
    if len(frames) < len(pixels):
        pixels = pixels[frames]
    back = splat(piece, pixels, lattice)
    taps = None
    if ways is not None:
        way = ways[frames] * scale
        taps = [smear_taps(x, y) for x, y in way.tolist()]
    return MovedPiece(piece, frames, opacity[frames], lattice, back, taps)


def draw_piece(picture: Tensor, piece: Piece, places: Tensor, shown: Tensor, aspect: float) -> None:
    """Put a piece over the picture (T,4,H,W), color times alpha and validity, in place.

    places (T,n,2): metric, of the piece's nodes; shown (T,) bool; aspect: of the picture.
    """
    height, width = picture.shape[2:]
    moved = move_piece(piece, places, shown.to(places), (height, width), aspect)
    if moved is not None:
        moved.draw(picture, slice(0, len(picture)))


def _sampled(piece: Piece, back: Tensor, shrunk: list[bool]) -> Tensor:
    """(T,5,H,W) the texture at places (T,2,H,W); in frames where it is `shrunk` the mean over four
    places in each pixel."""
    drawn = looked_up(piece.texture, back)
    if any(shrunk):
        drawn[shrunk] = _averaged(piece.texture, back[shrunk])
    return drawn


def _averaged(texture: Tensor, back: Tensor) -> Tensor:
    """(T,5,H,W) the mean of a texture over four places in each pixel, around places (T,2,H,W)."""
    across = back[..., 1:] - back[..., :-1]
    down = back[:, :, 1:] - back[:, :, :-1]
    across = F.pad(across, (0, 1)) / 4
    down = F.pad(down, (0, 0, 0, 1)) / 4
    main = across + down
    other = across - down
    drawn = looked_up(texture, back + main)
    for shift in (-main, other, -other):
        drawn += looked_up(texture, back + shift)
    return drawn / 4


def _spacing(piece: Piece, height: int) -> int:
    is_hand = piece.bone == HAND and piece.limb not in LEGS
    rows = HAND_ROWS if is_hand else ROWS
    return max(1, round(height / rows))


def _over(picture: Tensor, layer: Tensor, corner: tuple[int, int], margin: int = 0) -> None:
    """Put a layer (5,h,w) over the picture (4,H,W), as far as it lies inside.

    corner: top and left of what is within a margin of the layer.
    """
    top, left = (place - margin for place in corner)
    layer = layer[:, max(-top, 0) :, max(-left, 0) :]
    top = max(top, 0)
    left = max(left, 0)
    height = min(layer.shape[1], picture.shape[1] - top)
    width = min(layer.shape[2], picture.shape[2] - left)
    layer = layer[:, :height, :width]
    window = picture[:, top : top + height, left : left + width]
    window.mul_(1 - layer[3])
    window[:3] += layer[:3]
    window[3] += layer[4]


def _lattice(
    pixels: Tensor, spread: Tensor, shown: Tensor, spacing: int, size: tuple[int, int]
) -> tuple[list[int], Lattice]:
    """The frames in which a piece is shown and reaches into the picture, and the lattice around
    its places (T,n,2) in pixels there. spread (T,): its area over that at rest."""
    low = pixels.amin(1) - spacing
    high = pixels.amax(1) + spacing
    on = shown.to(low.dtype)
    known = torch.cat([low, high, on[:, None], spread[:, None]], 1)
    frames = []
    corners = []
    shrunk = []
    sizes = []
    for frame, (left, top, right, bottom, here, area) in enumerate(known.tolist()):  # the one sync
        top = math.floor(max(top, 0))
        left = math.floor(max(left, 0))
        bottom = min(bottom, size[0] - 1)
        right = min(right, size[1] - 1)
        if here and top < bottom and left < right:
            frames.append(frame)
            corners.append((top, left))
            shrunk.append(area < SHRUNK)
            rows = math.ceil((bottom - top) / spacing) + 1
            columns = math.ceil((right - left) / spacing) + 1
            sizes.append((rows, columns))
    rows = max((rows for rows, _ in sizes), default=1)
    columns = max((columns for _, columns in sizes), default=1)
    return frames, Lattice(spacing, rows, columns, corners, sizes, size[0], shrunk)


def _spread(points: Tensor) -> Tensor:
    """(...) root of the determinant of the covariance of points (...,n,2): grows as their area."""
    off = points - points.mean(-2, keepdim=True)
    x, y = off.unbind(-1)
    wide = x.square().mean(-1)
    high = y.square().mean(-1)
    slant = (x * y).mean(-1)
    area = wide * high - slant.square()
    return area.clamp_min(TINY).sqrt()


def splat(piece: Piece, pixels: Tensor, lattice: Lattice) -> Tensor:
    """(T,2,h,w) places in the texture, -1 to 1, of a lattice in the target; OUTSIDE where the piece
    is not. pixels (T,n,2): of the piece's nodes."""
    corners = pixels.new_tensor(lattice.corners)
    corners = corners.flip(-1)
    off = pixels - corners[:, None]
    at = off / lattice.spacing
    x, y = at.unbind(-1)
    slopes = _slopes(piece, x, y, lattice)
    keys = _keys(x, y, slopes.firm, piece.opaque, lattice)
    count = len(piece.nodes)
    opaque = torch.where(keys > count, keys, 0.0)
    opaque = _closed(opaque)  # first: a transparent fold shows in no hole of an opaque one
    keys = torch.where(opaque > 0, opaque, keys)
    keys = _closed(keys).flatten(1)
    node = keys.remainder(count + 1).long() - 1
    known = node >= 0
    back = _linear(piece, (x, y), slopes, node.clamp_min(0), lattice)
    back = torch.where(known[:, None], back, OUTSIDE)
    back = back.unflatten(2, (lattice.rows, lattice.columns))
    return _untorn(piece, back, lattice)


def _half(piece: Piece) -> tuple[float, float]:
    """Half the width and half the height of the texture's window, metric."""
    top, left, bottom, right = piece.window
    return (right - left) / 2, (bottom - top) / 2


def _slopes(piece: Piece, x: Tensor, y: Tensor, lattice: Lattice) -> Slopes:
    """Of nodes at places (T,n) on the lattice, by their neighbors."""
    (left, right, above, below), (wide, high) = piece.beside
    xx = (x[:, right] - x[:, left]) * wide
    yx = (y[:, right] - y[:, left]) * wide
    xy = (x[:, below] - x[:, above]) * high
    yy = (y[:, below] - y[:, above]) * high
    alone = high == 0  # without a neighbor on one axis: as if turned by a quarter from the other
    xy = torch.where(alone, -yx, xy)
    yy = torch.where(alone, xx, yy)
    alone = wide == 0
    xx = torch.where(alone, yy, xx)
    yx = torch.where(alone, -xy, yx)
    area = xx * yy - xy * yx
    square = xx.square() + xy.square()
    square = square + yx.square()
    square = square + yy.square()
    square = square.clamp_min(TINY)
    firm = CRUSHED * area / square
    firm = firm.clamp(0, 1)
    inverse = 1 / area.clamp_min(TINY)
    spacing = lattice.spacing / lattice.height
    steepest = STEEP * spacing / piece.step
    gain = torch.minimum(inverse, steepest / square.sqrt())
    half_width, half_height = _half(piece)
    across = gain * (piece.step / half_width)
    down = gain * (piece.step / half_height)
    return Slopes(yy * across, -xy * across, -yx * down, xx * down, firm)


def _keys(x: Tensor, y: Tensor, firm: Tensor, opaque: Tensor, lattice: Lattice) -> Tensor:
    """(T,1,h,w) of the nearest node at places (T,n) on the lattice: its nearness in levels times
    n + 1, plus 1 + its row; 0 where no node is near.

    A node around which the map is flipped does not count, a transparent one where no other is.
    """
    frames, count = x.shape
    row = torch.arange(1, count + 1, device=x.device, dtype=x.dtype)
    keys = x.new_zeros(frames, lattice.rows * lattice.columns)
    left = x.floor()
    top = y.floor()
    levels = LEVELS * firm * opaque
    upright = firm > 0
    for right, below in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column = left + right
        line = top + below
        beside = 1 - (x - column).abs()
        nearness = beside * (1 - (y - line).abs())
        level = (nearness * levels).floor()
        key = level * (count + 1) + row
        inside = _within(column, lattice.columns) & _within(line, lattice.rows)
        key = torch.where(inside & upright, key, 0.0)
        at = line * lattice.columns + column
        at = torch.where(inside, at, 0.0)
        keys.scatter_reduce_(1, at.long(), key, "amax")
    return keys.view(frames, 1, lattice.rows, lattice.columns)


def _within(index: Tensor, count: int) -> Tensor:
    return (index >= 0) & (index < count)


def _closed(keys: Tensor) -> Tensor:
    """Keys (T,1,h,w) with small holes closed and one more place around them."""
    grown = keys
    for _ in range(CLOSE):
        grown = torch.where(grown > 0, grown, _widened(grown))
    empty = (grown == 0).to(keys.dtype)
    for _ in range(CLOSE - 1):
        empty = _widened(empty)
    return torch.where((empty > 0) & (keys == 0), 0.0, grown)


def _widened(maps: Tensor) -> Tensor:
    """The maximum over 3 x 3 places; values are not negative."""
    padded = F.pad(maps, (0, 0, 1, 1))
    outer = torch.maximum(padded[:, :, :-2], padded[:, :, 2:])
    maps = torch.maximum(maps, outer)
    padded = F.pad(maps, (1, 1))
    outer = torch.maximum(padded[..., :-2], padded[..., 2:])
    return torch.maximum(maps, outer)


def _linear(
    piece: Piece, at: tuple[Tensor, Tensor], slopes: Slopes, node: Tensor, lattice: Lattice
) -> Tensor:
    """(T,2,hw) places in the texture under the linear map around a node (T,hw) of each place of
    the lattice. at: x and y (T,n) of the nodes there."""
    x, y = at
    top, left, _, _ = piece.window
    half_width, half_height = _half(piece)
    node_x, node_y = piece.nodes.unbind(-1)
    origin_x = (node_x - left) / half_width - 1
    origin_x = origin_x - slopes.x_by_x * x
    origin_x = origin_x - slopes.x_by_y * y
    origin_y = (node_y - top) / half_height - 1
    origin_y = origin_y - slopes.y_by_x * x
    origin_y = origin_y - slopes.y_by_y * y
    maps = (origin_x, slopes.x_by_x, slopes.x_by_y, origin_y, slopes.y_by_x, slopes.y_by_y)
    table = torch.stack(maps, -1).flatten(0, 1)
    start = torch.arange(len(x), device=x.device) * x.shape[1]
    rows = node + start[:, None]
    found = table.index_select(0, rows.flatten())
    origin, by_x, by_y = found.view(*node.shape, 2, 3).unbind(-1)
    line = torch.arange(lattice.rows, device=x.device, dtype=x.dtype)
    line = line.repeat_interleave(lattice.columns)
    column = torch.arange(lattice.columns, device=x.device, dtype=x.dtype)
    column = column.repeat(lattice.rows)
    back = origin + by_x * column[:, None]
    back = back + by_y * line[:, None]
    return back.transpose(1, 2).contiguous()


def _untorn(piece: Piece, back: Tensor, lattice: Lattice) -> Tensor:
    """Where neighbors on the lattice (T,2,h,w) come from places far apart, those that show nothing
    are put outside: what lies between them in the texture would be drawn between them."""
    far = TORN * lattice.spacing / lattice.height
    half = back.new_tensor(_half(piece))
    limit = (far / half)[:, None, None]
    across = back[..., 1:] - back[..., :-1]
    across = across.abs() > limit
    down = back[:, :, 1:] - back[:, :, :-1]
    down = down.abs() > limit
    torn = F.pad(across, (1, 0)) | F.pad(across, (0, 1))
    torn = torn | F.pad(down, (0, 0, 1, 0))
    torn = torn | F.pad(down, (0, 0, 0, 1))
    alpha = looked_up(piece.texture[:, 3:4], back)
    empty = torn.any(1, keepdim=True) & (alpha < CLEAR)
    return torch.where(empty, OUTSIDE, back)
