"""What the embedded model does to photographs, which have no truth: `python -m pipeline.evaluation.photos`.

Every reference is moved by every speech and clip. Identity: where the warp shows the picture's own pixels,
the result must keep them. Mouth: its darkness follows the gap of the lips that drive it. The contact sheet is
for eyes: torn limbs have no number.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline import media
from pipeline.analysis.progress import finish
from pipeline.evaluation.metrics.correlation import correlation
from pipeline.motion.partial_arms import rested
from pipeline.motion.refocus import refocus
from pipeline.render import draft, load, tensors, warp
from pipeline.render.base import AudioPosePipeline
from pipeline.values import Audio, Motion

FPS, SECONDS = 12.5, 2.4
CHANGE = 3.0  # grey levels of 255, the most that valid pixels may change on average
SURE = 0.9  # validity from which on a pixel counts as the picture's own
MOUTH = 0.07  # half the side of the square between the lips, face heights
SHOWN, TALL = 5, 288  # frames per row of the sheet, pixels


@dataclass(frozen=True)
class Photo:
    """One take. change: of valid pixels, grey levels; mouth_r: lip gap against the mouth's darkness; gap: the
    largest opening of the lips over the face's height."""

    reference: str
    speech: str
    driving: str
    change: float
    mouth_r: float
    gap: float


def measured(image: np.ndarray, motion: Motion, result: np.ndarray) -> tuple[float, float, float]:
    """(change, mouth_r, gap) of frames (T,H,W,3) uint8 made of a picture (H,W,3) and a motion."""
    motion, size = rested(motion), result.shape[1:3]
    moved = warp.warp(draft.layers(image, motion, size), warp.Points.of(motion.pose), size)
    plain = tensors.to_frames(moved.image[0]).astype(np.float32)
    own = moved.validity[0, :, 0].numpy() > SURE
    change = np.abs(result.astype(np.float32) - plain).mean(3)[own].mean()
    lips = motion.pose.face.xy * np.array(size[::-1])
    tall = np.linalg.norm(lips[:, 8] - lips[:, 27], axis=1)
    gap = np.linalg.norm(lips[:, 62] - lips[:, 66], axis=1) / tall
    reach = max(2, round(MOUTH * float(tall.mean())))
    dark = []
    for frame, (x, y) in zip(result, lips[:, 60:68].mean(1).round().astype(int), strict=True):
        middle = frame[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
        dark.append(-float(middle.mean()) if middle.size else 0.0)
    return float(change), correlation(np.array(dark), gap), float(gap.max())


def take(
    pipe: AudioPosePipeline, image: np.ndarray, audio: Audio, driving: Path
) -> tuple[Motion, np.ndarray]:
    """The motion at slider 1 and its frames (T,H,W,3) at the model's own output size."""
    analysis = finish(pipe.analyse(image, audio, driving, fps=FPS))
    motion = refocus(analysis.motion, 1.0)
    noise = torch.Generator().manual_seed(0)
    steps = pipe.render(image, motion, generator=noise)
    return motion, np.concatenate([step.frames for step in steps if step.frames is not None])


def strip(image: np.ndarray, result: np.ndarray) -> np.ndarray:
    """(TALL,W,3) the picture and some frames of its take, side by side."""
    chosen = result[np.linspace(0, len(result) - 1, SHOWN).round().astype(int)]
    parts = [Image.fromarray(p) for p in (image, *chosen)]
    parts = [
        p.resize((max(1, round(p.width * TALL / p.height)), TALL), Image.Resampling.BICUBIC)
        for p in parts
    ]
    return np.concatenate([np.asarray(p) for p in parts], 1)


def stacked(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of different widths under each other, on white."""
    wide = max(row.shape[1] for row in rows)
    padded = [
        np.pad(r, ((0, 4), (0, wide - r.shape[1]), (0, 0)), constant_values=255) for r in rows
    ]
    return np.concatenate(padded)


def main(argv: list[str] | None = None) -> int:
    """Prints all takes; 0 when every change of valid pixels is small enough, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluation.photos", description=__doc__
    )
    add = parser.add_argument
    add("--model", default="mini")
    for name in ("references", "speech", "driving"):
        add(f"--{name}", nargs="+", type=Path, required=True)
    add("--sheet", type=Path, help="PNG to write: picture and frames, a row per take")
    add("--json", action="store_true")
    args = parser.parse_args(argv)
    pipe, found, rows = load.load(args.model, device="cpu"), [], []
    for reference, speech, driving in itertools.product(args.references, args.speech, args.driving):
        image = media.read_image(reference)
        sound = media.read_audio(speech)
        sound = Audio(sound.samples[: round(SECONDS * sound.rate)], sound.rate)
        motion, result = take(pipe, image, sound, driving)
        names = (reference.stem, speech.stem, driving.stem)
        found.append(Photo(*names, *measured(image, motion, result)))
        rows.append(strip(image, result))
        print(
            " ".join(
                str(v) if isinstance(v, str) else f"{v:.2f}" for v in asdict(found[-1]).values()
            )
        )
    if args.sheet is not None:
        Image.fromarray(stacked(rows)).save(args.sheet)
    worst = max(photo.change for photo in found)
    report = {
        "rows": [asdict(photo) for photo in found],
        "worst_change": worst,
        "pass": worst <= CHANGE,
    }
    print(
        json.dumps(report) if args.json else f"largest change {worst:.2f} of {CHANGE:g} grey levels"
    )
    return 0 if worst <= CHANGE else 1


if __name__ == "__main__":
    raise SystemExit(main())
