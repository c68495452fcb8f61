"""Pictures of a sound: waveform with prosodic intensity and accents, and a skeleton laid over the reference."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.clips import Audio, Pose
from pipeline.motion import skeleton
from pipeline.motion.prosody import Prosody

PAPER, WAVE, CURVE, ACCENT, GRID = (250, 250, 252), (178, 190, 210), (220, 80, 40), (40, 90, 200), (225, 228, 235)


def waveform(audio: Audio, prosody: Prosody, size: tuple[int, int] = (180, 900)) -> np.ndarray:
    """(H,W,3) uint8: waveform in grey, intensity in red, accents as blue bars as tall as they are strong."""
    height, width = size
    picture = np.full((height, width, 3), PAPER, np.uint8)
    for second in range(1, int(audio.seconds) + 1):
        x = round(second / audio.seconds * width)
        cv2.line(picture, (x, 0), (x, height), GRID, 1)
    pieces = np.array_split(np.abs(audio.samples), min(width, len(audio.samples)))
    peak = max(float(np.abs(audio.samples).max()), 1e-6)
    for i, piece in enumerate(pieces):
        x, half = round(i * width / len(pieces)), int(0.45 * height * float(piece.max()) / peak)
        cv2.line(picture, (x, height // 2 - half), (x, height // 2 + half), WAVE, 1)
    for seconds, strength in prosody.accents:
        x = round(seconds / audio.seconds * (width - 1))
        cv2.line(picture, (x, height - 1), (x, height - 1 - int(0.9 * height * strength)), ACCENT, 3)
    x = (np.arange(len(prosody.intensity)) + 0.5) / len(prosody.intensity) * width
    y = height - 1 - prosody.intensity * 0.9 * height
    curve = np.stack([x, y], 1).round().astype(np.int32)
    cv2.polylines(picture, [curve], False, CURVE, 2, cv2.LINE_AA)
    return picture


def overlay(image: np.ndarray, pose: Pose, row: int, size: tuple[int, int]) -> np.ndarray:
    """(H,W,3) uint8: the reference image, dimmed, under the aligned skeleton of one frame."""
    dimmed = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA) // 2
    drawn = skeleton.draw(pose[row : row + 1], size, "preview")[0]
    return np.where(drawn.any(-1, keepdims=True), drawn, dimmed)
