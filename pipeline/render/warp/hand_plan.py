"""What hands do over time: how far their fingers bend, and along which way a camera smears them.

A hand that turns cannot be bent from one picture: its fingers would be crushed or folded over each
other. `LimbMotion.bend_share` says how far it can be bent in each frame. A hand takes the least of
the frames around, smoothed over as many: it never bends further than its own frame allows, and it
is stiff before it turns. The plan of a frame depends on frames around it that are not drawn, so
that an excerpt, a segment and a whole clip show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.render.warp.geometry import skeleton
from pipeline.render.warp.layers import ARM_ROWS, Plates
from pipeline.render.warp.skinning import HAND, LimbMotion
from pipeline.render.warp.smear import EXPOSURE_SECONDS
from pipeline.render.warp.steadiness import steady

# Before and after a frame: the least share is taken over as much, and smoothed over as much. Half
# of it changes by .34 within a frame of 12.5 per second, this by .22, at .02 dB of the hands.
EASE_SECONDS = 0.2


@dataclass(frozen=True)
class HandMoves:
    """Right and left hands in N frames.

    Args:
        bends: (N, 2) how far their fingers bend, 0 to 1.
        ways: (N, 2, 2) x and y that they move within an exposure, picture heights.
    """

    bends: Tensor
    ways: Tensor


class HandPlan:
    """Plan the moves of both hands of B people in the frames of a clip.

    Args:
        layers: of B reference images.
        points: body (B, T, 18, 3), hands (B, T, 42, 3), face (B, T, 68, 3) of the whole clip.
        fps: of the clip; None where its frames are moments without an order in time.
    """

    def __init__(
        self, layers: Plates, points: tuple[Tensor, Tensor, Tensor], fps: float | None
    ) -> None:
        self._layers = layers
        self._points = points
        self._radius = 0 if fps is None else round(EASE_SECONDS * fps)
        self._exposure = 0.0 if fps is None else EXPOSURE_SECONDS * fps
        self._first = 0
        self._said: Tensor | None = None

    def moves(self, rows: Sequence[int]) -> HandMoves:
        """Return the moves, B after each other, of t ascending rows of the clip.

        Later calls ask for later rows.
        """
        body, _, _ = self._points
        last = body.shape[1] - 1
        reach = max(2 * self._radius, 1)
        start = max(rows[0] - reach, 0)
        end = min(rows[-1] + reach, last)
        shares = self._known(start, end + 1)
        asked = torch.tensor(rows, device=shares.device)
        asked = asked - self._first
        bends = eased(shares[..., 0], asked, self._radius)
        speeds = pace(shares[..., 1:], asked)
        ways = speeds * self._exposure
        return HandMoves(bends.flatten(0, 1), ways.flatten(0, 1))

    def _known(self, start: int, stop: int) -> Tensor:
        """Return what the frames say (B, n, 2, 3) from row `_first` to `stop` at least."""
        shares = self._said
        if shares is None:
            self._first = start
            shares = self._own(start, stop)
        end = self._first + shares.shape[1]
        if end < stop:
            more = self._own(end, stop)
            shares = torch.cat([shares, more], 1)
        self._said = shares
        return shares

    def _own(self, start: int, stop: int) -> Tensor:
        """Return what the frames of some rows say of both hands by themselves, (B, n, 2, 3).

        That is the share to which they can bend, and the x and y of their middle.
        """
        shares = []
        for person in range(len(self._layers.image)):
            one = self._of_person(person, slice(start, stop))
            shares.append(one)
        return torch.stack(shares)

    def _of_person(self, person: int, rows: slice) -> Tensor:
        """Return what n rows say of one person's hands (n, 2, 3); 1 where there is no hand."""
        motion = self._motion(person, rows)
        frames = rows.stop - rows.start
        shares = self._layers.image.new_ones(frames, len(ARM_ROWS), 3)
        for limb in self._layers.limbs[person]:
            for piece in limb.pieces:
                if limb.row in ARM_ROWS and piece.bone == HAND:
                    shares[:, limb.row, 0] = motion.bend_share(piece)
                    shares[:, limb.row, 1:] = motion.hand_center(piece)
        return shares

    def _motion(self, person: int, rows: slice) -> LimbMotion:
        """Return how one person's limbs move in some rows of the clip."""
        layers = self._layers
        height, width = layers.size
        points = []
        for part in self._points:
            one = part[person, rows]
            points.append(one.to(layers.image))
        target = skeleton(*points, width / height)
        same = torch.full((len(target.body),), person, device=layers.image.device)
        reference = layers.pose.frames(same)
        unit = layers.unit[same]
        target, torso, ratio = steady(reference, target, unit)
        return LimbMotion(layers.pose.frames(same[:1]), target, torso, ratio)


def eased(shares: Tensor, rows: Tensor, radius: int) -> Tensor:
    """Return the least shares (B, t, 2) within a radius around rows (t,), smoothed over as much.

    shares (B, n, 2): of all frames; before the first one and after the last one nothing changes.
    """
    around = torch.arange(-radius, radius + 1, device=shares.device)
    last = shares.shape[1] - 1
    places = rows[:, None] + around
    places = places.clamp(0, last)
    places = places[..., None] + around
    places = places.clamp(0, last)
    least = shares[:, places].amin(3)
    window = torch.hann_window(2 * radius + 3, periodic=False)
    weight = window[1:-1].to(shares)
    weight = weight / weight.sum()
    weighted = least * weight[:, None]
    smooth = weighted.sum(2)
    return smooth.clamp(0, 1)


def pace(places: Tensor, rows: Tensor) -> Tensor:
    """Return how far places (B, n, 2, 2) move per frame at rows (t,), (B, t, 2, 2).

    That is half the way from the frame before to the one after; at the clip's ends the whole way
    to the one beside. A place that is not known, NaN, does not move.
    """
    last = places.shape[1] - 1
    before = (rows - 1).clamp(0, last)
    after = (rows + 1).clamp(0, last)
    way = places[:, after] - places[:, before]
    frames = (after - before).clamp_min(1)
    speed = way / frames[:, None, None]
    return torch.nan_to_num(speed, nan=0.0)
