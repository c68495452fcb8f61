"""Whose pixel is it: how far the pixels around a hand have the hand's colours, not those behind it.

A hand's outline is a generous band around its bones. Carried along as a whole it drags a rim of
shirt or background; so each pixel of the band is given to the hand by colour, as in trimap matting
(Smith & Blinn, "Blue screen matting", 1996): certain on the bones, by nearness between two known
colours around them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.keypoints import HAND_EDGES
from pipeline.render.warp.geometry import HAND_RADIUS

Layers = list[tuple[Tensor, Tensor]]
TONES = 4  # mean colours of a hand, from its shadows to its lights
TRUSTED = 0.7  # share of the places along the bones that count; the rest may lie beside the hand
# head heights from a bone: the hand's whatever its colour, fading to by colour
CERTAIN = (0.018, 0.034)
TIGHT = (0.055, 0.095)  # head heights: the outline where hand and surroundings have the same colour
# head heights: nearer to a bone than this a narrow gap between fingers is filled
CREASE = (0.045, 0.055)
CONTRAST = (0.05, 0.11)  # colour distance below which colours say nothing, above which they decide
CHOKE = (0.42, 0.78)  # nearness at which a pixel starts to be the hand's and at which it is wholly
ELSEWHERE = 0.25  # colour distance added for a layer that is not at a place


def features(colour: Tensor, dim: int = 1) -> Tensor:
    """Colours with the hue counting more than the light, so that a shaded finger stays a finger."""
    red, green, blue = colour.unbind(dim)
    light = 0.3 * red + 0.6 * green + 0.1 * blue
    return torch.stack([0.6 * light, 1.2 * (red - light), 1.2 * (blue - light)], dim)


def tones(image: Tensor, points: Tensor) -> Tensor:
    """(B,TONES,3) features of a hand, means by light of what is on its bones; points (B,21,2) in -1
    to 1."""
    a, b = (points[:, [bone[end] for bone in HAND_EDGES]] for end in (0, 1))
    where = torch.cat([a + (b - a) * share for share in (0.25, 0.5, 0.75)], 1)
    picked = F.grid_sample(image, where[:, None], mode="bilinear", align_corners=False)[:, :, 0]
    seen = features(picked).transpose(1, 2)
    apart = (seen - seen.median(1, keepdim=True).values).norm(dim=-1)
    count = int(TRUSTED * seen.shape[1]) // TONES * TONES
    kept = seen.gather(1, apart.argsort(1)[:, :count, None].expand(-1, -1, 3))
    by_light = kept.gather(1, kept[..., :1].argsort(1).expand(-1, -1, 3))
    return by_light.unflatten(1, (TONES, -1)).mean(2)


def hand_matte(
    image: Tensor, points: Tensor, seen: Tensor, bones: Tensor, behind: Layers, edge: int = 1
) -> Tensor:
    """(B,2,H,W): each pixel's share that is the hand's, and 1 where what it is else is the
    background.

    `points` (B,21,2) are the hand's, from -1 to 1 in the picture, if `seen` (B,); `bones` (B,1,H,W)
    is the signed distance to the hand's outline in head heights; `behind` are the filled layers
    that may lie behind it, the background first: colour (B,3,H,W) and alpha (B,1,H,W); gaps of 2
    `edge` pixels are filled.
    """
    own = tones(image, points)
    here = features(image)
    to_hand = _nearest(here, own)
    to_behind = contrast = None
    for colour, alpha in behind:
        other = features(colour)
        apart = (here - other).square().sum(1, keepdim=True).sqrt() + ELSEWHERE * (1 - alpha)
        unlike = _nearest(other, own)
        if to_behind is None:
            to_behind = apart
            contrast = unlike
            ground = torch.ones_like(apart)
        else:
            nearer = apart < to_behind
            contrast = torch.where(nearer, unlike, contrast)
            ground = torch.where(nearer, 0.0, ground)
            to_behind = torch.minimum(apart, to_behind)
    nearness = to_behind / (to_hand + to_behind + 1e-4)
    bones = bones + HAND_RADIUS
    by_colour = ramp(nearness, *CHOKE)
    by_colour = torch.maximum(
        by_colour, torch.minimum(_closed(by_colour, edge), 1 - ramp(bones, *CREASE))
    )
    tight = 1 - ramp(bones, *TIGHT)
    mixed = torch.lerp(tight, by_colour, ramp(contrast, *CONTRAST))
    share = torch.maximum(mixed, 1 - ramp(bones, *CERTAIN))
    found = torch.cat([share, ground], 1)
    return torch.where(seen[:, None, None, None], found, 1.0)


def _nearest(place: Tensor, own: Tensor) -> Tensor:
    """(B,1,H,W) distance of the features (B,3,H,W) to the nearest of a hand's tones."""
    least = None
    for tone in own.unbind(1):
        apart = (place - tone[:, :, None, None]).square().sum(1, keepdim=True)
        least = apart if least is None else torch.minimum(least, apart)
    return least.sqrt()


def ramp(value: Tensor, low: float, high: float) -> Tensor:
    """0 up to `low`, 1 from `high` on."""
    return ((value - low) / (high - low)).clamp(0, 1)


def _closed(share: Tensor, radius: int) -> Tensor:
    """The share with gaps up to 2 `radius` pixels wide filled: shadows between fingers that
    touch."""
    side = 2 * radius + 1
    return -F.max_pool2d(-F.max_pool2d(share, side, 1, radius), side, 1, radius)
