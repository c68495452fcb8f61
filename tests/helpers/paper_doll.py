"""A drawn person, and a renderer of paper pieces on hinges whose faults can be switched on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.evaluation.photos.subject import Cut, Puppet, Shown
from pipeline.motion.keypoints import ARMS, complex_pixels
from pipeline.values import Pose
from tests.helpers.stick_person import WARP_SIZE as SIZE
from tests.helpers.stick_person import small_person

WALL, SHIRT, SKIN, SLEEVE = (0.55, 0.57, 0.6), (0.25, 0.5, 0.3), (0.85, 0.65, 0.55), (0.2, 0.3, 0.7)
ARM_PX = 12
HAND_BEYOND_WRIST = 0.5  # forearms


@dataclass(frozen=True)
class Faults:
    """What the doll does wrong.

    gap: pixels cut out of each forearm's middle. width: factor on the arms' width off rest. ghost:
    the arms stay in the picture where they were. mirror: forearms are turned inside out. offset:
    everything is drawn so many pixels too low. hole: pixels missing in the chest. nervous: pixels
    by which points that are not whole pixels displace the arms' places.
    """

    gap: int = 0
    width: float = 1.0
    ghost: bool = False
    mirror: bool = False
    offset: int = 0
    hole: int = 0
    nervous: int = 0


def _bone(mask: np.ndarray, start: complex, end: complex, width: float) -> None:
    corners = [(round(place.real), round(place.imag)) for place in (start, end)]
    cv2.line(mask, *corners, 1, max(1, round(width)))


def _joints(pose: Pose, side: str) -> np.ndarray:
    places = complex_pixels(pose.body.xy[0, list(ARMS[side].joints)], SIZE)
    places[2] += HAND_BEYOND_WRIST * (places[2] - places[1])
    return places


def _trunk() -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    cv2.rectangle(mask, (48, 70), (80, 191), 1, -1)
    cv2.ellipse(mask, (64, 46), (15, 24), 0, 0, 360, 1, -1)
    return mask


def drawn(
    sleeve: tuple[float, ...] = SLEEVE, shirt: tuple[float, ...] = SHIRT
) -> tuple[Tensor, Pose, Tensor]:
    """The picture (1,3,192,128), its pose, and the person's mask (1,1,192,128)."""
    pose = small_person()
    picture = np.tile(np.array(WALL, np.float32), (*SIZE, 1))
    trunk = _trunk()
    person = trunk.copy()
    picture[trunk > 0] = shirt
    picture[:70][trunk[:70] > 0] = SKIN
    for side in ARMS:
        shoulder, elbow, hand = _joints(pose, side)
        arm = np.zeros(SIZE, np.uint8)
        _bone(arm, shoulder, elbow, ARM_PX)
        _bone(arm, elbow, hand, ARM_PX)
        picture[arm > 0] = sleeve
        person |= arm
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    return image, pose, torch.from_numpy(person.astype(np.float32))[None, None]


def doll(
    faults: Faults | None = None,
) -> Cut:
    """A renderer with these faults: it cuts a picture, and shows it in a pose."""
    wrong = faults or Faults()

    def cut(image: Tensor, reference: Pose, mask: Tensor) -> Puppet:
        picture = image[0].permute(1, 2, 0).numpy()

        def show(pose: Pose) -> Shown:
            frames = [
                _frame(picture, mask[0, 0].numpy(), reference, pose[t : t + 1], wrong)
                for t in range(len(pose))
            ]
            shown = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
            return Shown(shown, torch.ones_like(shown[:, :1]))

        return show

    return cut


def _frame(
    picture: np.ndarray, mask: np.ndarray, reference: Pose, pose: Pose, wrong: Faults
) -> np.ndarray:
    frame = np.where(mask[..., None] > 0, np.float32(WALL), picture)
    necks = [complex_pixels(p.body.xy[0, 1], SIZE) for p in (reference, pose)]
    chest = _trunk()
    if wrong.hole:
        chest[100 : 100 + wrong.hole, 60 : 60 + wrong.hole] = 0
    _paste(frame, picture, chest, (necks[0], necks[0] + 10), (necks[1], necks[1] + 10), wrong)
    for side in ARMS:
        source = _joints(reference, side)
        if wrong.nervous:
            source = source + wrong.nervous * (
                np.abs(source * 8 - np.round(source * 8)).max() > 1e-3
            )
        if wrong.ghost:
            for start, end in ((0, 1), (1, 2)):
                piece = np.zeros(SIZE, np.uint8)
                _bone(piece, source[start], source[end], ARM_PX)
                frame[piece > 0] = picture[piece > 0]
        if not pose.body.visible[0, list(ARMS[side].joints)].all():
            continue
        target = _joints(pose, side)
        for start, end in ((0, 1), (1, 2)):
            _arm_piece(
                frame, picture, source[[start, end]], target[[start, end]], wrong, bool(start)
            )
    return frame


def _arm_piece(
    frame: np.ndarray,
    picture: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    wrong: Faults,
    is_fore: bool,
) -> None:
    at_rest = (
        np.ptp(source - target) < 1e-6
        if not is_fore
        else abs((source[1] - source[0]) - (target[1] - target[0])) < 1e-6
    )
    piece = np.zeros(SIZE, np.uint8)
    _bone(piece, *source, ARM_PX * (1.0 if at_rest else wrong.width))
    if is_fore and wrong.gap:
        middle = round(source.mean().imag)
        piece[middle - wrong.gap // 2 : middle + wrong.gap // 2] = 0
    _paste(frame, picture, piece, source, target, wrong, mirror=wrong.mirror and is_fore)


def _paste(
    frame: np.ndarray,
    picture: np.ndarray,
    piece: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    wrong: Faults,
    mirror: bool = False,
) -> None:
    """Carry the piece from the bone `source` to the bone `target`, x + iy of both ends."""
    gain = (target[1] - target[0]) / (source[1] - source[0])
    start, goal = source[0], target[0] + 1j * wrong.offset
    if mirror:
        along = source[1] - source[0]
        gain = gain * along / np.conj(along)
        matrix = np.array([[gain.real, gain.imag], [gain.imag, -gain.real]])
    else:
        matrix = np.array([[gain.real, -gain.imag], [gain.imag, gain.real]])
    shift = np.array([goal.real, goal.imag]) - matrix @ [start.real, start.imag]
    affine = np.column_stack([matrix, shift])
    size = SIZE[::-1]
    carried = cv2.warpAffine(
        np.ascontiguousarray(picture), affine, size, borderMode=cv2.BORDER_REPLICATE
    )
    where = cv2.warpAffine(piece, affine, size, flags=cv2.INTER_NEAREST) > 0
    frame[where] = carried[where]
