"""How drawn presenters move when nothing drives them: sums of sinusoids, random and seeded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.training.data.presenters.degrees_of_freedom import Dofs
from pipeline.training.data.presenters.rows import FULL_TURN_RAD, Draws, Rows


@dataclass(frozen=True)
class _Part:
    """Ranges of one group of columns in `Motions`."""

    columns: int
    rest: tuple[float, float]
    amplitude: tuple[float, float]
    frequency_hz: tuple[float, float]


_PARTS = {
    "sway": _Part(2, (-0.05, 0.05), (0.0, 0.12), (0.1, 0.6)),
    "lean": _Part(1, (-0.04, 0.04), (0.0, 0.07), (0.1, 0.6)),
    "twist": _Part(1, (-0.25, 0.25), (0.0, 0.25), (0.1, 0.5)),
    "shrug": _Part(1, (-0.03, 0.04), (0.0, 0.05), (0.2, 0.9)),
    "head": _Part(3, (-6.0, 6.0), (2.0, 13.0), (0.15, 1.2)),
    "wrist": _Part(2, (-0.3, 0.3), (0.05, 0.4), (0.3, 1.4)),
    "turn": _Part(2, (-0.5, 0.9), (0.1, 0.7), (0.1, 0.6)),
    "curl": _Part(2, (0.1, 0.45), (0.05, 0.35), (0.2, 1.0)),
    "open": _Part(1, (-0.05, 0.3), (0.2, 0.6), (1.0, 4.5)),
    "round": _Part(1, (-0.15, 0.2), (0.1, 0.6), (0.7, 3.0)),
    "smile": _Part(1, (-0.1, 0.5), (0.0, 0.4), (0.1, 0.5)),
    "blink": _Part(1, (0.0, 0.0), (1.0, 1.0), (0.15, 0.9)),
    "brow": _Part(1, (-0.2, 0.3), (0.1, 0.5), (0.2, 1.2)),
    "gaze": _Part(2, (-0.2, 0.2), (0.0, 0.6), (0.2, 0.8)),
    "arm": _Part(8, (0.0, 0.0), (0.1, 1.0), (0.1, 1.0)),
    "feet": _Part(4, (0.0, 0.0), (0.0, 0.0), (0.1, 0.5)),
}
_FACE_PARTS = ("open", "round", "smile", "blink", "gaze", "brow")  # do not follow speech energy
_WAVES = 4  # sinusoids per column

# largest amplitudes of an arm's four angles in radians, see `Dofs`
_ARM_SWING_RAD = (0.28, 0.35, 0.8, 0.4)
# rest postures of an arm: hanging, beat, chest, raised, hip, open, hand at the face
_POSTURES = (
    (0.16, 0.1, 0.05, 0.2),
    (0.30, 0.3, -0.9, 0.6),
    (0.25, 0.2, -1.9, 0.3),
    (0.40, 0.2, 2.3, 0.2),
    (0.55, 0.1, -0.6, 0.1),
    (0.35, 0.3, 1.3, 0.7),
    (0.12, 0.25, -2.6, 0.15),
)
_POSTURE_SHARES = (0.24, 0.25, 0.17, 0.12, 0.09, 0.08, 0.05)
_HEAD_GAIN = (1.3, 0.8, 0.8)  # of yaw, pitch, roll
_LARGEST_HEAD_DEG = 48  # a face drawn from the front looks right to about there


@dataclass(frozen=True)
class Motions(Rows):
    """Sums of four sinusoids, one row per person and D = 35 columns in the order of `_PARTS`."""

    rest: Tensor  # (B, D)
    amplitude: Tensor  # (B, D, 4)
    frequency: Tensor  # (B, D, 4) radians per second
    phase: Tensor  # (B, D, 4)

    def __len__(self) -> int:
        return len(self.rest)

    def resting_arms(self) -> Tensor:
        """Return (B, 2, 4) the arm angles about which the arms move."""
        return self.rest[:, _columns_of("arm")].view(-1, 2, 4)

    def calmer(self, share: float) -> Motions:
        """Return the same motion with `share` of the arms' amplitude."""
        amplitude = self.amplitude.clone()
        amplitude[:, _columns_of("arm")] *= share
        return replace(self, amplitude=amplitude)

    def at(self, times: Tensor, energy: Tensor | None = None) -> Dofs:
        """Evaluate the motion at `times` (B, T) seconds; far away times give unrelated poses.

        `energy` (B, T) scales the motion of arms, head and trunk about their rest; None is 1.
        """
        columns = self._columns_at(times, energy)
        parts = {name: columns[..., _columns_of(name)] for name in _PARTS}
        count, frames = times.shape
        opening = parts["open"].clamp(0, 1)
        rounding = parts["round"].clamp(0, 1)
        smile = parts["smile"].clamp(-0.6, 1)
        head = parts["head"] * parts["head"].new_tensor(_HEAD_GAIN)
        head = _LARGEST_HEAD_DEG * torch.tanh(head / _LARGEST_HEAD_DEG)
        blink = (parts["blink"][..., 0] - 1.15) * 4  # shut for a moment at the wave's crest
        return Dofs(
            sway=parts["sway"] * parts["sway"].new_tensor((1.0, 0.25)),
            lean=parts["lean"][..., 0],
            twist=parts["twist"][..., 0],
            shrug=parts["shrug"][..., 0],
            head=head,
            arms=parts["arm"].view(count, frames, 2, 4),
            wrist=parts["wrist"],
            turn=parts["turn"],
            curl=parts["curl"].clamp(0, 1),
            feet=parts["feet"].view(count, frames, 2, 2),
            mouth=torch.cat((opening, rounding, smile), -1),
            blink=blink.clamp(0, 1),
            brow=parts["brow"][..., 0].clamp(-1, 1),
            gaze=parts["gaze"].clamp(-1, 1),
        )

    def _columns_at(self, times: Tensor, energy: Tensor | None) -> Tensor:
        """Return (B, T, D) the sums of rest and waves."""
        angle = times[:, :, None, None] * self.frequency[:, None] + self.phase[:, None]
        waves = (self.amplitude[:, None] * torch.sin(angle)).sum(-1)
        if energy is not None:
            share = waves.new_tensor(_energy_shares())
            waves = waves * (1 - share + share * energy[..., None])
        return self.rest[:, None] + waves


def draw_motions(
    generator: torch.Generator, count: int, device: torch.device | str = "cpu"
) -> Motions:
    """Draw the motion of `count` people; the same generator state gives the same on any device."""
    draw = Draws(generator, count)
    rests = []
    sizes = []
    frequencies = []
    for part in _PARTS.values():
        rests.append(draw.uniform(*part.rest, part.columns))
        sizes.append(draw.uniform(*part.amplitude, part.columns))
        hertz = draw.uniform(*part.frequency_hz, part.columns, _WAVES)
        frequencies.append(FULL_TURN_RAD * hertz)
    rest = torch.cat(rests, 1)
    size = torch.cat(sizes, 1)
    columns = size.shape[1]
    amplitude = size[..., None] * draw.uniform(0.2, 0.8, columns, _WAVES)

    arm = _columns_of("arm")
    amplitude[:, arm] *= torch.tensor(_ARM_SWING_RAD * 2)[:, None]
    left_posture = draw.pick(_POSTURES, _POSTURE_SHARES)
    right_posture = draw.pick(_POSTURES, _POSTURE_SHARES)
    rest[:, arm] = torch.cat((left_posture, right_posture), 1)
    rest[:, arm] += draw.uniform(-0.12, 0.12, 8)
    yaw_gain = draw.pick((1.0, 2.2), (0.75, 0.25))  # one in four turns the head far
    yaw = _columns_of("head").start
    amplitude[:, yaw : yaw + 1] *= yaw_gain[:, None, None]
    phase = draw.uniform(0, FULL_TURN_RAD, columns, _WAVES)
    return Motions(rest, amplitude, torch.cat(frequencies, 1), phase).to(device)


def _energy_shares() -> list[float]:
    """Return per column 1 where the motion follows the energy of the speech, else 0 (the face)."""
    shares = []
    for name, part in _PARTS.items():
        shares += [float(name not in _FACE_PARTS)] * part.columns
    return shares


def _columns_of(name: str) -> slice:
    """Return the columns of one part."""
    start = 0
    for other, part in _PARTS.items():
        if other == name:
            return slice(start, start + part.columns)
        start += part.columns
    raise KeyError(name)
