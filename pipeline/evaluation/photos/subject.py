"""One photograph as the renderer gets it, and the two calls through which the renderer is asked.

`plates` cuts a photograph, `warp` shows it in a pose. A `Cut` is the first, a `Puppet` the second.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.analysis.analyse import AnalysisOptions
from pipeline.analysis.framing import crop_around_person, detect_reference, output_size
from pipeline.evaluation.photos import swing
from pipeline.models.model_settings import ModelSettings
from pipeline.motion.keypoints import ARMS
from pipeline.motion.partial_arms import uncut
from pipeline.render import tensors, warp
from pipeline.values import Motion, Pose

SHIFT = 0.02  # picture widths; a person moved this far is shown by the layers, not by the photo
CHUNK = 4  # frames that are warped at once


@dataclass(frozen=True)
class Shown:
    """T pictures of a subject: image (T,3,H,W) in [0, 1]; validity (T,1,H,W), 1 = own pixels."""

    image: Tensor
    validity: Tensor


Puppet = Callable[[Pose], Shown]
Cut = Callable[[Tensor, Pose, Tensor], Puppet]


@dataclass(frozen=True)
class Subject:
    """One photograph as the renderer gets it.

    Args:
        image: (1,3,H,W) in [0, 1].
        pose: One frame; arms that are never moved (`partial_arms`) are missing.
        mask: (1,1,H,W) of the person.
        sides: The other arms, of `keypoints.ARMS`.
    """

    image: Tensor
    pose: Pose
    mask: Tensor
    sides: tuple[str, ...]


def find(picture: np.ndarray) -> Subject:
    """Detect and crop a photograph (H,W,3) uint8 as the pipeline does.

    Raises InputError where no face of a person is seen.
    """
    height, width, _ = picture.shape
    size = output_size((height, width), ModelSettings.area, ModelSettings.multiple)
    detector = AnalysisOptions.detector
    picture = crop_around_person(picture, size, detector)
    detection = detect_reference(picture, detector)
    reference = detection.people[0]
    mask = detection.masks[0]
    nothing = np.zeros(1)
    motion = Motion(
        pose=reference,
        reference=reference,
        mask=mask,
        mesh=None,
        intensity=nothing,
        excitation=nothing,
        control_strength=nothing,
        audio_tokens=nothing,
    )
    pose = uncut(motion)
    sides = []
    for side, arm in ARMS.items():
        if pose.body.all_seen(arm.joints).all():
            sides.append(side)
    return Subject(
        image=tensors.to_tensor(picture, size),
        pose=pose,
        mask=tensors.mask_tensor(mask, size),
        sides=tuple(sides),
    )


def cut_textured(image: Tensor, pose: Pose, mask: Tensor) -> Puppet:
    """Cut a photograph as a user gets it."""
    points = warp.Points.of(pose)
    plates = warp.plates(image, points, mask, warp.textured)
    return functools.partial(_show, plates)


def cut_smooth(image: Tensor, pose: Pose, mask: Tensor) -> Puppet:
    """Cut a photograph without textured filling, whose copies change by chance."""
    points = warp.Points.of(pose)
    plates = warp.plates(image, points, mask)
    return functools.partial(_show, plates)


def _show(plates: warp.Plates, pose: Pose) -> Shown:
    """Show the plates in the T frames of a pose."""
    images = []
    validities = []
    for start in range(0, len(pose), CHUNK):
        chunk = pose[start : start + CHUNK]
        warped = warp.warp(plates, warp.Points.of(chunk))
        images.append(warped.image[0])
        validities.append(warped.validity[0])
    return Shown(torch.cat(images), torch.cat(validities))


def shift_px(width: int) -> int:
    """Return the little way to the right, in pixels, by which layers are told from the photo."""
    return max(1, round(SHIFT * width))


def moved_back(puppet: Puppet, pose: Pose, width: int) -> tuple[Tensor, Tensor]:
    """Move the person a little to the right; return (3,H,W) and validity (1,H,W), put back.

    In place a renderer may show the photograph itself. `width` is the picture's, in pixels.
    """
    step = shift_px(width)
    shown = puppet(swing.shifted(pose, step / width))
    image = shown.image[0]
    validity = shown.validity[0]
    return image.roll(-step, -1), validity.roll(-step, -1)
