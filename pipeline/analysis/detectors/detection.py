"""One person in one frame; from many of them the poses, their order, sentences for the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import cv2
import numpy as np

from pipeline.analysis.detectors import skeleton_check
from pipeline.motion import smoothing
from pipeline.motion.keypoints import MIRROR_BODY
from pipeline.values import VISIBLE, InputError, Keypoints, Pose

TREND_FRAMES = 6  # over which a person's velocity is measured, and for which it predicts the place
MIN_PRESENCE = 0.05  # share of a clip's frames in which a person must be seen to count
SAME_DIAGONALS = 0.1  # mean distance of the points of one person, in diagonals of the larger box

NO_PERSON = (
    "no person found in the picture: "
    "use one that shows a person from the head to at least the shoulders"
)
NO_FRAMES = "the driving clip has no frames; give a clip that plays"
NO_PERSON_CLIP = "no person found in the clip: it drives nothing"
NO_FACE = (
    "the person's face is not visible in the picture (turned away, covered or too small), "
    "so the mouth cannot be moved in its place"
)


class NoPersonError(InputError):
    """Nobody is seen in a picture; somebody may be in sight from closer."""


Seen = TypeVar("Seen", bound="Sighting")  # a sighting of a detector's own kind


@dataclass(frozen=True)
class Sighting:
    """One person in one frame, in fractions of the picture."""

    body: np.ndarray  # (18,3) x, y, score
    hands: np.ndarray  # (42,3), left hand first
    face: np.ndarray  # (68,3)
    mask: np.ndarray | None = None  # (H,W) float32

    def box(self) -> tuple[float, float, float, float]:
        """Return x0, y0, x1, y1 of the visible body points; zeros where none is visible."""
        visible = self.body[:, 2] > VISIBLE
        points = self.body[visible, :2]
        if not len(points):
            return 0.0, 0.0, 0.0, 0.0
        return (*points.min(0), *points.max(0))

    def center(self) -> np.ndarray:
        """Return (2,) the middle of the box."""
        x0, y0, x1, y1 = self.box()
        return np.array([x0 + x1, y0 + y1]) / 2

    def area(self) -> float:
        """Return the share of the picture inside the box."""
        x0, y0, x1, y1 = self.box()
        return (x1 - x0) * (y1 - y0)

    def share_inside(self, other: Sighting) -> float:
        """Return the share of this box that lies in the other's box."""
        area = self.area()
        if area <= 0:
            return 0.0
        x0, y0, x1, y1 = self.box()
        other_x0, other_y0, other_x1, other_y1 = other.box()
        width = min(x1, other_x1) - max(x0, other_x0)
        height = min(y1, other_y1) - max(y0, other_y0)
        return max(0.0, width) * max(0.0, height) / area

    def is_same_person(self, other: Sighting, diagonals: float = SAME_DIAGONALS) -> bool:
        """Tell whether the points that both see are near each other.

        Their mean distance is compared with `diagonals` times the diagonal of the larger box.

        Left and right may be swapped: two looks at one turned person can differ in that.
        """
        larger = self if self.area() > other.area() else other
        x0, y0, x1, y1 = larger.box()
        limit = diagonals * np.hypot(x1 - x0, y1 - y0)
        if self._is_within(other.body, limit):
            return True
        return self._is_within(other.body[MIRROR_BODY], limit)

    def _is_within(self, body: np.ndarray, limit: float) -> bool:
        """Tell whether the points that both bodies show lie, on average, nearer than `limit`."""
        both = (self.body[:, 2] > VISIBLE) & (body[:, 2] > VISIBLE)
        if not both.any():
            return False
        distances = np.linalg.norm(self.body[both, :2] - body[both, :2], axis=1)
        return bool(distances.mean() < limit)


def in_picture(points: np.ndarray) -> np.ndarray:
    """Give score 0 to the points (K,3) outside the picture; return all in their places.

    The size of a face whose jaw the frame cuts off is measured on all 68 points.
    """
    points = points.copy()
    outside = (points[:, :2] < 0) | (points[:, :2] > 1)
    points[outside.any(axis=1), 2] = 0
    points[:, 2] = points[:, 2].clip(0, 1)
    return points


def center_distance(a: Sighting, b: Sighting) -> float:
    """Return the distance of the two boxes' centers, in picture widths and heights."""
    return float(np.linalg.norm(a.center() - b.center()))


def prediction_error(track: dict[int, Seen], frame: int, person: Sighting) -> float:
    """Return the distance between a person in `frame` and the place that a track predicts.

    The prediction extrapolates the mean velocity of the last TREND_FRAMES frames, for at most as
    many, so that people who cross keep their tracks. The track's frames are in order.
    """
    past = [t for t in islice(reversed(track), TREND_FRAMES + 1) if t < frame]
    if not past:
        return 0.0
    newest = past[0]
    oldest = past[-1]
    last = track[newest].center()
    first = track[oldest].center()
    velocity = (last - first) / max(newest - oldest, 1)
    frames_ahead = min(frame - newest, TREND_FRAMES)
    return float(np.linalg.norm(person.center() - last - velocity * frames_ahead))


def pose(sightings: list[Sighting | None], fps: float, size: tuple[int, int]) -> Pose:
    """Return the pose of one person over all frames, missing where there is no sighting."""
    result = Pose.empty(len(sightings), fps, size)
    for t, sighting in enumerate(sightings):
        if sighting is None:
            continue
        _write_points(result.body, t, sighting.body)
        _write_points(result.hands, t, sighting.hands)
        _write_points(result.face, t, sighting.face)
    return result


def _write_points(keypoints: Keypoints, t: int, points: np.ndarray) -> None:
    keypoints.xy[t] = points[:, :2]
    keypoints.score[t] = points[:, 2]


def rank(
    tracks: Sequence[Mapping[int, Sighting]], frames: int, fps: float, size: tuple[int, int]
) -> tuple[Pose, ...]:
    """Return one smoothed pose per person who is seen long enough, largest first.

    The largest person is the one with the largest area, summed over the frames.
    """
    least_frames = max(1.0, MIN_PRESENCE * frames)
    long_tracks = [track for track in tracks if len(track) >= least_frames]
    long_tracks.sort(key=_total_area, reverse=True)
    people = []
    for track in long_tracks:
        sightings = [track.get(i) for i in range(frames)]
        people.append(smoothing.still(pose(sightings, fps, size)))
    return tuple(people)


def _total_area(track: Mapping[int, Sighting]) -> float:
    return sum(sighting.area() for sighting in track.values())


def picture_size(image: np.ndarray) -> tuple[int, int]:
    """Return (H, W) of a picture (H,W,3) or of a chunk's frames (T,H,W,3)."""
    height, width = image.shape[-3:-1]
    return height, width


def shrink(image: np.ndarray, max_side: int) -> np.ndarray:
    """Shrink the picture to at most `max_side` pixels.

    Averaging keeps small faces from aliasing.
    """
    factor = max_side / max(image.shape[:2])
    if factor >= 1:
        return np.ascontiguousarray(image)
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def check(image: np.ndarray) -> None:
    """Refuse a picture that is not RGB bytes or that is an already drawn skeleton."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"the detector needs an RGB picture (H, W, 3) of bytes, got {image.shape} {image.dtype}"
        )
    if skeleton_check.is_skeleton(image):
        raise InputError(f"the picture {skeleton_check.SENTENCE}")


def notes(people: tuple[Pose, ...]) -> tuple[str, ...]:
    """Return sentences for the user on a picture in which a person was found."""
    sentences = []
    if len(people) > 1:
        sentences.append(largest_note(len(people)))
    if not people[0].face.visible.any():
        sentences.append(NO_FACE)
    return tuple(sentences)


def largest_note(count: int) -> str:
    """Return the sentence on a picture of several people, of whom nobody was chosen."""
    return f"{count} people found in the picture; the largest is used"


def clip_notes(people: tuple[Pose, ...]) -> tuple[str, ...]:
    """Return sentences for the user on a clip."""
    if not people:
        return (NO_PERSON_CLIP,)
    sentences = []
    if len(people) > 1:
        sentences.append(f"{len(people)} people found in the clip; the largest is used")
    if not people[0].face.visible.any():
        sentences.append("no face found in any frame of the clip")
    return tuple(sentences)
