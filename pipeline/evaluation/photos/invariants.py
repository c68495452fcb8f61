"""What must hold for the warp of any photograph, though there is no truth to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.evaluation.photos import arms, limbs, swing
from pipeline.evaluation.photos.subject import (
    Cut,
    Puppet,
    Subject,
    cut_smooth,
    cut_textured,
    moved_back,
    shift_px,
)
from pipeline.values import Pose

BLOCK_PX = 16  # side of the blocks over which a change is averaged
INSIDE_PX = 3  # so far inside the person's mask begins what the layers must show
HOLE_CHANGE = 24 / 255  # a pixel of the person that changes by more is a hole
LEAST_VALIDITY = 0.5  # so is one of which less is the photograph's
TRIAL_DEG = 30.0  # both arms are turned outwards by this when points and masks are shaken
POINT_SHARES = (0.01, 0.02, 0.03)  # head heights
MASK_STEPS_PX = (1, -2, 3)  # wider, narrower, wider
LEAST_ERROR = 1e-10  # squared; equal pictures have 100 dB
GRAY_LEVELS = 255


@dataclass(frozen=True)
class PhotoFigures:
    """All figures of one photograph; changes are in gray levels of 255.

    Args:
        name: Name of the file.
        own_psnr: PSNR in dB of the photograph in its own pose.
        own_change: Largest mean change of a block there.
        layers_psnr: PSNR of the person moved a little and put back.
        holes: Share of the person's pixels that are not themselves there.
        swings: Both joints of the arms that are shown whole.
        points: Mean change of the person by points that are shaken by POINT_SHARES.
        masks: The same by masks that are changed by MASK_STEPS_PX.
    """

    name: str
    own_psnr: float
    own_change: float
    layers_psnr: float
    holes: float
    swings: tuple[arms.Swing, ...]
    points: tuple[float, ...]
    masks: tuple[float, ...]


def measure(
    name: str, given: Subject, cut: Cut = cut_textured, plain_cut: Cut = cut_smooth
) -> tuple[PhotoFigures, list[np.ndarray]]:
    """Measure one photograph; return its figures and, for each swing, frames (T,H,W,3).

    Args:
        name: Name of the photograph.
        given: The photograph.
        cut: The renderer, with filling, for all but the following.
        plain_cut: The renderer for the map and for what shaking changes.
    """
    photo = limbs.speckled(given.image)

    def cut_ramp(ramp: Tensor) -> Puppet:
        return plain_cut(ramp, given.pose, given.mask)

    renderer = arms.Renderer(
        photo=photo[0],
        puppet=cut(photo, given.pose, given.mask),
        cut_ramp=cut_ramp,
    )
    own_change = renderer.puppet(given.pose).image[0] - renderer.photo
    layers_psnr, holes = _layers(renderer, given)
    swings, films = arms.measure(renderer, given)
    figures = PhotoFigures(
        name=name,
        own_psnr=_psnr(own_change),
        own_change=_largest_change(own_change),
        layers_psnr=layers_psnr,
        holes=holes,
        swings=tuple(swings),
        points=_by_points(given, plain_cut),
        masks=_by_masks(given, plain_cut),
    )
    return figures, films


def _layers(renderer: arms.Renderer, given: Subject) -> tuple[float, float]:
    """Return the PSNR of the person moved a little and put back, and the share of holes."""
    _, height, width = renderer.photo.shape
    shown, validity = moved_back(renderer.puppet, given.pose, width)
    is_person = given.mask[0, 0].numpy() > 0.5
    inside = limbs.grown(is_person, -INSIDE_PX)
    # what left the picture on the right has come back on the left
    inside[:, width - shift_px(width) :] = False
    change = shown - renderer.photo
    largest = change.abs().amax(0).numpy()
    is_lost = validity.squeeze(0).numpy() < LEAST_VALIDITY
    is_hole = is_lost | (largest > HOLE_CHANGE)
    change_inside = change[:, torch.from_numpy(inside)]
    holes = is_hole[inside].mean()
    return _psnr(change_inside), float(holes)


def _psnr(difference: Tensor) -> float:
    error = difference.square().mean()
    decades = torch.log10(error + LEAST_ERROR)
    return -10 * float(decades)


def _largest_change(difference: Tensor) -> float:
    """Return the largest mean change of a block of a picture (3,H,W), in gray levels."""
    change = difference.abs().mean(0, keepdim=True)
    means = F.avg_pool2d(change, BLOCK_PX, ceil_mode=True)
    return GRAY_LEVELS * float(means.max())


def _by_points(given: Subject, cut: Cut) -> tuple[float, ...]:
    """Return the mean changes by points that are shaken in reference and target alike."""
    plain = _trial(given, given.pose, given.mask, cut)
    rng = np.random.default_rng(0)
    changes = []
    for share in POINT_SHARES:
        pose = swing.shaken(given.pose, share, rng)
        shown = _trial(given, pose, given.mask, cut)
        changes.append(_change(shown, plain, given.mask))
    return tuple(changes)


def _by_masks(given: Subject, cut: Cut) -> tuple[float, ...]:
    """Return the mean changes by masks that are widened or narrowed."""
    plain = _trial(given, given.pose, given.mask, cut)
    levels = given.mask[0, 0].numpy()
    changes = []
    for step_px in MASK_STEPS_PX:
        mask = torch.from_numpy(limbs.resized(levels, step_px))
        shown = _trial(given, given.pose, mask[None, None], cut)
        changes.append(_change(shown, plain, given.mask))
    return tuple(changes)


def _change(shown: Tensor, plain: Tensor, mask: Tensor) -> float:
    """Return the change of pictures (1,3,H,W), summed, over the person's area."""
    change = (shown - plain).abs().mean(1)
    return GRAY_LEVELS * float(change.sum() / mask.sum())


def _trial(given: Subject, pose: Pose, mask: Tensor, cut: Cut) -> Tensor:
    """Cut a photograph by a pose and a mask, and turn the whole arms outwards by TRIAL_DEG."""
    puppet = cut(given.image, pose, mask)
    target = pose
    for side in given.sides:
        angle_rad = swing.sense(pose, side) * np.radians(TRIAL_DEG)
        target = swing.swung(target, side, [angle_rad])
    return puppet(target).image
