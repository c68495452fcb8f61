"""One person in one frame, and what follows from many: poses, their order, sentences for the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np

from pipeline.analysis.detectors import skeleton_check
from pipeline.motion import smoothing
from pipeline.motion.keypoints import MIRROR_BODY
from pipeline.values import VISIBLE, InputError, Pose

TREND = (
    6  # frames over which a person's walk is measured, and after which it is not believed any more
)
MIN_PRESENCE = 0.05  # share of a clip's frames in which a person must be seen to count

NO_PERSON = "no person found in the picture: use one that shows a person from the head to at least the shoulders"
NO_FRAMES = "the driving clip has no frames; give a clip that plays"
NO_PERSON_CLIP = (
    "no person found in the clip: its skeleton stays black, so the body is not driven by it"
)
NO_FACE = (
    "the person's face is not visible in the picture (turned away, covered or too small), "
    "so the mouth cannot be moved in its place"
)


@dataclass(frozen=True)
class Sighting:
    """One person in one frame, in fractions of the picture; `rect` is where to look in the next."""

    body: np.ndarray  # (18, 3) x, y, score
    hands: np.ndarray  # (42, 3), left hand first
    face: np.ndarray  # (68, 3)
    mask: np.ndarray | None = None  # (H, W) float32
    rect: Any = None

    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the visible body points, as fractions; zeros where none is visible."""
        seen = self.body[self.body[:, 2] > VISIBLE, :2]
        if not len(seen):
            return 0.0, 0.0, 0.0, 0.0
        return (*seen.min(0), *seen.max(0))

    def centre(self) -> np.ndarray:
        """(2,) middle of the box."""
        x0, y0, x1, y1 = self.box()
        return np.array([x0 + x1, y0 + y1]) / 2

    def area(self) -> float:
        """Share of the picture inside the box."""
        x0, y0, x1, y1 = self.box()
        return (x1 - x0) * (y1 - y0)

    def inside(self, other: Sighting) -> float:
        """Share of this box that lies in the other's box."""
        (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = self.box(), other.box()
        shared = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
        return shared / self.area() if self.area() > 0 else 0.0

    def same_person(self, other: Sighting, near: float = 0.1) -> bool:
        """Whether the points that both see lie, on average, within `near` of the larger box's diagonal.

        Left and right may be exchanged: two looks at one turned person can differ in that.
        """
        x0, y0, x1, y1 = self.box() if self.area() > other.area() else other.box()
        for order in (slice(None), MIRROR_BODY):
            body = other.body[order]
            both = (self.body[:, 2] > VISIBLE) & (body[:, 2] > VISIBLE)
            if both.any():
                apart = np.linalg.norm(self.body[both, :2] - body[both, :2], axis=1).mean()
                if apart < near * np.hypot(x1 - x0, y1 - y0):
                    return True
        return False


def in_picture(points: np.ndarray) -> np.ndarray:
    """The same points (K, 3) with score 0, and so missing, where they lie outside the picture.

    They keep their places: the size of a face whose jaw the frame cuts off is measured on all 68.
    """
    points = points.copy()
    points[((points[:, :2] < 0) | (points[:, :2] > 1)).any(axis=1), 2] = 0
    points[:, 2] = points[:, 2].clip(0, 1)
    return points


def distance(a: Sighting, b: Sighting) -> float:
    """Distance of the two boxes' centres, in picture widths and heights."""
    return float(np.linalg.norm(a.centre() - b.centre()))


def strayed(history: dict[int, Sighting], frame: int, found: Sighting) -> float:
    """How far `found` in `frame` lies from where a person with this history (in order) walks on.

    People who cross have one place but not one speed; it is taken over TREND frames and believed for as many.
    """
    past = [t for t in islice(reversed(history), TREND + 1) if t < frame]
    if not past:
        return 0.0
    last, first = (history[t].centre() for t in (past[0], past[-1]))
    speed = (last - first) / max(past[0] - past[-1], 1)
    return float(np.linalg.norm(found.centre() - last - speed * min(frame - past[0], TREND)))


def pose(sightings: list[Sighting | None], fps: float, size: tuple[int, int]) -> Pose:
    """The pose of one person over all frames, missing where there is no sighting."""
    made = Pose.empty(len(sightings), fps, size)
    for t, sighting in enumerate(sightings):
        if sighting is not None:
            for keypoints, part in (
                (made.body, "body"),
                (made.hands, "hands"),
                (made.face, "face"),
            ):
                points = getattr(sighting, part)
                keypoints.xy[t], keypoints.score[t] = points[:, :2], points[:, 2]
    return made


def rank(
    histories: Sequence[Mapping[int, Sighting]], frames: int, fps: float, size: tuple[int, int]
) -> tuple[Pose, ...]:
    """One stilled pose per person who is seen long enough, largest (area summed over the frames) first."""
    stayed = [seen for seen in histories if len(seen) >= max(1.0, MIN_PRESENCE * frames)]
    stayed.sort(key=lambda seen: sum(s.area() for s in seen.values()), reverse=True)
    return tuple(
        smoothing.still(pose([seen.get(i) for i in range(frames)], fps, size)) for seen in stayed
    )


def shrunk(image: np.ndarray, max_side: int) -> np.ndarray:
    """The picture with its long side at most `max_side`, averaged, so that small faces do not alias."""
    factor = max_side / max(image.shape[:2])
    if factor >= 1:
        return np.ascontiguousarray(image)
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def check(image: np.ndarray) -> None:
    """Raises ValueError where a picture is not RGB bytes or is an already drawn skeleton."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"the detector needs an RGB picture (H, W, 3) of bytes, got {image.shape} {image.dtype}"
        )
    if skeleton_check.is_skeleton(image):
        raise InputError(f"the picture {skeleton_check.SAID}")


def notes(people: tuple[Pose, ...]) -> tuple[str, ...]:
    """Sentences on a picture in which a person was found."""
    said = []
    if len(people) > 1:
        said.append(f"{len(people)} people found in the picture; the largest is used")
    if not people[0].face.visible.any():
        said.append(NO_FACE)
    return tuple(said)


def clip_notes(people: tuple[Pose, ...]) -> tuple[str, ...]:
    """Sentences on a clip."""
    if not people:
        return (NO_PERSON_CLIP,)
    said = []
    if len(people) > 1:
        said.append(f"{len(people)} people found in the clip; the largest is used")
    if not people[0].face.visible.any():
        said.append("no face found in any frame of the clip")
    return tuple(said)
