"""Make every example that the project ships: `python -m pipeline.training.data.examples`.

Drawn portraits, driving clips with their exact key points, and synthetic speech; nothing is
foreign.
The same command gives the same files (flite 2.2 and FFmpeg of the same version assumed).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.media import VideoWriter
from pipeline.training.data import presenters
from pipeline.training.data.example_texts import DRIVER_LINES, LICENSES, SPEECH
from pipeline.training.data.presenters import Dofs, Identities
from pipeline.training.data.speech.authored import lips, say, write_wave
from pipeline.values import Keypoints, Pose

PORTRAIT_SIZE = (768, 512)  # (H, W)
CLIP_SIZE = (576, 384)  # (H, W)
FPS = 25.0
_CHUNK_FRAMES = 10  # rendered at once
_FULL_TURN_RAD = 6.2832
_HALF_TURN_RAD = 3.1416
# a round of side steps: left foot out, right foot after it, and back
_ROUND_SECONDS = 3.2
_STEP_SECONDS = 0.55
_LEFT_STEPS = (0.1, 2.4)  # s in the round: out and back
_RIGHT_STEPS = (0.8, 1.7)  # s in the round: after it and away

# postures of one arm: upper, its depth, fore, its depth (radians, see `presenters.Dofs`)
HANG = (0.16, 0.10, 0.02, 0.20)
LAP = (0.30, 0.35, -1.05, 0.55)
LOW = (0.34, 0.35, -0.70, 0.75)
READY = (0.50, 0.25, -2.55, 0.50)
BEAT = (0.42, 0.20, -1.0, 0.85)
OPEN = (0.42, 0.20, 0.75, 0.35)
WIDE = (0.62, 0.10, 1.15, 0.15)
CHEST = (0.32, 0.30, -2.05, 0.25)
UP = (0.48, 0.15, 2.45, 0.10)


@dataclass(frozen=True)
class Portrait:
    """A shipped person: identity seed, head height and crown (fractions of the picture), changes,
    posture."""

    seed: int
    head: float
    crown: float
    changes: dict[str, float]
    left: tuple = HANG
    right: tuple = HANG
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)


HALF = {"offset": 0.0, "skirt": 0.0}
WHOLE = {"offset": 0.0}
PORTRAITS = {
    "half_jacket": Portrait(120, 0.235, 0.09, HALF, LOW, LOW, (4.0, 0.0, 2.0)),
    "half_beard": Portrait(113, 0.240, 0.08, HALF, READY, HANG, (-5.0, 0.0, -1.5)),
    "half_glasses": Portrait(112, 0.225, 0.10, HALF, HANG, LAP, (3.0, 1.0, 0.0)),
    "three_quarter": Portrait(108, 0.165, 0.08, HALF, LOW, LOW, (-3.0, 0.0, 1.0)),
    "full_skirt": Portrait(123, 0.113, 0.07, WHOLE | {"skirt": 1.7}, LAP, HANG, (4.0, 0.0, -1.0)),
    "full_trousers": Portrait(117, 0.112, 0.07, WHOLE, HANG, HANG, (-4.0, 0.0, 1.0)),
}


@dataclass(frozen=True)
class Clip:
    """A driving clip: who, arm postures (seconds, left, right), sway, head angles, steps."""

    person: Portrait
    arms: tuple[tuple, ...]
    sway: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    nods: tuple[tuple, ...] = ((0.0, (0.0, 0.0, 0.0)),)
    steps: float = 0.0  # width of the side steps in head heights


def _beats(
    start: float, stop: float, gap: float, low: tuple, high: tuple, both: bool = True
) -> tuple:
    """Make postures that strike `high` every `gap` seconds, quickly, with a slower way back."""
    keys = []
    time = start
    count = 0
    while time < stop:
        is_left = both or count % 2 == 1
        is_right = both or count % 2 == 0
        left = high if is_left else low
        right = high if is_right else low
        keys += [(time, low, low), (time + 0.20, left, right), (time + 0.32, left, right)]
        time += gap
        count += 1
    return (*keys, (stop, low, low))


CLIPS = {
    "beats": Clip(
        Portrait(115, 0.215, 0.11, HALF),
        (*_beats(0.4, 2.6, 0.72, READY, BEAT), (3.0, LOW, LOW), (3.5, LOW, LOW), (3.9, READY, READY))
        + _beats(4.1, 5.5, 0.66, READY, BEAT, both=False),
        ((0.0, -0.03), (1.5, 0.04), (3.2, 0.0), (4.6, 0.05), (6.0, -0.02)),
        ((0.0, (0.0, 0.0, 0.0)), (0.8, (7.0, 4.0, 2.0)), (2.0, (-8.0, -2.0, -3.0)), (3.2, (0.0, -5.0, 0.0)),
         (4.2, (9.0, 3.0, 4.0)), (5.2, (-3.0, 2.0, -2.0))),
    ),
    "sway": Clip(
        Portrait(119, 0.165, 0.09, HALF),
        ((0.0, HANG, HANG), (0.7, OPEN, HANG), (1.5, OPEN, LAP), (2.2, LAP, OPEN), (3.0, LAP, WIDE),
         (3.7, CHEST, OPEN),
         (4.4, CHEST, LAP), (5.1, WIDE, WIDE), (5.8, READY, READY), (6.6, HANG, HANG)),
        ((0.0, 0.0), (1.0, 0.16), (2.2, -0.16), (3.4, 0.14), (4.6, -0.12), (5.8, 0.08), (7.0, 0.0)),
        ((0.0, (0.0, 0.0, 0.0)), (1.0, (10.0, 0.0, 5.0)), (2.2, (-12.0, 2.0, -6.0)), (3.4, (8.0, -4.0, 4.0)),
         (4.6, (-6.0, 5.0, -3.0)), (5.8, (0.0, 0.0, 0.0))),
    ),
    "steps": Clip(
        Portrait(126, 0.108, 0.09, WHOLE | {"skirt": 0.0}),
        ((0.0, HANG, HANG), (0.8, OPEN, HANG), (1.6, HANG, OPEN), (2.4, WIDE, WIDE),
         (3.2, HANG, HANG), (3.9, UP, HANG),
         (4.7, UP, LAP), (5.5, HANG, OPEN), (6.3, WIDE, WIDE), (7.1, LAP, LAP), (7.8, HANG, HANG)),
        steps=0.55,
        nods=((0.0, (0.0, 0.0, 0.0)), (1.6, (10.0, 0.0, 4.0)), (3.2, (-10.0, 0.0, -4.0)),
              (4.6, (0.0, -5.0, 3.0)),
              (6.3, (6.0, 3.0, 0.0)), (8.0, (0.0, 0.0, 0.0))),
    ),
    "seated": Clip(
        Portrait(124, 0.265, 0.09, HALF),
        ((0.0, LOW, LOW), (1.0, LOW, LOW), (1.5, CHEST, LOW), (2.2, CHEST, LOW), (2.8, LOW, LOW),
         (3.3, LOW, UP),
         (4.0, LOW, UP), (4.6, LOW, LOW)),
        ((0.0, 0.0), (2.0, 0.03), (4.0, -0.03)),
        ((0.0, (0.0, 0.0, 0.0)), (0.7, (0.0, 8.0, 0.0)), (1.1, (0.0, 0.0, 0.0)), (1.8, (-9.0, 0.0, -4.0)),
         (3.0, (0.0, 7.0, 0.0)), (3.6, (10.0, -3.0, 5.0)), (4.6, (0.0, 2.0, 0.0))),
    ),
}  # fmt: skip


def person(portrait: Portrait) -> Identities:
    """Return the identity of a portrait, one row."""
    generator = torch.Generator().manual_seed(portrait.seed)
    identity = presenters.draw_identities(generator, 1)
    values = {"head": portrait.head, "crown": portrait.crown, **portrait.changes}
    rows = {name: torch.full((1,), value) for name, value in values.items()}
    return replace(identity, **rows)


def interpolate(keys: Sequence[tuple[float, object]], times: np.ndarray) -> Tensor:
    """Return (T, ...) values at `times` between keys (time, value).

    There is a smooth start and stop at every key.
    """
    knots = np.array([key[0] for key in keys])
    values = np.array([key[1] for key in keys], float).reshape(len(keys), -1)
    if len(keys) == 1:
        return torch.tensor(np.repeat(values, len(times), 0), dtype=torch.float32)
    after = np.searchsorted(knots, times, side="right")
    after = np.clip(after, 1, len(keys) - 1)
    before = after - 1
    share = (times - knots[before]) / (knots[after] - knots[before])
    share = np.clip(share, 0, 1)[:, None]
    eased = share * share * (3 - 2 * share)
    mixed = values[before] * (1 - eased) + values[after] * eased
    return torch.tensor(mixed, dtype=torch.float32)


def act_clip(clip: Clip, frames: int, mouth: np.ndarray) -> Dofs:
    """Return the motion (1, frames) of a driving clip: authored, with breath, blinks, speech."""
    times = (np.arange(frames) + 0.5) / FPS
    clock = torch.tensor(times, dtype=torch.float32)
    dofs = presenters.stand_still(1, frames)
    left = [(time, posture) for time, posture, _ in clip.arms]
    right = [(time, posture) for time, _, posture in clip.arms]
    dofs.arms[0, :, 0] = interpolate(left, times)
    dofs.arms[0, :, 1] = interpolate(right, times)
    dofs.sway[0, :, 0] = interpolate(clip.sway, times)[:, 0]
    dofs.lean[0] = 0.25 * dofs.sway[0, :, 0]
    dofs.head[0] = interpolate(clip.nods, times)
    dofs.head[0, :, 0] += 1.5 * torch.sin(3.1 * clock)
    dofs.shrug[0] = 0.012 * torch.sin(_FULL_TURN_RAD * 0.27 * clock)
    dofs.twist[0] = 0.10 * torch.sin(1.9 * clock)
    fore = dofs.arms[0, :, :, 2]
    lift = (fore.abs() / 2).clamp(0, 1)
    dofs.turn[0] = 0.9 - 0.6 * lift
    dofs.curl[0] = 0.35 - 0.2 * lift
    # hands in front of the body bend upwards, which keeps left and right apart
    inward = (-fore).clamp(0, 1)
    dofs.wrist[0] = 0.12 * torch.sin(2.3 * clock)[:, None] - 0.5 * inward
    for moment in np.arange(0.9, times[-1], 2.3):
        blink = (1 - (clock - moment).abs() / 0.11).clamp(0, 1)
        dofs.blink[0] = torch.maximum(dofs.blink[0], blink)
    dofs.mouth[0] = torch.tensor(mouth, dtype=torch.float32)
    opening = dofs.mouth[0, :, 0].clamp(0, 0.5)
    dofs.brow[0] = 0.5 * torch.sin(2.7 * clock) * opening * 2
    if clip.steps:
        _walk(dofs, clock, clip.steps)
    return dofs


def _walk(dofs: Dofs, clock: Tensor, width: float) -> None:
    """Step to the side and back, with the hips over the feet; changes the dofs in place.

    `width` is in head heights.
    """
    phase = clock % _ROUND_SECONDS

    def share(start: float) -> Tensor:
        return ((phase - start) / _STEP_SECONDS).clamp(0, 1)

    def ramp(start: float) -> Tensor:
        part = share(start)
        return part * part * (3 - 2 * part)

    def lift(start: float) -> Tensor:
        return torch.sin(_HALF_TURN_RAD * share(start))

    left_out, left_back = _LEFT_STEPS
    right_after, right_away = _RIGHT_STEPS
    left = ramp(left_out) - ramp(left_back)
    right = ramp(right_after) - ramp(right_away)
    dofs.feet[0, :, 0, 0] = width * left
    dofs.feet[0, :, 1, 0] = -width * right
    dofs.feet[0, :, 0, 1] = 0.16 * (lift(left_out) + lift(left_back))
    dofs.feet[0, :, 1, 1] = 0.16 * (lift(right_after) + lift(right_away))
    lifts = lift(left_out) + lift(right_after) + lift(right_away) + lift(left_back)
    dofs.sway[0, :, 0] = width * (left + right) / 2
    dofs.sway[0, :, 1] = 0.03 + 0.04 * lifts
    dofs.lean[0] = 0.05 * torch.sin(_FULL_TURN_RAD * phase / _ROUND_SECONDS)


def write_portraits(folder: Path) -> None:
    """Write the six portraits as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, portrait in PORTRAITS.items():
        dofs = presenters.stand_still(1, 1)
        dofs.arms[0, 0] = torch.tensor((portrait.left, portrait.right))
        dofs.head[0, 0] = torch.tensor(portrait.turn)
        dofs.mouth[0, 0, 2] = 0.35
        scene = presenters.render(person(portrait), dofs, PORTRAIT_SIZE)
        picture = _bytes(scene.image[0])[0]
        path = folder / f"{name}.png"
        Image.fromarray(picture).save(path, optimize=True)
        print(path)


def write_clips(folder: Path) -> None:
    """Write the four driving clips as MP4 with sound, each with its exact key points as `.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, clip in CLIPS.items():
        audio, phones = say(DRIVER_LINES[name])
        frames = audio.frames(FPS)
        dofs = act_clip(clip, frames, lips(phones, audio.seconds, FPS, frames))
        identity = person(clip.person)
        path = folder / f"{name}.mp4"
        poses = []
        with VideoWriter(path, FPS, CLIP_SIZE, audio, crf=22) as writer:
            for start in range(0, frames, _CHUNK_FRAMES):
                part = dofs.frames(slice(start, start + _CHUNK_FRAMES))
                scene = presenters.render(identity, part, CLIP_SIZE)
                poses.append(presenters.pose(scene, 0, FPS))
                writer.write(_bytes(scene.image[0]))
        _joined(poses).save(folder / f"{name}.npz")
        print(path, frames, "frames")


def write_speech(folder: Path) -> None:
    """Write the six speech clips as 16 kHz WAV."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, line in SPEECH.items():
        audio, _ = say(line)
        path = folder / f"{name}.wav"
        write_wave(path, audio)
        print(path, f"{audio.seconds:.1f} s")


def _bytes(frames: Tensor) -> np.ndarray:
    """Convert (T, 3, H, W) in [0, 1] to (T, H, W, 3) uint8."""
    pixels = (frames.permute(0, 2, 3, 1) * 255).round()
    return pixels.to(torch.uint8).contiguous().numpy()


def _joined(poses: list[Pose]) -> Pose:
    """Join consecutive poses.

    Coordinates get the precision of float32, which is 1e-4 pixels and packs better.
    """
    parts = []
    for name in ("body", "hands", "face"):
        points = [getattr(pose, name) for pose in poses]
        xy = np.concatenate([part.xy for part in points])
        score = np.concatenate([part.score for part in points])
        parts.append(Keypoints(xy.astype(np.float32).astype(np.float64), score))
    return Pose(*parts, poses[0].fps, poses[0].size)


def main(argv: Sequence[str] | None = None) -> None:
    """Write reference/, driving/, speech/ and LICENSES.md under `--out`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("assets"))
    parser.add_argument("--only", choices=("reference", "driving", "speech"))
    options = parser.parse_args(argv)
    makers = {"reference": write_portraits, "driving": write_clips, "speech": write_speech}
    for name, make in makers.items():
        if options.only in (None, name):
            make(options.out / name)
    (options.out / "LICENSES.md").write_text(LICENSES, encoding="utf-8")


if __name__ == "__main__":
    main()
