"""Takes: every photograph moved by every speech and clip, as a user gets it.

Identity: where the warp shows the picture's own pixels, the result must keep them. Mouth: its
darkness follows the gap of the lips that drive it. The contact sheet is for eyes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline import media
from pipeline.analysis.progress import finish
from pipeline.evaluation.metrics.correlation import correlation
from pipeline.evaluation.photos import sheet
from pipeline.evaluation.report import DEFINITIONS, Report, Row
from pipeline.motion.keypoints import CHIN, INNER_LIP, NOSE_ROOT
from pipeline.motion.partial_arms import rested
from pipeline.motion.refocus import refocus
from pipeline.render import draft, load, tensors, warp
from pipeline.render.base import AudioPosePipeline
from pipeline.values import Audio, Motion

FPS = 12.5
SECONDS = 2.4
MOST_CHANGE = 3.0  # gray levels of 255: valid pixels may change by no more on average
SURE_VALIDITY = 0.9  # from here on a pixel counts as the picture's own
MOUTH_REACH_FACE_HEIGHTS = 0.07  # half the side of the square between the lips
LEAST_REACH_PX = 2
UPPER_LIP, LOWER_LIP = 62, 66  # the middle points of the inner lips


@dataclass(frozen=True)
class Photo:
    """One take.

    Args:
        reference: Name of the picture.
        speech: Name of the speech.
        driving: Name of the clip.
        change: Mean change of valid pixels in gray levels of 255.
        mouth_r: Pearson's r of the lips' gap and the mouth's darkness.
        gap: Largest opening of the lips over the face's height.
    """

    reference: str
    speech: str
    driving: str
    change: float
    mouth_r: float
    gap: float

    @property
    def title(self) -> str:
        """The take's name in rows."""
        return f"{self.reference}, {self.speech}, {self.driving}"


def measure(image: np.ndarray, motion: Motion, result: np.ndarray) -> tuple[float, float, float]:
    """Return change, mouth_r and gap of frames (T, H, W, 3) of a picture and a motion."""
    height, width = result.shape[1:3]
    size = (height, width)
    plates = draft.layers(image, motion, size)
    motion = rested(motion, draft.arm_stability(plates))
    moved = warp.warp(plates, warp.Points.timed(motion.pose), size)
    warped = tensors.to_frames(moved.image[0]).astype(np.float32)
    is_valid = moved.validity[0, :, 0].numpy() > SURE_VALIDITY
    changes = np.abs(result.astype(np.float32) - warped).mean(3)
    face = motion.pose.face.xy * np.array([width, height])
    face_heights = np.linalg.norm(face[:, CHIN] - face[:, NOSE_ROOT], axis=1)
    gap = np.linalg.norm(face[:, UPPER_LIP] - face[:, LOWER_LIP], axis=1) / face_heights
    reach = max(LEAST_REACH_PX, round(MOUTH_REACH_FACE_HEIGHTS * float(face_heights.mean())))
    centers = face[:, INNER_LIP].mean(1).round().astype(int)
    darkness = [
        _darkness(frame, x, y, reach) for frame, (x, y) in zip(result, centers, strict=True)
    ]
    mouth_r = correlation(np.array(darkness), gap)
    return float(changes[is_valid].mean()), mouth_r, float(gap.max())


def _darkness(frame: np.ndarray, x: int, y: int, reach: int) -> float:
    """Return the negative mean of the square around a point; 0 where it lies outside the frame."""
    square = frame[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
    return -float(square.mean()) if square.size else 0.0


def take(
    pipe: AudioPosePipeline, image: np.ndarray, audio: Audio, driving: Path
) -> tuple[Motion, np.ndarray]:
    """Make the motion at slider 1 and its frames (T, H, W, 3) at the model's own output size."""
    analysis = finish(pipe.analyse(image, audio, driving, fps=FPS))
    motion = refocus(analysis.motion, 1.0)
    noise = torch.Generator().manual_seed(0)
    steps = pipe.render(image, motion, generator=noise)
    chunks = [step.frames for step in steps if step.frames is not None]
    return motion, np.concatenate(chunks)


def table(photos: Sequence[Photo]) -> list[Row]:
    """Return the rows: each take's figures, and the largest change of all."""
    rows = []
    for photo in photos:
        change_name = f"{photo.title}: change of valid pixels, gray levels"
        rows += [
            Row(change_name, photo.change, MOST_CHANGE),
            Row(f"{photo.title}: r of the lips' gap and the mouth's darkness", photo.mouth_r),
            Row(f"{photo.title}: largest gap over the face's height", photo.gap),
        ]
    worst = max(photo.change for photo in photos)
    return [*rows, Row("largest change of valid pixels, gray levels", worst, MOST_CHANGE)]


@dataclass(frozen=True)
class Inputs:
    """Paths of photographs, sound files and clips; each is taken with each."""

    references: Sequence[Path]
    speech: Sequence[Path]
    driving: Sequence[Path]


def report(model: str, inputs: Inputs, sheet_path: Path | None) -> tuple[Report, str]:
    """Make all takes with a model; return their report and its heading, and write the sheet."""
    pipe = load.load(model, device="cpu")
    photos = []
    strips = []
    for reference, speech, driving in itertools.product(
        inputs.references, inputs.speech, inputs.driving
    ):
        image = media.read_image(reference)
        sound = media.read_audio(speech)
        count = round(SECONDS * sound.rate)
        sound = Audio(sound.samples[:count], sound.rate)
        motion, result = take(pipe, image, sound, driving)
        change, mouth_r, gap = measure(image, motion, result)
        photos.append(Photo(reference.stem, speech.stem, driving.stem, change, mouth_r, gap))
        strips.append(sheet.take_row(image, result))
    if sheet_path is not None:
        sheet.write(strips, sheet_path)
    rows = table(photos)
    facts = {"takes": [asdict(photo) for photo in photos], "worst_change": rows[-1].value}
    return Report(rows, DEFINITIONS["photos"], facts), f"{len(photos)} takes"
