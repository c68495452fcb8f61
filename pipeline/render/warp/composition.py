"""The layers of one call over each other, drawn a few frames at a time.

What is known on coarse grids is computed for all frames of the call at once. Pictures are drawn in
groups of frames that a processor's cache holds: a large batch is written to memory and read back at
every step. N = B T frames, those of one reference image after each other.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.flows import Flow, flow, stillness
from pipeline.render.warp.geometry import Skeleton
from pipeline.render.warp.hand_plan import HandMoves
from pipeline.render.warp.layers import ARM_ROWS, LEG_ROWS, Plates
from pipeline.render.warp.maps import enlarge
from pipeline.render.warp.moved_body import MovedBody
from pipeline.render.warp.skinning import HAND, LimbMotion
from pipeline.render.warp.splatting import MovedPiece, move_piece
from pipeline.render.warp.steadiness import unmoved_share

CACHED_PIXELS = 2**18  # of the frames that one thread of a CPU draws at once
DEVICE_PIXELS = 2**22  # of those that any other device draws at once: memory
ARRIVAL_CELLS = 5  # of the flow grid around a limb's new place that does not stand still
GONE = 1e3  # squared shift of a limb that a frame does not show


class Composition:
    """The layers of B reference images in the poses of N frames.

    Args:
        layers: of the reference images.
        raw: N skeletons as they were given.
        posed: (N,) bool, whether a frame has any point; without one it shows the reference image.
        size: (H, W) of the picture.
        hands: what the N frames' right and left hands do, as `HandPlan` says.
    """

    def __init__(
        self,
        layers: Plates,
        raw: Skeleton,
        posed: Tensor,
        size: tuple[int, int],
        hands: HandMoves,
    ) -> None:
        images = len(layers.image)
        aspect = layers.size[1] / layers.size[0]
        found = flow(layers, raw, size, aspect)
        self._size = size
        self._frames = len(posed) // images
        self._background = resized(layers.background, size)
        self._photo = resized(layers.image, size)
        self._limbs = [_MovedLimbs(layers, found, raw, row, size, hands) for row in range(images)]
        self._body = MovedBody(layers, found, size)
        motion = torch.cat([limbs.motion for limbs in self._limbs])
        self._still = stillness(torch.maximum(motion, found.trunk_motion))
        self._unposed = (~posed).to(motion.dtype)[:, None, None, None]

    def groups(self) -> Iterator[tuple[int, slice]]:
        """Yield a person and the frames of one that are drawn at once."""
        pixels = self._size[0] * self._size[1]
        threads = torch.get_num_threads()
        count = CACHED_PIXELS * threads if self._still.device.type == "cpu" else DEVICE_PIXELS
        count = max(1, count // pixels)
        for person in range(len(self._limbs)):
            for start in range(0, self._frames, count):
                yield person, slice(start, min(start + count, self._frames))

    def draw(self, person: int, frames: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return a group's pictures (n, 3, H, W), validity and where the photo stands still (n, 1,
        H, W)."""
        first = person * self._frames
        rows = slice(first + frames.start, first + frames.stop)
        background = self._background[person]
        photo = self._photo[person]
        count = frames.stop - frames.start
        canvas = background.expand(count, -1, -1, -1)
        canvas = canvas.clone()
        still = enlarge(self._still[rows], self._size)
        limbs = self._limbs[person]
        limbs.draw(canvas, LEG_ROWS, frames)
        self._body.draw(canvas, still, rows)
        limbs.draw(canvas, ARM_ROWS, frames)
        unposed = self._unposed[rows]
        valid = torch.maximum(canvas[:, 3:], unposed)
        still = torch.maximum(still, unposed)
        unmoved = unmoved_share(still)
        unknown = (1 - valid) * still
        picture = canvas[:, :3]
        picture.lerp_(photo, torch.maximum(unknown, unmoved))
        valid = torch.maximum(valid, still)
        return picture.clamp_(0, 1), valid.clamp_(0, 1), unmoved


class _MovedLimbs:
    """The limbs of one of the reference images in its T frames.

    motion: (T, 1, h, w) the squared shift of the limbs where they were and where they are.
    """

    def __init__(
        self,
        layers: Plates,
        found: Flow,
        raw: Skeleton,
        person: int,
        size: tuple[int, int],
        hands: HandMoves,
    ) -> None:
        frames = len(found.unit) // len(layers.image)
        rows = torch.arange(frames, device=found.unit.device) + person * frames
        reference = layers.pose.frames(rows[:1] // frames)
        target = found.target.frames(rows)
        torso = found.torso[rows]
        ratio = found.ratio[rows]
        motions = LimbMotion(reference, target, torso, ratio, hands.bends[rows])
        raw = raw.frames(rows)
        unit = found.unit[rows] * found.ratio[rows]
        aspect = layers.size[1] / layers.size[0]
        grid = found.nodes.shape[1:]
        arrivals = _Arrivals(found.unit, frames, grid, aspect)
        motion = found.unit.new_zeros(frames, 1, *grid)
        self._pieces: list[tuple[int, MovedPiece]] = []
        for limb in layers.limbs[person]:
            spot = F.interpolate(limb.spot, grid, mode="bilinear", align_corners=True)
            near = spot.square()
            for piece in limb.pieces:
                opacity = motions.opacity(piece)
                opacity = opacity * motions.shown(piece, raw, unit)
                shown = opacity > 0
                places = motions.place(piece)
                square = motions.moved(piece, places).square()
                farthest = torch.where(shown, square.amax(1), GONE)
                shift = near * farthest[:, None, None, None]
                motion = torch.maximum(motion, shift)
                arrivals.add(places, square, shown)
                ways = None
                if limb.row in ARM_ROWS and piece.bone == HAND:
                    ways = hands.ways[rows, limb.row]
                moved = move_piece(piece, places, opacity, size, aspect, ways)
                if moved is not None:
                    self._pieces.append((limb.row, moved))
        # what is farther from the trunk lies on top: a hand over the other arm's forearm
        self._pieces.sort(key=lambda moved: moved[1].piece.bone)
        self.motion = torch.maximum(motion, arrivals.widened())

    def draw(self, picture: Tensor, limbs: tuple[int, ...], frames: slice) -> None:
        """Draw some limbs over the pictures (n, 4, H, W) of some frames."""
        for row, piece in self._pieces:
            if row in limbs:
                piece.draw(picture, frames)


class _Arrivals:
    """How far what comes to a cell of a grid (h, w) has moved: the largest square in T frames."""

    def __init__(self, like: Tensor, frames: int, grid: tuple[int, int], aspect: float) -> None:
        height, width = grid
        self._grid = grid
        self._scale = like.new_tensor([width / aspect, height])
        self._squares = like.new_zeros(frames, height * width)

    def add(self, places: Tensor, squares: Tensor, shown: Tensor) -> None:
        """Add nodes at metric places (T, n, 2), with their squares (T, n), in frames (T,)."""
        height, width = self._grid
        cells = (places * self._scale).long()
        column, row = cells.unbind(-1)
        inside = (column >= 0) & (column < width)
        inside &= (row >= 0) & (row < height)
        index = row * width + column
        index = torch.where(inside, index, 0)
        counted = inside & shown[:, None]
        squares = torch.where(counted, squares, 0.0)
        self._squares.scatter_reduce_(1, index, squares, "amax")

    def widened(self) -> Tensor:
        """Return (T, 1, h, w) the largest square within ARRIVAL_CELLS."""
        maps = self._squares.unflatten(1, (1, *self._grid))
        return F.max_pool2d(maps, ARRIVAL_CELLS, 1, ARRIVAL_CELLS // 2)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures (B, C, H, W) at a size."""
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return F.interpolate(image, size, mode="bilinear", align_corners=False)
