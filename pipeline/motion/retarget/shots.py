"""A driving clip that cuts to another shot or another person: every shot is fitted on its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.motion.keypoints import CHIN, NECK, NOSE_ROOT, SHOULDERS
from pipeline.values import Keypoints, Pose

# Widths of the shoulders: people of 22 clips, dancers among them, move their necks by 4 a second at
# most, and by .3 from frame to frame at 12.5 frames a second
NECK_SPEED_PER_SECOND = 20.0
NECK_STEP = 0.8
FACE_RATIO = 1.6  # of face heights from frame to frame: 1.24 at most in those clips
LEAST_SHOT_SECONDS = 0.4  # a shorter shot is no shot: the detector jumps between things
PAUSE_SECONDS = 0.2  # on each side of a cut that the pose leaves to the way from shot to shot
LEAST_PX = 1.0


def shots(pose: Pose) -> list[slice]:
    """Return the rows of the shots of a clip in order; one without cuts is one shot."""
    jumps = _jumps(pose)
    cuts = np.flatnonzero(jumps) + 1
    rows = []
    start = 0
    for stop in [*cuts.tolist(), len(pose)]:
        shot = slice(start, stop)
        rows.append(shot)
        start = stop
    return rows


def is_long(rows: slice, fps: float) -> bool:
    """Tell whether the rows of a shot last long enough to be followed."""
    frames = rows.stop - rows.start
    return frames >= LEAST_SHOT_SECONDS * fps


def joined(parts: list[Pose]) -> Pose:
    """Join the poses of the shots; around the cuts all points are missing."""
    first = parts[0]
    pause = round(PAUSE_SECONDS * first.fps)
    lengths = [len(part) for part in parts]
    kept = np.ones(sum(lengths), bool)
    for cut in np.cumsum(lengths)[:-1]:
        start = max(0, cut - pause)
        kept[start : cut + pause] = False
    bodies = [part.body for part in parts]
    hands = [part.hands for part in parts]
    faces = [part.face for part in parts]
    return replace(
        first,
        body=_joined_points(bodies, kept),
        hands=_joined_points(hands, kept),
        face=_joined_points(faces, kept),
    )


def _joined_points(parts: list[Keypoints], kept: np.ndarray) -> Keypoints:
    """Join points (T,K) of several shots; rows that are not `kept` (T,) are missing."""
    xy = np.concatenate([part.xy for part in parts])
    score = np.concatenate([part.score for part in parts])
    is_kept = kept[:, None]
    score = np.where(is_kept, score, 0.0)
    return Keypoints(xy, score)


def _jumps(pose: Pose) -> np.ndarray:
    """Tell between which frames (T-1,) bool the person jumps as nobody can move."""
    whole = pose.body.all_seen((NECK, *SHOULDERS))
    both = _in_a_row(whole)
    body = pose.body.xy * pose.pixel_scale
    right, left = SHOULDERS
    width = _distance(body[:, right], body[:, left])
    wider = np.maximum(width[1:], width[:-1])
    unit = np.maximum(wider, LEAST_PX)
    neck = body[:, NECK]
    ways = np.diff(neck, axis=0)
    steps = np.linalg.norm(ways, axis=1)
    limit = max(NECK_STEP, NECK_SPEED_PER_SECOND / pose.fps)
    is_far = steps > limit * unit
    by_neck = both & is_far
    by_face = _face_jumps(pose)
    return by_neck | by_face


def _face_jumps(pose: Pose) -> np.ndarray:
    """Tell between which frames (T-1,) bool the face changes its size at once."""
    seen = pose.face.all_seen((CHIN, NOSE_ROOT))
    both = _in_a_row(seen)
    face = pose.face.xy * pose.pixel_scale
    height = _distance(face[:, CHIN], face[:, NOSE_ROOT])
    height = np.maximum(height, LEAST_PX)
    sizes = np.log(height)
    growth = np.diff(sizes)
    jumps = np.abs(growth) > np.log(FACE_RATIO)
    return both & jumps


def _in_a_row(seen: np.ndarray) -> np.ndarray:
    """Tell where (T-1,) two frames one after the other are both seen."""
    return seen[1:] & seen[:-1]


def _distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how far points (T,2) are from others: (T,)."""
    way = points - others
    return np.linalg.norm(way, axis=1)
