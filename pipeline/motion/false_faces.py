"""Drop detected faces that cannot be the driving person's: a hand, a picture, a chin at the edge.

A face is believed where its eyes, brows and nose are seen, where it is as large and as near to the
neck as the person's shoulders let expect, where its size agrees with the clip's other faces, and
where it is more than a flash between long stretches without any.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import label, maximum_filter1d

from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import CHIN, HIPS, NECK, NOSE_ROOT, RIGID_FACE, SHOULDERS
from pipeline.values import Keypoints, Pose

RIGID_SHARE = 0.5  # of eyes, brows, nose and ends of the jaw; a chin at the picture's edge has .2
# In widths of the shoulders, the widest near in time: a person in profile has narrow ones. Faces of
# 22 clips are .2 to .6 high from the nose's root to the chin, and their root .2 to 1 from the neck
FACE_HEIGHT = (0.1, 1.2)
NECK_DISTANCE = 1.5
SIZE_RATIO = 1.8  # over the median of the clip's believed faces
SHOULDER_SECONDS = 4.0  # in which the widest shoulders are looked for
SHOULDERS_BY_TORSO = 0.7  # of people who stand in profile all the while
FLASH_SECONDS = 0.2  # a shorter run of faces ...
LONELY_SECONDS = 0.5  # ... with no other so near is none
LEAST_SHOULDERS_PX = 1.0


def without_false_faces(pose: Pose) -> Pose:
    """Return the pose with a missing face where the detected one is not believed."""
    seen = pose.face.visible.any(1)
    false = seen & ~believed(pose)
    if not false.any():
        return pose
    score = pose.face.score.copy()
    score[false] = 0.0
    return replace(pose, face=Keypoints(pose.face.xy, score))


def believed(pose: Pose) -> np.ndarray:
    """Tell in which frames (T,) bool the detected face is the person's."""
    rigid = pose.face.visible[:, RIGID_FACE]
    whole = rigid.mean(1) >= RIGID_SHARE
    plausible = whole & _fits_body(pose)
    return plausible & ~_flashes(plausible, pose.fps)


def _fits_body(pose: Pose) -> np.ndarray:
    """Tell in which frames (T,) bool the face fits the body; true where no shoulders are seen."""
    body = pose.body.xy * pose.pixel_scale
    face = pose.face.xy * pose.pixel_scale
    shoulders = _shoulder_widths(pose)
    known = shoulders > LEAST_SHOULDERS_PX
    unit = np.where(known, shoulders, 1.0)
    height = _distance(face[:, CHIN], face[:, NOSE_ROOT])
    height = height / unit
    way = _distance(face[:, NOSE_ROOT], body[:, NECK])
    way = way / unit
    least, most = FACE_HEIGHT
    fits = height > least
    fits &= height < most
    near = way < NECK_DISTANCE
    neck_missing = ~pose.body.visible[:, NECK]
    fits &= near | neck_missing
    seen = pose.face.visible.any(1)
    usual = known & fits & seen
    if usual.any():
        ratio = height / np.median(height[usual])
        fits &= ratio < SIZE_RATIO
        fits &= ratio > 1 / SIZE_RATIO
    return fits | ~known


def _distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how far points (T,2) are from others: (T,)."""
    way = points - others
    return np.linalg.norm(way, axis=1)


def _shoulder_widths(pose: Pose) -> np.ndarray:
    """Measure the widest shoulders near each frame: (T,) pixels, 0 where none are seen near."""
    body = pose.body.xy * pose.pixel_scale
    right, left = SHOULDERS
    width = _distance(body[:, right], body[:, left])
    both_seen = pose.body.all_seen(SHOULDERS)
    width = np.where(both_seen, width, 0.0)
    hips = body[:, HIPS].mean(1)
    torso = _distance(body[:, NECK], hips)
    torso_seen = pose.body.all_seen((NECK, *HIPS))
    by_torso = SHOULDERS_BY_TORSO * torso
    by_torso = np.where(torso_seen & both_seen, by_torso, 0.0)
    widest = np.maximum(width, by_torso)
    reach = round(SHOULDER_SECONDS * pose.fps / 2)
    return maximum_filter1d(widest, 2 * reach + 1, mode="constant")


def _flashes(faces: np.ndarray, fps: float) -> np.ndarray:
    """Tell which frames (T,) bool belong to a short run of `faces` between long gaps.

    Runs with short gaps between them count as one. A clip's beginning and end are no gaps.
    """
    gap = round(LONELY_SECONDS * fps)
    shortest = round(FLASH_SECONDS * fps)
    _, joined = bridge(faces, faces, gap)
    runs, count = label(joined)
    flashes = np.zeros(len(faces), bool)
    if joined.all():
        return flashes
    for run in range(1, count + 1):
        rows = runs == run
        if faces[rows].sum() < shortest:
            flashes |= rows
    return flashes
