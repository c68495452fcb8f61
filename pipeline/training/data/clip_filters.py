"""Which clips of a video are good for training: one person, a pose, long and sharp enough."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.motion.retarget import shots
from pipeline.training.data.training_clips import Kind
from pipeline.values import Detection, Keypoints, Pose

UNREADABLE = "unreadable"
DUPLICATE = "a copy of another file"
SHORT = "too short"
SMALL = "too small"
NOBODY = "no person"
SEVERAL = "several people"
CUT = "a cut inside"
FEW_POSES = "a pose in too few frames"
BLURRED = "not sharp"
REASONS = (UNREADABLE, DUPLICATE, SHORT, SMALL, NOBODY, SEVERAL, CUT, FEW_POSES, BLURRED)

MEASURED_FRAMES = 5  # of a clip, whose sharpness is measured
# Rows of the box in which sharpness is measured: what is blurred at that size looks blurred in a
# picture of 768 rows, in which the frame of a face clip has 270, and a body 700
SHARPNESS_ROWS = {"face": 128, "body": 512}
# Clips of 22 videos have .15 to .55 in close faces and .1 to .37 in bodies. Blurred by a hundredth
# of the picture's height, they have .04 to .2 and .01 to .05.
LEAST_SHARPNESS = {"face": 0.1, "body": 0.05}
BOX_MARGIN = 0.1  # around the points, of their box's sides
CHANGE_SIZE = (64, 64)  # (W, H) of the pictures that are compared for a cut
CUT_RATIO = 3.0  # of the change at a cut over the median one
LEAST_CHANGE = 0.5  # gray levels; frames of a still picture differ less
OTHER_PRESENCE = 0.1  # share of the frames in which a second person counts
OTHER_HEIGHT = 0.25  # of the first person's height: smaller people are far behind


@dataclass(frozen=True)
class Filters:
    """Limits of what is kept.

    least_seconds: of a clip. least_side_px: of its frames' shorter side.
    least_pose_share: of the frames with a pose. least_sharpness: see `sharpness`.
    """

    least_seconds: float = 1.0
    least_side_px: int = 256
    least_pose_share: float = 0.5
    least_sharpness: float = LEAST_SHARPNESS["face"]


@dataclass(frozen=True)
class Drop:
    """Why a clip is not kept: one of REASONS, and a number or sentence for the report."""

    reason: str
    detail: str


def too_short(frames: int, fps: float, filters: Filters) -> Drop | None:
    """Check the length of a shot."""
    seconds = frames / fps
    if seconds >= filters.least_seconds:
        return None
    return Drop(SHORT, f"{seconds:.2f} s of at least {filters.least_seconds:g} s")


def too_small(size: tuple[int, int], filters: Filters) -> Drop | None:
    """Check the size (H,W) of a video."""
    if min(size) >= filters.least_side_px:
        return None
    height, width = size
    return Drop(SMALL, f"{width}x{height} pixels, of at least {filters.least_side_px} a side")


def not_one_person(detection: Detection) -> Drop | None:
    """Check who is in a clip."""
    people = detection.people
    if not people:
        return Drop(NOBODY, "; ".join(detection.notes) or "nobody was seen")
    others = sum(_counts(other, people[0]) for other in people[1:])
    if others:
        return Drop(SEVERAL, f"{1 + others} people")
    return None


def cut_inside(frames: np.ndarray, pose: Pose) -> Drop | None:
    """Check that nobody jumps as only a cut can make them, while the picture changes at once.

    Somebody who turns around jumps, too, as detectors see it, in a picture that does not.
    """
    starts = [shot.start for shot in shots.shots(pose)[1:]]
    if not starts:
        return None
    changes = _changes(frames)
    usual = float(np.median(changes))
    for start in starts:
        if changes[start - 1] > CUT_RATIO * max(usual, LEAST_CHANGE):
            return Drop(CUT, f"{start / pose.fps:.2f} s into the clip")
    return None


def _changes(frames: np.ndarray) -> np.ndarray:
    """Measure the mean difference (T-1,) of each small gray frame from the one before."""
    small = []
    for frame in frames:
        shrunk = cv2.resize(frame, CHANGE_SIZE, interpolation=cv2.INTER_AREA)
        gray = cv2.cvtColor(shrunk, cv2.COLOR_RGB2GRAY)
        small.append(gray.astype(np.float32))
    differences = np.diff(np.stack(small), axis=0)
    return np.abs(differences).mean((1, 2))


def few_poses(pose: Pose, kind: Kind, filters: Filters) -> Drop | None:
    """Check in how many frames the face, or a body with both shoulders, is seen."""
    share = float(has_pose(pose, kind).mean())
    if share >= filters.least_pose_share:
        return None
    return Drop(FEW_POSES, f"{share:.0%} of the frames, of at least {filters.least_pose_share:.0%}")


def has_pose(pose: Pose, kind: Kind) -> np.ndarray:
    """Tell in which frames (T,) bool the part that a kind of clip is about is seen."""
    if kind == "face":
        return pose.face.visible.any(1)
    return pose.body.all_seen((1, 2, 5))  # neck and shoulders


def blurred(frames: np.ndarray, pose: Pose, kind: Kind, filters: Filters) -> Drop | None:
    """Check the sharpness of the face, or of the body."""
    value = sharpness(frames, pose, kind)
    if value >= filters.least_sharpness:
        return None
    return Drop(BLURRED, f"sharpness {value:.3f} of at least {filters.least_sharpness:g}")


def sharpness(frames: np.ndarray, pose: Pose, kind: Kind) -> float:
    """Measure the detail of the face or body: that of the median frame of a few.

    Detail is the deviation of a Laplacian over the deviation of the gray picture itself, so that
    neither light nor contrast counts. 0 where no frame shows the part.
    """
    points = pose.face if kind == "face" else pose.body
    shown = np.flatnonzero(has_pose(pose, kind))
    if not len(shown):
        return 0.0
    picks = np.linspace(0, len(shown) - 1, MEASURED_FRAMES)
    rows = np.unique(shown[picks.astype(int)])
    values = []
    for t in rows:
        part = _cut_out(frames[t], points, t)
        values.append(_detail(part, SHARPNESS_ROWS[kind]))
    return float(np.median(values))


def _counts(other: Pose, first: Pose) -> bool:
    """Tell whether a second person is seen long enough, and is large enough, to disturb."""
    seen = other.body.visible.any(1)
    if seen.mean() < OTHER_PRESENCE:
        return False
    return _height(other) > OTHER_HEIGHT * _height(first)


def _height(person: Pose) -> float:
    """Return the median height of the visible body points in fractions of the picture."""
    seen = person.body.visible
    frames = seen.any(1)
    if not frames.any():
        return 0.0
    y = person.body.xy[frames, :, 1]
    visible = seen[frames]
    low = np.where(visible, y, np.inf).min(1)
    high = np.where(visible, y, -np.inf).max(1)
    return float(np.median(high - low))


def _cut_out(frame: np.ndarray, points: Keypoints, t: int) -> np.ndarray:
    """Return the gray box (h,w) float32 around the visible points of a frame (H,W,3)."""
    height, width = frame.shape[:2]
    xy = points.xy[t, points.visible[t]]
    low = xy.min(0)
    high = xy.max(0)
    margin = BOX_MARGIN * (high - low)
    corner = (low - margin) * (width, height)
    left, top = np.floor(corner).astype(int).clip(0)
    corner = (high + margin) * (width, height)
    right, bottom = np.ceil(corner).astype(int).clip(0)
    box = frame[top:bottom, left:right]
    if not box.size:
        return np.zeros((1, 1), np.float32)
    gray = cv2.cvtColor(box, cv2.COLOR_RGB2GRAY)
    return gray.astype(np.float32)


def _detail(gray: np.ndarray, rows: int) -> float:
    """Return the Laplacian's deviation over that of a gray picture shrunk to so many rows."""
    height, width = gray.shape
    scale = rows / height
    size = (max(1, round(width * scale)), rows)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    gray = cv2.resize(gray, size, interpolation=way)
    contrast = float(gray.std())
    if contrast < 1:  # a gray step: nothing is seen
        return 0.0
    edges = cv2.Laplacian(gray, cv2.CV_32F)
    return float(edges.std()) / contrast
