"""How much of each pixel around an arm is the arm's: its capsule is wider than a slim arm, and
holds more.

As for hands (`matte`), colour decides between the arm, whose colours along its bone are known, and
what is behind. Where both have one colour, as a sleeve on its shirt, the capsule stays, but for
what lies on the trunk and has neither's colour: a badge.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.render.warp.geometry import REACH, Skeleton, arm_bones, bone, head_unit
from pipeline.render.warp.hands import SURE, Box, cut, window
from pipeline.render.warp.matte import CONTRAST, ELSEWHERE, features, ramp

PLACES = 9  # along a bone where its colours are looked at
# head heights across it: a detector misses a slim arm's middle
BESIDE = (-0.08, -0.04, 0.0, 0.04, 0.08)
# a colour is the arm's where this share of the places differs by less from it
ALIKE = 0.1
FEWEST = 0.25
# head heights from the bone: the arm's whatever its colour, fading to by colour
CERTAIN = (0.04, 0.08)
CHOKE = (0.3, 0.55)  # nearness at which a pixel starts to be the arm's and at which it is wholly
# colour distance from what is behind: further away neither is meant, as by a badge
UNLIKE = (0.08, 0.16)
CLOTH = (0.3, 0.6)  # head heights from the trunk within which its cloth, such as a skirt, may lie
FOREIGN = (0.12, 0.22)  # colour distance from the arm at which what lies on the trunk stays there


def arm_shares(
    image: Tensor,
    person: Tensor,
    pose: Skeleton,
    behind: Tensor,
    trunk: Tensor,
    limbs: Tensor,
    margins: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """(B,4,H,W) each: ARMS' shares of the pixels of `image` (B,3,H,W), and where the rest is
    background.

    behind (B,3 n,h,w): colours of what may be behind it, the trunk's last. trunk (B,1,h,w), limbs
    (B,6,h,w): distances on the coarse grid; margins: pixels above and below the picture.
    """
    size = image.shape[2:]
    unit = head_unit(pose)
    found = image.new_ones(len(image), 4, *size)
    grounds = image.new_zeros(len(image), 4, *size)
    for k, ends in enumerate(arm_bones(pose).unbind(1)):
        box = window(limbs[:, k] < REACH[k] + 0.1, size)
        if box:
            top, bottom, left, right = box
            maps = cut(torch.cat([behind, trunk], 1), box, size)
            part = features(image[:, :, top:bottom, left:right])
            apart = (
                bone(_nodes(box, margins, size[0], image), *ends.unbind(1))[2] / unit[:, None, None]
            )
            own, sure = _colours(image, person, ends, unit, margins)
            share, ground = _share(part, own, apart, maps)
            found[:, k, top:bottom, left:right] = torch.where(sure[:, None, None], share, 1.0)
            grounds[:, k, top:bottom, left:right] = ground * sure[:, None, None]
    return found, grounds


def _nodes(box: Box, margins: tuple[int, int], rows: int, like: Tensor) -> Tensor:
    """(2,h,w) metric places of the pixels of a window."""
    top, bottom, left, right = box
    y = torch.arange(top - margins[0], bottom - margins[0], device=like.device, dtype=like.dtype)
    x = torch.arange(left, right, device=like.device, dtype=like.dtype)
    return (torch.stack(torch.meshgrid(x, y, indexing="xy")) + 0.5) / (rows - sum(margins))


def _colours(
    image: Tensor, person: Tensor, ends: Tensor, unit: Tensor, margins: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """(B,K,3) features along and beside a bone (B,2,2), K places, and (B,) bool: enough are on the
    person.

    Places beside the person, and colours that few others have, count as the mean of the rest.
    """
    start, end = ends.unbind(1)
    axis = F.normalize(end - start, dim=-1)
    normal = torch.stack([-axis[:, 1], axis[:, 0]], -1)
    shares = torch.linspace(0.05, 0.95, PLACES, device=image.device, dtype=image.dtype)
    middle = start[:, None] + (end - start)[:, None] * shares[:, None]
    beside = (unit[:, None] * normal)[:, None, None] * image.new_tensor(BESIDE)[:, None]
    points = middle[:, :, None] + beside
    (height, width), inner = image.shape[2:], image.shape[2] - sum(margins)
    where = (points * inner + points.new_tensor([0, margins[0]])) / points.new_tensor(
        [width, height]
    ) * 2 - 1
    picked = F.grid_sample(
        torch.cat([image, person], 1), where, mode="bilinear", align_corners=False
    )
    seen = features(picked[:, :3]).flatten(2).mT
    sure = picked[:, 3].flatten(1) > SURE
    total = sure.sum(1)
    alike = (torch.cdist(seen, seen) < ALIKE) & sure[:, None]
    sure &= alike.sum(2) > FEWEST * total[:, None]
    mean = (seen * sure[..., None]).sum(1, keepdim=True) / sure.sum(1)[:, None, None].clamp_min(1)
    return torch.where(sure[..., None], seen, mean), (total >= PLACES) & sure.any(1)


def _share(here: Tensor, own: Tensor, apart: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """(B,h,w) share of a window's features (B,3,h,w); apart (B,h,w) in head heights; own (B,K,3).

    maps (B,3 n + 1,h,w): what is behind, the trunk last, and the trunk's distance.
    """
    size = here.shape[2:]
    to_own, which = torch.cdist(here.flatten(2).mT, own).min(2)
    like = own.gather(1, which[..., None].expand(-1, -1, 3)).mT.unflatten(2, size)
    to_own = to_own.unflatten(1, size)
    others = [features(layer) for layer in maps[:, :-1].split(3, 1)]
    ways = [(here - other).norm(dim=1) for other in others]
    ways[-1] = ways[-1] + ELSEWHERE * ramp(maps[:, -1], *CLOTH)  # the trunk's is the last
    to_behind, layer = torch.stack(ways).min(0)
    contrast = torch.stack([(other - like).norm(dim=1) for other in others]).gather(0, layer[None])[
        0
    ]
    by_colour = torch.maximum(
        ramp(to_behind / (to_own + to_behind + 1e-4), *CHOKE), ramp(to_behind, *UNLIKE)
    )
    same = 1 - ramp(to_own, *FOREIGN) * (maps[:, -1] < 0)
    mixed = torch.lerp(same, by_colour, ramp(contrast, *CONTRAST))
    ground = (layer < len(others) - 1).to(here.dtype)  # the layers before the trunk
    return torch.maximum(mixed, 1 - ramp(apart, *CERTAIN)), ground
