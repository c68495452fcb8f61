"""Tell that the mouth of the reference image is covered, and keep the cloth of a mask whole.

A mask or a scarf is told by its color. Its cloth is kept whole where no line between lips is seen,
either: so no bare mouth lost its lips on 73 people of photographs and drawings, also where they
were dark, faded, tinted by a lamp, blurred or badly compressed. A hand is only told.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.motion.keypoints import CHIN, JAW, MOUTH, NOSE_ROOT
from pipeline.values import Keypoints, Pose

OUTER_LIPS = tuple(range(48, 60))
INNER_LIPS = tuple(range(60, 68))
BELOW_LIPS = (6, 7, 8, 9, 10, 56, 57, 58)
# Skin that neither a mask nor a scarf reaches; glasses or hair may lie over one of both
BETWEEN_BROWS = (21, 22, 42, 39)
BROWS = (19, 24, 42, 39)  # and the eyes' inner corners
FOREHEAD_FACE_HEIGHTS = 0.3  # how far these are lifted to lie on the forehead
LEAST_FACE_PX = 20  # from the nose's root to the chin: smaller faces have too few pixels of lips
# In steps of CIELAB's a and b. Lips differ from the chin by 6 to 27 in 20 photographs, the chin
# from the forehead by 0 to 9; under a mask by 0 and by 15 and more.
LIKE_CHIN = 5.0
UNLIKE_SKIN = 8.0
REACH = 0.25  # of the mouth's width, around the mouth: hand points so near lie over it
LEAST_HAND_POINTS = 3

CLOTH_JAW = 0.5  # share of the jaw's way that is seen on the cloth over it
CLOTH_MOUTH = 0.6  # share of the cloth's way at the chin that it goes at the mouth

# In steps of CIELAB's lightness, between the dark and the light parts of the lips. Bare mouths have
# 22 and more, a plain mask 0.
LIP_LINE = 15.0
LIP_LINE_BLUR = 1 / 60  # sigma, in heights of the face: threads and noise are no line

CLOTH = (
    "the mouth is covered in the reference image (a mask or a scarf?): the cloth stays whole and "
    "follows the jaw; use a picture that shows the mouth"
)
COVERED = (
    "the mouth is covered in the reference image (a mask or a scarf?): it would open in the cloth; "
    "use a picture that shows the mouth"
)
# A thing before the mouth has another color on the lower lip: much less red than the cheeks, or
# much darker without more red, in steps of CIELAB. Of bare lower lips 0 to .33 has it (61 faces,
# beards, statues and drawings too); a black or green ball over most of the mouth is told on 9 of 10
# faces, a gray one on half of them, a red, blue or silver one is not.
LESS_RED = 14
DARKER = 70
HARDLY_RED = 2
THING_SHARE = 0.5
LOWER_LIP = (48, 60, 67, 66, 65, 64, 54, 55, 56, 57, 58, 59)
R_CHEEK = (36, 39, 31, 48, 3)
L_CHEEK = (45, 42, 35, 54, 13)

THING = (
    "something lies before the mouth in the reference image (a microphone?): it would move with "
    "the lips; use a picture that shows the mouth"
)
HAND = (
    "a hand lies over the mouth in the reference image: it would move with the lips; "
    "use a picture that shows the mouth"
)


@dataclass(frozen=True)
class Cover:
    """What covers the mouth: notes for the user, and whether it is cloth."""

    notes: tuple[str, ...] = ()
    is_cloth: bool = False


def find_cover(picture: np.ndarray, reference: Pose) -> Cover:
    """Find what covers the mouth, if anything does.

    Args:
        picture: (H,W,3) uint8, the reference image.
        reference: its person, one frame.
    """
    height, width = picture.shape[:2]
    size = np.array([width, height])
    face = reference.face.xy[0] * size
    down = face[CHIN] - face[NOSE_ROOT]
    is_large = np.linalg.norm(down) >= LEAST_FACE_PX
    if not (is_large and reference.face.visible.all()):
        return Cover()
    if _under_cloth(picture, face):
        if _has_lip_line(picture, face):
            return Cover((COVERED,))
        return Cover((CLOTH,), is_cloth=True)
    is_seen = reference.hands.visible
    hands = reference.hands.xy[is_seen] * size
    if _under_hand(hands, face):
        return Cover((HAND,))
    if _under_thing(picture, face):
        return Cover((THING,))
    return Cover()


def under_cloth(talking: Keypoints, reference: Pose) -> Keypoints:
    """Return a talking face (T,68) whose mouth does not open: it moves under cloth with the jaw.

    talking: in the place of the reference's face. Lids and brows stay as they are.
    """
    rest = reference.face.xy[:1]
    way = CLOTH_JAW * (talking.xy - rest)
    xy = talking.xy.copy()
    slower = rest + way
    at_chin = way[:, [CHIN]]
    at_mouth = CLOTH_MOUTH * at_chin
    xy[:, JAW] = slower[:, JAW]
    xy[:, MOUTH] = rest[:, MOUTH] + at_mouth
    return Keypoints(xy, talking.score)


def _under_cloth(picture: np.ndarray, face: np.ndarray) -> bool:
    """Tell whether lips and chin have one color, and the skin above has another."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    lips = _filled(lab, face, OUTER_LIPS)
    opening = _filled(lab, face, INNER_LIPS)
    below = _filled(lab, face, BELOW_LIPS)
    lip = _mean_color(lab, lips & ~opening)
    chin = _mean_color(lab, below & ~lips)
    if _distance(lip, chin) >= LIKE_CHIN:
        return False
    down = face[CHIN] - face[NOSE_ROOT]
    lifted = face - FOREHEAD_FACE_HEIGHTS * down
    between = _filled(lab, face, BETWEEN_BROWS)
    forehead = _filled(lab, lifted, BROWS)
    for area in (between, forehead):
        skin = _mean_color(lab, area)
        if _distance(chin, skin) <= UNLIKE_SKIN:
            return False
    return True


def _under_thing(picture: np.ndarray, face: np.ndarray) -> bool:
    """Tell whether most of the lower lip has a color that lips on this skin have not."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    down = face[CHIN] - face[NOSE_ROOT]
    height = float(np.linalg.norm(down))
    sigma = LIP_LINE_BLUR * height
    smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
    right = _filled(lab, face, R_CHEEK)
    left = _filled(lab, face, L_CHEEK)
    inside = _filled(lab, face, LOWER_LIP)
    lip = smooth[inside].astype(float)
    cheeks = smooth[right | left]
    if len(lip) == 0 or len(cheeks) == 0:  # outside the picture
        return False
    skin = np.median(cheeks, axis=0)
    lighter, redder, _ = (lip - skin).T
    is_pale = redder < -LESS_RED
    is_deep = lighter < -DARKER
    is_neutral = redder < HARDLY_RED
    is_dark = is_deep & is_neutral
    share = np.mean(is_pale | is_dark)
    return bool(share > THING_SHARE)


def _has_lip_line(picture: np.ndarray, face: np.ndarray) -> bool:
    """Tell whether the lips have a dark line or rims, which plain cloth over them has not."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    down = face[CHIN] - face[NOSE_ROOT]
    height = float(np.linalg.norm(down))
    sigma = LIP_LINE_BLUR * height
    smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
    lips = _filled(lab, face, OUTER_LIPS)
    lightness = smooth[lips][:, 0]
    if len(lightness) == 0:  # outside the picture
        return True
    dark, light = np.percentile(lightness, (5, 95))
    contrast = light - dark
    return bool(contrast > LIP_LINE)


def _distance(color: np.ndarray, other: np.ndarray) -> float:
    """Return how far two colors (2,), a and b, are apart."""
    difference = color - other
    return float(np.linalg.norm(difference))


def _mean_color(lab: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return (2,) the mean a and b of the pixels inside (H,W) bool."""
    colors = lab[inside]
    if len(colors) == 0:  # outside the picture
        return np.zeros(2)
    mean = colors.mean(axis=0)
    return mean[1:]


def _filled(picture: np.ndarray, face: np.ndarray, points: tuple[int, ...]) -> np.ndarray:
    """Return (H,W) bool: the pixels inside the outline of some points of the face."""
    inside = np.zeros(picture.shape[:2], np.uint8)
    corners = face[list(points)]
    corners = corners.round()
    corners = corners.astype(np.int32)
    cv2.fillPoly(inside, [corners], 1)
    return inside == 1


def _under_hand(hands: np.ndarray, face: np.ndarray) -> bool:
    """Tell whether points of a hand (n,2) lie over the lips."""
    lips = face[list(OUTER_LIPS)]
    low = lips.min(axis=0)
    high = lips.max(axis=0)
    across = high[0] - low[0]
    reach = REACH * across
    after = hands > low - reach
    before = hands < high + reach
    inside = after & before
    count = inside.all(axis=1).sum()
    return bool(count >= LEAST_HAND_POINTS)
