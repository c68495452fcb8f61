"""Makes every example that the project ships: `python -m pipeline.training.data.examples --out assets`.

Drawn portraits, driving clips with their exact key points, and synthetic speech; nothing is foreign.
The same command gives the same files (flite 2.2 and FFmpeg of the same version assumed).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
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

PORTRAIT, CLIP, FPS = (768, 512), (576, 384), 25.0
_CHUNK = 10  # frames rendered at once

# postures of one arm: upper, its depth, fore, its depth (radians, see `presenters.Dofs`)
HANG, LAP, LOW = (0.16, 0.10, 0.02, 0.20), (0.30, 0.35, -1.05, 0.55), (0.34, 0.35, -0.70, 0.75)
READY, BEAT = (0.50, 0.25, -2.55, 0.50), (0.42, 0.20, -1.0, 0.85)
OPEN, WIDE = (0.42, 0.20, 0.75, 0.35), (0.62, 0.10, 1.15, 0.15)
CHEST, UP = (0.32, 0.30, -2.05, 0.25), (0.48, 0.15, 2.45, 0.10)


@dataclass(frozen=True)
class Portrait:
    """A shipped person: identity seed, head height and crown (fractions of the picture), changes, posture."""

    seed: int
    head: float
    crown: float
    changes: dict[str, float]
    left: tuple = HANG
    right: tuple = HANG
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)


HALF, WHOLE = {"offset": 0.0, "skirt": 0.0}, {"offset": 0.0}
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
    """Postures that strike `high` every `gap` seconds, with a quick stroke and a slower way back."""
    keys, time, count = [], start, 0
    while time < stop:
        left, right = (high, high) if both else ((high, low) if count % 2 else (low, high))
        keys += [(time, low, low), (time + 0.20, left, right), (time + 0.32, left, right)]
        time, count = time + gap, count + 1
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
    """The identity of a portrait, one row."""
    who = presenters.draw_identities(torch.Generator().manual_seed(portrait.seed), 1)
    values = {"head": portrait.head, "crown": portrait.crown, **portrait.changes}
    return replace(who, **{name: torch.full((1,), value) for name, value in values.items()})


def eased(keys: Sequence[tuple[float, object]], times: np.ndarray) -> Tensor:
    """(T, ...) values at `times` between keys (time, value), with a smooth start and stop at every key."""
    knots = np.array([k[0] for k in keys])
    values = np.array([k[1] for k in keys], float).reshape(len(keys), -1)
    after = np.clip(np.searchsorted(knots, times, side="right"), 1, max(len(keys) - 1, 1))
    if len(keys) == 1:
        return torch.tensor(np.repeat(values, len(times), 0), dtype=torch.float32)
    span = np.clip((times - knots[after - 1]) / (knots[after] - knots[after - 1]), 0, 1)[:, None]
    smooth = span * span * (3 - 2 * span)
    mixed = values[after - 1] * (1 - smooth) + values[after] * smooth
    return torch.tensor(mixed, dtype=torch.float32)


def acted(clip: Clip, frames: int, mouth: np.ndarray) -> Dofs:
    """Motion (1, frames) of a driving clip: authored arms, sway, nods, steps, breath, blinks, speech."""
    times = (np.arange(frames) + 0.5) / FPS
    dofs = presenters.stand_still(1, frames)
    dofs.arms[0, :, 0] = eased([(t, left) for t, left, _ in clip.arms], times)
    dofs.arms[0, :, 1] = eased([(t, right) for t, _, right in clip.arms], times)
    dofs.sway[0, :, 0] = eased(clip.sway, times)[:, 0]
    dofs.lean[0] = 0.25 * dofs.sway[0, :, 0]
    dofs.head[0] = eased(clip.nods, times)
    clock = torch.tensor(times, dtype=torch.float32)
    dofs.head[0, :, 0] += 1.5 * torch.sin(3.1 * clock)
    dofs.shrug[0] = 0.012 * torch.sin(6.2832 * 0.27 * clock)
    dofs.twist[0] = 0.10 * torch.sin(1.9 * clock)
    lift = (dofs.arms[0, :, :, 2].abs() / 2).clamp(0, 1)
    dofs.turn[0] = 0.9 - 0.6 * lift
    dofs.curl[0] = 0.35 - 0.2 * lift
    # hands in front of the body bend upwards, which keeps left and right apart
    inward = (-dofs.arms[0, :, :, 2]).clamp(0, 1)
    dofs.wrist[0] = 0.12 * torch.sin(2.3 * clock)[:, None] - 0.5 * inward
    for blink in np.arange(0.9, times[-1], 2.3):
        dofs.blink[0] = torch.maximum(dofs.blink[0], (1 - (clock - blink).abs() / 0.11).clamp(0, 1))
    dofs.mouth[0] = torch.tensor(mouth, dtype=torch.float32)
    dofs.brow[0] = 0.5 * torch.sin(2.7 * clock) * dofs.mouth[0, :, 0].clamp(0, 0.5) * 2
    if clip.steps:
        _walk(dofs, clock, clip.steps)
    return dofs


def _walk(dofs: Dofs, clock: Tensor, width: float) -> None:
    """Side steps, one 3.2 s round: left foot out, right foot after it, and back; hips over the feet."""
    phase = clock % 3.2

    def ramp(start: float) -> Tensor:
        part = ((phase - start) / 0.55).clamp(0, 1)
        return part * part * (3 - 2 * part)

    def lift(start: float) -> Tensor:
        return torch.sin(3.1416 * ((phase - start) / 0.55).clamp(0, 1))

    left, right = ramp(0.1) - ramp(2.4), ramp(0.8) - ramp(1.7)
    dofs.feet[0, :, 0, 0], dofs.feet[0, :, 1, 0] = width * left, -width * right
    dofs.feet[0, :, 0, 1] = 0.16 * (lift(0.1) + lift(2.4))
    dofs.feet[0, :, 1, 1] = 0.16 * (lift(0.8) + lift(1.7))
    dofs.sway[0, :, 0] = width * (left + right) / 2
    dofs.sway[0, :, 1] = 0.03 + 0.04 * (lift(0.1) + lift(0.8) + lift(1.7) + lift(2.4))
    dofs.lean[0] = 0.05 * torch.sin(6.2832 * phase / 3.2)


def write_portraits(folder: Path) -> None:
    """The six portraits as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, portrait in PORTRAITS.items():
        dofs = presenters.stand_still(1, 1)
        dofs.arms[0, 0] = torch.tensor((portrait.left, portrait.right))
        dofs.head[0, 0] = torch.tensor(portrait.turn)
        dofs.mouth[0, 0, 2] = 0.35
        scene = presenters.render(person(portrait), dofs, PORTRAIT)
        Image.fromarray(_bytes(scene.image[0])[0]).save(folder / f"{name}.png", optimize=True)
        print(folder / f"{name}.png")


def write_clips(folder: Path) -> None:
    """The four driving clips as MP4 with sound, each with its exact key points as `.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, clip in CLIPS.items():
        audio, phones = say(DRIVER_LINES[name])
        frames = audio.frames(FPS)
        dofs = acted(clip, frames, lips(phones, audio.seconds, FPS, frames))
        who, poses = person(clip.person), []
        with VideoWriter(folder / f"{name}.mp4", FPS, CLIP, audio, crf=22) as writer:
            for start in range(0, frames, _CHUNK):
                rows = slice(start, start + _CHUNK)
                part = Dofs(*(getattr(dofs, f.name)[:, rows] for f in fields(Dofs)))
                scene = presenters.render(who, part, CLIP)
                poses.append(presenters.pose(scene, 0, FPS))
                writer.write(_bytes(scene.image[0]))
        _joined(poses).save(folder / f"{name}.npz")
        print(folder / f"{name}.mp4", frames, "frames")


def write_speech(folder: Path) -> None:
    """The six speech clips as 16 kHz WAV."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, line in SPEECH.items():
        audio, _ = say(line)
        write_wave(folder / f"{name}.wav", audio)
        print(folder / f"{name}.wav", f"{audio.seconds:.1f} s")


def _bytes(frames: Tensor) -> np.ndarray:
    """(T, 3, H, W) in [0, 1] as (T, H, W, 3) uint8."""
    return (frames.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).contiguous().numpy()


def _joined(poses: list[Pose]) -> Pose:
    """Consecutive poses as one; coordinates in float32 precision, which is 1e-4 pixels and packs better."""
    parts = []
    for name in ("body", "hands", "face"):
        xy = (
            np.concatenate([getattr(p, name).xy for p in poses])
            .astype(np.float32)
            .astype(np.float64)
        )
        parts.append(Keypoints(xy, np.concatenate([getattr(p, name).score for p in poses])))
    return Pose(*parts, poses[0].fps, poses[0].size)


def main(argv: Sequence[str] | None = None) -> None:
    """Writes reference/, driving/, speech/ and LICENSES.md under `--out`."""
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
