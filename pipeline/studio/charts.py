"""Pictures for the app: a sound with its intensity and accents; a skeleton laid over the reference image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from pipeline.motion import skeleton
from pipeline.motion.prosody import Prosody
from pipeline.values import Audio, Pose

PAPER, WAVE, CURVE, ACCENT = (250, 250, 252), (176, 188, 208), (214, 72, 36), (37, 84, 196)
GRID, INK = (228, 231, 238), (96, 104, 120)
TICKS = (0.5, 1, 2, 5, 10, 30, 60, 120)  # seconds between the lines of the time axis
CHOSEN, OTHER = (64, 220, 120), (255, 196, 40)  # boxes and numbers of people
TOP, AXIS = 34, 34  # rows above and under the waveform for the legend and the seconds


def waveform(audio: Audio, prosody: Prosody, size: tuple[int, int] = (300, 1200)) -> np.ndarray:
    """(H,W,3) uint8: waveform in grey, intensity in red, accents as blue bars as tall as they are strong."""
    whole = np.full((*size, 3), PAPER, np.uint8)
    for left, text, colour in (
        (12, "intensity", CURVE),
        (160, "accents", ACCENT),
        (290, "waveform", INK),
    ):
        cv2.putText(whole, text, (left, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.75, colour, 2, cv2.LINE_AA)
    picture = whole[TOP:]
    height, width = size[0] - TOP - AXIS, size[1]
    _axis(picture, audio.seconds, height)
    pieces = np.array_split(np.abs(audio.samples), min(width, len(audio.samples)))
    peak = max(float(np.abs(audio.samples).max()), 1e-6)
    for i, piece in enumerate(pieces):
        x, half = round(i * width / len(pieces)), int(0.47 * height * float(piece.max()) / peak)
        cv2.line(picture, (x, height // 2 - half), (x, height // 2 + half), WAVE, 1)
    floor, room = height - 2, 0.9 * height
    for seconds, strength in prosody.accents:
        x, top = round(seconds / audio.seconds * (width - 1)), round(floor - room * strength)
        cv2.line(picture, (x, floor), (x, top), ACCENT, 3, cv2.LINE_AA)
        cv2.circle(picture, (x, top), 7, ACCENT, -1, cv2.LINE_AA)
    x = (np.arange(len(prosody.intensity)) + 0.5) / len(prosody.intensity) * width
    curve = np.stack([x, floor - prosody.intensity * room], 1).round().astype(np.int32)
    cv2.polylines(picture, [curve], False, CURVE, 3, cv2.LINE_AA)
    return whole


def _axis(picture: np.ndarray, seconds: float, height: int) -> None:
    """Lines and numbers of the seconds, at most a dozen."""
    step = next((tick for tick in TICKS if seconds / tick <= 12), TICKS[-1])
    for i in range(1, int(seconds / step) + 1):
        x = round(i * step / seconds * picture.shape[1])
        cv2.line(picture, (x, 0), (x, height), GRID, 2)
        text = f"{i * step:g} s"
        wide = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.75, 2)[0][0]
        left = min(x - wide // 2, picture.shape[1] - wide - 4)
        cv2.putText(
            picture, text, (left, height + 27), cv2.FONT_HERSHEY_SIMPLEX, 0.75, INK, 2, cv2.LINE_AA
        )
    cv2.line(picture, (0, height), (picture.shape[1], height), GRID, 2)


def overlay(image: np.ndarray, pose: Pose, row: int, size: tuple[int, int]) -> np.ndarray:
    """(H,W,3) uint8: the reference image, dimmed, under the aligned skeleton of one frame."""
    return next(overlay_clip(image, pose[row : row + 1], size))


def overlay_clip(image: np.ndarray, pose: Pose, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yields (H,W,3) uint8 per frame: the reference image, dimmed, under the aligned skeleton."""
    dimmed = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA) // 2
    for drawn in skeleton.stream(pose, size, "preview"):
        yield cv2.copyTo(dimmed, cv2.inRange(drawn, (0, 0, 0), (0, 0, 0)), drawn.copy())


def numbered(picture: np.ndarray, people: Sequence[Pose], row: int, chosen: int) -> np.ndarray:
    """(H,W,3) uint8: one frame, darkened, under each person's skeleton, box and number; `chosen` in green."""
    size = picture.shape[:2]
    drawn = skeleton.draw([pose[row : row + 1] for pose in people], size, "preview")[0]
    shown = np.where(drawn.any(-1, keepdims=True), drawn, (picture * 0.7).astype(np.uint8))
    scale = max(size) / 900
    for index, pose in enumerate(people):
        seen = pose.body.visible[row]
        if seen.any():
            pixels = pose.body.xy[row, seen] * (size[1], size[0])
            _label(shown, pixels, str(index + 1), CHOSEN if index == chosen else OTHER, scale)
    return shown


def _label(picture: np.ndarray, pixels: np.ndarray, text: str, colour: tuple, scale: float) -> None:
    """A box around the points and, at its upper left corner, the text on the colour."""
    pad, thick, font = 12 * scale, max(1, round(2 * scale)), (cv2.FONT_HERSHEY_SIMPLEX, 1.3 * scale)
    (left, top), (right, bottom) = (
        (pixels.min(0) - pad).astype(int),
        (pixels.max(0) + pad).astype(int),
    )
    cv2.rectangle(picture, (left, top), (right, bottom), colour, thick, cv2.LINE_AA)
    (wide, high), _ = cv2.getTextSize(text, *font, 2 * thick)
    x = int(np.clip(left, 0, picture.shape[1] - wide - 2 * pad))
    y = int(np.clip(top - high - pad, 0, picture.shape[0] - high - 2 * pad))
    cv2.rectangle(picture, (x, y), (int(x + wide + pad), int(y + high + pad)), colour, -1)
    place = (int(x + pad / 2), int(y + high + pad / 2))
    cv2.putText(picture, text, place, *font, (0, 0, 0), 2 * thick, cv2.LINE_AA)
