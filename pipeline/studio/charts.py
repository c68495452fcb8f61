"""Pictures for the app: the speech with its intensity and accents; skeletons over a picture.

Colors are RGB, sizes (H, W) in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from pipeline.motion import skeleton
from pipeline.motion.prosody import Prosody
from pipeline.values import Audio, Pose

Color = tuple[int, int, int]

PAPER_COLOR = (250, 250, 252)
WAVE_COLOR = (176, 188, 208)
CURVE_COLOR = (214, 72, 36)
ACCENT_COLOR = (37, 84, 196)
GRID_COLOR = (228, 231, 238)
INK_COLOR = (96, 104, 120)
CHOSEN_COLOR = (64, 220, 120)  # box and number of the person who drives
OTHER_COLOR = (255, 196, 40)  # boxes and numbers of the others
LABEL_COLOR = (0, 0, 0)

LEGEND = (
    (12, "intensity", CURVE_COLOR),
    (160, "accents", ACCENT_COLOR),
    (290, "waveform", INK_COLOR),
)
LEGEND_PX = 34  # rows above the waveform
LEGEND_BASELINE_PX = 25
AXIS_PX = 34  # rows under the waveform
AXIS_BASELINE_PX = 27
TICKS_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120)  # possible distances between two lines of the axis
MOST_TICKS = 12
WAVE_HALF_HEIGHT = 0.47  # share of the chart's height at the loudest sample
CURVE_HEIGHT = 0.9  # share of the chart's height at intensity or strength 1
QUIETEST_PEAK = 1e-6  # keeps silence from being divided by zero

FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SCALE = 0.75
FONT_THICKNESS_PX = 2

SHADE = 0.7  # brightness of the picture under numbered people
PICTURE_SIDE_PX = 900  # the longer side at which lines and numbers of people have their plain size
LABEL_PADDING_PX = 12
LABEL_LINE_PX = 2
LABEL_FONT_SCALE = 1.3


def waveform(audio: Audio, prosody: Prosody, size: tuple[int, int] = (300, 1200)) -> np.ndarray:
    """Draw the waveform in gray, the intensity in red and the accents as blue bars: (H,W,3) uint8.

    A bar is as tall as its accent is strong.
    """
    whole = np.full((*size, 3), PAPER_COLOR, np.uint8)
    for left, text, color in LEGEND:
        _write(whole, text, (left, LEGEND_BASELINE_PX), color)
    picture = whole[LEGEND_PX:]
    height = size[0] - LEGEND_PX - AXIS_PX
    _draw_axis(picture, audio.seconds, height)
    _draw_wave(picture, audio.samples, height)
    floor = height - 2
    full_height = CURVE_HEIGHT * height
    _draw_accents(picture, prosody.accents, audio.seconds, floor, full_height)
    _draw_curve(picture, prosody.intensity, floor, full_height)
    return whole


def _write(picture: np.ndarray, text: str, place: tuple[int, int], color: Color) -> None:
    """Write text with its lower left corner at `place` (x, y)."""
    cv2.putText(picture, text, place, FONT, FONT_SCALE, color, FONT_THICKNESS_PX, cv2.LINE_AA)


def _draw_axis(picture: np.ndarray, seconds: float, height: int) -> None:
    """Draw lines and numbers of the seconds, at most a dozen."""
    width = picture.shape[1]
    fitting = (tick for tick in TICKS_SECONDS if seconds / tick <= MOST_TICKS)
    step = next(fitting, TICKS_SECONDS[-1])
    for number in range(1, int(seconds / step) + 1):
        x = round(number * step / seconds * width)
        cv2.line(picture, (x, 0), (x, height), GRID_COLOR, 2)
        text = f"{number * step:g} s"
        (text_width, _), _ = cv2.getTextSize(text, FONT, FONT_SCALE, FONT_THICKNESS_PX)
        left = min(x - text_width // 2, width - text_width - 4)
        _write(picture, text, (left, height + AXIS_BASELINE_PX), INK_COLOR)
    cv2.line(picture, (0, height), (width, height), GRID_COLOR, 2)


def _draw_wave(picture: np.ndarray, samples: np.ndarray, height: int) -> None:
    """Draw one vertical line per column, as long as its loudest sample is loud."""
    width = picture.shape[1]
    loudness = np.abs(samples)
    pieces = np.array_split(loudness, min(width, len(samples)))
    peak = max(float(loudness.max()), QUIETEST_PEAK)
    middle = height // 2
    for column, piece in enumerate(pieces):
        x = round(column * width / len(pieces))
        half = int(WAVE_HALF_HEIGHT * height * float(piece.max()) / peak)
        cv2.line(picture, (x, middle - half), (x, middle + half), WAVE_COLOR, 1)


def _draw_accents(
    picture: np.ndarray, accents: np.ndarray, seconds: float, floor: int, full_height: float
) -> None:
    """Draw the accents (N,2), seconds and strengths, as bars on the row `floor`."""
    width = picture.shape[1]
    for time, strength in accents:
        x = round(time / seconds * (width - 1))
        top = round(floor - full_height * strength)
        cv2.line(picture, (x, floor), (x, top), ACCENT_COLOR, 3, cv2.LINE_AA)
        cv2.circle(picture, (x, top), 7, ACCENT_COLOR, -1, cv2.LINE_AA)


def _draw_curve(picture: np.ndarray, intensity: np.ndarray, floor: int, full_height: float) -> None:
    """Draw the intensity (T,) as a line over the row `floor`."""
    frames = len(intensity)
    x = (np.arange(frames) + 0.5) / frames * picture.shape[1]
    y = floor - intensity * full_height
    points = np.stack([x, y], 1).round().astype(np.int32)
    cv2.polylines(picture, [points], False, CURVE_COLOR, 3, cv2.LINE_AA)


def overlay(image: np.ndarray, pose: Pose, row: int, size: tuple[int, int]) -> np.ndarray:
    """Draw the skeleton of one frame over the dimmed reference image: (H,W,3) uint8."""
    return next(overlay_clip(image, pose[row : row + 1], size))


def overlay_clip(image: np.ndarray, pose: Pose, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield the skeleton of each frame over the dimmed reference image: (H,W,3) uint8."""
    height, width = size
    dimmed = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) // 2
    for drawn in skeleton.stream(pose, size, "preview"):
        is_black = cv2.inRange(drawn, (0, 0, 0), (0, 0, 0))
        yield cv2.copyTo(dimmed, is_black, drawn.copy())


def numbered(picture: np.ndarray, people: Sequence[Pose], row: int, chosen: int) -> np.ndarray:
    """Draw each person's skeleton, box and number of one frame over the darkened picture.

    Args:
        picture: (H,W,3) uint8.
        people: the poses of the clip, in the order of their numbers.
        row: the frame.
        chosen: the index of the person whose box is green.
    """
    height, width = picture.shape[:2]
    frame = [pose[row : row + 1] for pose in people]
    drawn = skeleton.draw(frame, (height, width), "preview")[0]
    darkened = (picture * SHADE).astype(np.uint8)
    shown = np.where(drawn.any(-1, keepdims=True), drawn, darkened)
    scale = max(height, width) / PICTURE_SIDE_PX
    for index, pose in enumerate(people):
        seen = pose.body.visible[row]
        if seen.any():
            points = pose.body.xy[row, seen] * (width, height)
            color = CHOSEN_COLOR if index == chosen else OTHER_COLOR
            _draw_label(shown, points, str(index + 1), color, scale)
    return shown


def _draw_label(
    picture: np.ndarray, points: np.ndarray, text: str, color: Color, scale: float
) -> None:
    """Draw a box around the points (N,2) in pixels and, at its upper left corner, the text."""
    padding = LABEL_PADDING_PX * scale
    thickness = max(1, round(LABEL_LINE_PX * scale))
    font_scale = LABEL_FONT_SCALE * scale
    left, top = (points.min(0) - padding).astype(int)
    right, bottom = (points.max(0) + padding).astype(int)
    cv2.rectangle(picture, (left, top), (right, bottom), color, thickness, cv2.LINE_AA)
    (text_width, text_height), _ = cv2.getTextSize(text, FONT, font_scale, 2 * thickness)
    height, width = picture.shape[:2]
    x = int(np.clip(left, 0, width - text_width - 2 * padding))
    y = int(np.clip(top - text_height - padding, 0, height - text_height - 2 * padding))
    corner = (int(x + text_width + padding), int(y + text_height + padding))
    cv2.rectangle(picture, (x, y), corner, color, -1)
    place = (int(x + padding / 2), int(y + text_height + padding / 2))
    cv2.putText(picture, text, place, FONT, font_scale, LABEL_COLOR, 2 * thickness, cv2.LINE_AA)
