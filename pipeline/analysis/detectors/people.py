"""Every person of a picture: where people are, and what one of them shows.

MediaPipe's own graph follows one person. Its networks take a region of interest, so one `Locator`
lists the regions of all people of a picture and one `Follower` per person looks at pose, hands and
face inside its region of the whole picture; nothing is cropped away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.analysis.detectors import landmark_regions, regions
from pipeline.analysis.detectors.box_detectors import (
    CLOSE_FACE_DETECTOR,
    FAR_FACE_DETECTOR,
    PEOPLE_DETECTOR,
)
from pipeline.analysis.detectors.detection import Sighting, in_picture, picture_size
from pipeline.analysis.detectors.left_right import OTHER_SIDE, SideGuard
from pipeline.analysis.detectors.person_points import PersonLooks
from pipeline.analysis.detectors.regions import Region
from pipeline.motion.face_mesh import face68
from pipeline.motion.keypoints import (
    CHIN,
    EARS,
    EYES,
    L_SHOULDER,
    LEFT_EYE,
    NECK,
    NOSE,
    NOSE_ROOT,
    NOSE_TIP,
    R_SHOULDER,
    RIGHT_EYE,
)
from pipeline.values import BODY, FACE, HANDS, VISIBLE

MIN_PERSON = 0.5  # score of the pose detector, its own default
MIN_TILE = 0.6  # the same in a tile, where a detail of the picture may look like a person
MIN_SHOULDER = 0.5  # at least one shoulder must be seen this well: hallucinated people have none
TILE = 0.6  # side of a tile as a share of the picture's side, so neighbours overlap by a fifth
TILE_STARTS = (0.0, (1 - TILE) / 2, 1 - TILE)  # along each side, in shares of it
FACE_TO_BODY = 6.0  # a standing person fits a square of this many face heights
POSE_SHOULDERS = [11, 12]
BELOW_HEAD = 11  # the first of the 33 landmarks below the head
FRONTAL = 0.5  # distance of the eyes over bridge to chin: straight 0.6, profile on hair up to 0.45

# OpenPose order: nose, neck (computed), right arm, left arm, right leg, left leg, eyes, ears.
OPENPOSE = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)

Window = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels


@dataclass(frozen=True, kw_only=True)
class FollowedPerson(Sighting):
    """One person in one frame, and where to look in the next one."""

    next_region: Region


class Locator:
    """Lists the regions of all people, by a pose detector and two face detectors."""

    def people(self, image: np.ndarray) -> list[Region]:
        """Detect regions in the whole picture, best first."""
        return _people(image, MIN_PERSON)

    def around_faces(self, image: np.ndarray) -> list[Region]:
        """Detect regions around the faces, for bodies that are too small or too close."""
        found = []
        for x, y, face in _faces(image):
            half = FACE_TO_BODY * face / 2
            above = half / 2  # of the face's middle
            top = y - above
            window = (x - half, top, x + half, top + 2 * half)
            found += _people_in(image, window, MIN_PERSON)
        return found

    def in_tiles(self, image: np.ndarray) -> list[Region]:
        """Detect regions in overlapping tiles: small figures, but at times a limb."""
        height, width = picture_size(image)
        found = []
        for top_share in TILE_STARTS:
            for left_share in TILE_STARTS:
                left = left_share * width
                top = top_share * height
                right = left + TILE * width
                bottom = top + TILE * height
                window = (left, top, right, bottom)
                found += _people_in(image, window, MIN_TILE)
        return found

    def anywhere(self, image: np.ndarray) -> list[Region]:
        """Detect by faces and tiles, for people whom the whole picture does not show."""
        return self.around_faces(image) + self.in_tiles(image)


def _people(image: np.ndarray, least: float) -> list[Region]:
    """Detect regions in a picture, best first: hips in the center, as large as the body."""
    whole = regions.whole(picture_size(image))
    found = []
    for box in PEOPLE_DETECTOR.find(image, whole):
        if box.score >= least:
            hips, rim = box.key_points[:2]
            region = landmark_regions.person(hips, rim)
            found.append(region)
    return found


def _people_in(image: np.ndarray, window: Window, least: float) -> list[Region]:
    """Detect regions inside a window; what lies outside the picture is black."""
    x0, y0, x1, y1 = (round(edge) for edge in window)
    rows = slice(max(y0, 0), max(y1, 0))
    columns = slice(max(x0, 0), max(x1, 0))
    inside = image[rows, columns]
    inside_height, inside_width = picture_size(inside)
    tile = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
    top = max(-y0, 0)
    left = max(-x0, 0)
    tile[top : top + inside_height, left : left + inside_width] = inside
    found = []
    for region in _people(tile, least):
        moved = replace(region, x=region.x + x0, y=region.y + y0)
        found.append(moved)
    return found


def _faces(image: np.ndarray) -> list[tuple[float, float, float]]:
    """Return x, y and height in pixels of the faces that both face detectors find."""
    whole = regions.whole(picture_size(image))
    faces = []
    for detector in (CLOSE_FACE_DETECTOR, FAR_FACE_DETECTOR):
        for found in detector.find(image, whole):
            low, high = found.points[:2]
            x, y = (low + high) / 2
            _, height = high - low
            faces.append((x, y, height))
    return faces


class Follower:
    """Pose, hands and face of one person: `see` looks inside a region.

    With `fps` it is one person of a clip, steadied over time; without, each picture is seen by
    itself.
    """

    def __init__(self, fps: float | None = None, want_mask: bool = False) -> None:
        self._sides = None if fps is None else SideGuard()
        self._looks = PersonLooks(want_mask)

    def see(self, image: np.ndarray, region: Region) -> FollowedPerson | None:
        """Look for a plausible person inside the region; None where there is none."""
        points = self._looks.look(image, region)
        if points is None or not _has_shoulder(points.pose):
            if self._sides is not None:
                self._sides.reset()
            return None
        height, width = picture_size(image)
        pixels = np.array([width, height, 1])
        face = _face(points.face, pixels)
        left = _hand(points.left, pixels)
        right = _hand(points.right, pixels)
        pose = points.pose
        if self._sides is not None:
            frontal = _frontal(face * pixels)
            order = self._sides.order(pose, region.side, frontal)
            if order is None:
                pose[BELOW_HEAD:, 2] = 0
                left = np.zeros_like(left)
                right = np.zeros_like(right)
            else:
                pose = pose[order]
                if order is OTHER_SIDE:
                    left, right = right, left
        in_fractions = in_picture(pose / pixels)
        body = _body(in_fractions)
        hands = np.concatenate([left, right])
        with_head = _with_head(body, face)
        return FollowedPerson(with_head, hands, face, points.mask, next_region=points.next_region)


def _has_shoulder(pose: np.ndarray) -> bool:
    """Tell whether a pose (33,3) shows at least one shoulder."""
    visibility = pose[POSE_SHOULDERS, 2]
    return bool(visibility.max() >= MIN_SHOULDER)


def _body(pose: np.ndarray) -> np.ndarray:
    """Return the OpenPose body (18,3) of the 33 points.

    The neck is the shoulders' mean, seen when both are.
    """
    body = pose[list(OPENPOSE)]
    right = body[R_SHOULDER]
    left = body[L_SHOULDER]
    body[NECK] = 0.0
    seen = min(right[2], left[2]) > VISIBLE
    if seen:
        body[NECK] = (right + left) / 2
        body[NECK, 2] = 1.0
    assert body.shape == (BODY, 3)
    return body


def _frontal(face: np.ndarray) -> bool:
    """Tell whether a face looks at the camera: profiles are detected even on hair."""
    if not face[:, 2].all():
        return False
    points = face[:, :2]
    right_eye = points[RIGHT_EYE].mean(axis=0)
    left_eye = points[LEFT_EYE].mean(axis=0)
    between_eyes = np.linalg.norm(right_eye - left_eye)
    bridge_to_chin = np.linalg.norm(points[CHIN] - points[NOSE_ROOT])
    return bool(between_eyes > FRONTAL * bridge_to_chin)


def _with_head(body: np.ndarray, face: np.ndarray) -> np.ndarray:
    """The body with nose and eyes of the face mesh, where there is one, and its ears moved along.

    The pose model sees the head in a few pixels: on the astronaut its nose lies on the upper lip.
    """
    if not face[:, 2].any():
        return body
    own = body[[NOSE, *EYES], :2]
    points = face[:, :2]
    right_eye = points[RIGHT_EYE].mean(axis=0)
    left_eye = points[LEFT_EYE].mean(axis=0)
    finer = np.stack([points[NOSE_TIP], right_eye, left_eye])
    moves = finer - own
    moved = body.copy()
    moved[[NOSE, *EYES], :2] = finer
    moved[list(EARS), :2] += moves.mean(axis=0)
    return in_picture(moved)


def _hand(points: np.ndarray | None, pixels: np.ndarray) -> np.ndarray:
    """Return the hand (21,3) of points in pixels of a picture, `pixels` being (W,H,1).

    It is missing where it is absent or mostly outside the picture.
    """
    return _present(points, pixels, HANDS // 2)


def _face(points: np.ndarray | None, pixels: np.ndarray) -> np.ndarray:
    """Return the iBUG face (68,3) of the 468 mesh points, by a mirror-symmetric table."""
    face = None if points is None else face68(points)
    return _present(face, pixels, FACE)


def _present(points: np.ndarray | None, pixels: np.ndarray, count: int) -> np.ndarray:
    """Return points (count,2) in pixels as (count,3) x and y in fractions, score."""
    missing = np.zeros((count, 3))
    if points is None:
        return missing
    found = np.ones(count)
    scored = np.column_stack([points, found])
    seen = in_picture(scored / pixels)
    inside = seen[:, 2] > 0
    return seen if inside.mean() >= 0.5 else missing
