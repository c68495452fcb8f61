"""Who the drawn presenters are: random, seeded people.

Lengths are in head heights (chin to crown) unless a name says otherwise; `head` itself is in
picture heights. Index 0 of a pair is the person's left side (image right), as in the hand points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.training.data.presenters.backgrounds import Scenery, draw_scenery
from pipeline.training.data.presenters.camera import Camera, draw_camera
from pipeline.training.data.presenters.rows import Draws, Rows
from pipeline.training.data.presenters.textures import draw_atlas

# RGB, dark to light or natural colors; clothes are drawn by hue instead
SKINS = (
    (0.30, 0.19, 0.14),
    (0.47, 0.31, 0.22),
    (0.66, 0.46, 0.34),
    (0.82, 0.62, 0.49),
    (0.93, 0.76, 0.66),
)
HAIRS = (
    (0.06, 0.05, 0.05),
    (0.16, 0.10, 0.07),
    (0.32, 0.20, 0.12),
    (0.52, 0.30, 0.14),
    (0.78, 0.62, 0.36),
    (0.62, 0.60, 0.58),
    (0.45, 0.16, 0.08),
)
IRISES = (
    (0.20, 0.12, 0.07),
    (0.30, 0.22, 0.12),
    (0.25, 0.38, 0.45),
    (0.30, 0.38, 0.25),
)
ROSE = (0.72, 0.28, 0.28)  # the lips lie between it and the skin

# head heights in picture heights for half bodies (50 %), three quarters (25 %), full bodies (25 %)
_HALF_BODY = (0.19, 0.28)
_THREE_QUARTER = (0.14, 0.175)
_FULL_BODY = (0.102, 0.118)
_FULL_BODY_HEAD_HEIGHTS = 7.9  # from the crown to the soles
# shoulders, torso, upper arm, forearm, hand, hips, thigh, shin
_BONES_HEAD_HEIGHTS = (1.6, 2.2, 1.28, 1.12, 0.8, 0.92, 1.85, 1.85)

# stripes along, stripes across, checks
_PATTERNS = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.0))
_PATTERN_SHARES = (0.5, 0.12, 0.15, 0.13, 0.1)
_SLEEVES = (0.45, 0.95, 1.93)  # short, to the elbow, to the wrist; 1 is the upper arm
_SLEEVE_SHARES = (0.3, 0.12, 0.58)


@dataclass(frozen=True)
class Identities(Rows):
    """One row per person. Colors are (B, 3) in [0, 1]; everything else is (B,) unless noted."""

    head: Tensor  # head height as a fraction of the picture height
    crown: Tensor  # top of the head at rest, fraction of the picture height
    offset: Tensor  # sideways position, picture heights from the middle
    bones: Tensor  # (B, 8) shoulders, torso, upper arm, forearm, hand, hips, thigh, shin
    girth: Tensor  # thickness of limbs and torso, 1 = plain
    shape: Tensor  # (B, 8) width, jaw, eye size, eye gap, nose, mouth, lips, brow height; 0 = plain
    skin: Tensor
    hair: Tensor
    lips: Tensor
    iris: Tensor
    top: Tensor
    second: Tensor  # pattern color
    inner: Tensor  # shirt under a jacket
    bottom: Tensor
    shoes: Tensor
    hair_length: Tensor  # 0 cropped, 1 chin, 2 over the shoulders
    volume: Tensor
    hairline: Tensor
    parting: Tensor
    curly: Tensor
    bun: Tensor
    bald: Tensor
    beard: Tensor
    glasses: Tensor
    jacket: Tensor
    neckline: Tensor
    collar: Tensor
    sleeve: Tensor  # covered part of the arm: 0.45 short, 1 elbow, 2 wrist
    skirt: Tensor  # 0 trousers, else length in head heights
    pattern: Tensor  # (B, 5) weights of stripes along, across, checks; two spatial frequencies
    light: Tensor  # (B, 2) direction of the light, +x right, +y down
    atlas: Tensor  # (B, 3, 384, 96) textures of skin, clothes and hair, see `textures`
    scenery: Scenery
    camera: Camera

    def __len__(self) -> int:
        return len(self.head)


def draw_identities(
    generator: torch.Generator, count: int, device: torch.device | str = "cpu"
) -> Identities:
    """Draw random people; the same generator state gives the same people on any device."""
    draw = Draws(generator, count)
    framing = draw.uniform()
    is_full_body = framing > 0.75
    head = _draw_head(draw, framing)
    full_body_margin = 0.95 - _FULL_BODY_HEAD_HEIGHTS * head
    margin = torch.where(is_full_body, full_body_margin, torch.full_like(head, 0.1))
    plain_bones = torch.tensor(_BONES_HEAD_HEIGHTS)
    bones = plain_bones * draw.uniform(0.93, 1.07, 8)
    bones = bones * torch.where(is_full_body, 0.98, 1.0)[:, None]
    skin = _draw_between(draw, SKINS) * draw.uniform(0.94, 1.05, 3)
    blush = draw.uniform(0.15, 0.6)[:, None]
    lips = skin * (1 - blush) + torch.tensor(ROSE) * blush
    long = draw.chance(0.5)  # long hair; these people may wear skirts and have no beards
    crown = 0.035 + margin.clamp(0.03, 0.2) * draw.uniform(0.1, 0.9)
    # the arguments are drawn in this order
    people = Identities(
        head=head,
        crown=crown,
        offset=draw.uniform(-0.05, 0.05),
        bones=bones,
        girth=draw.uniform(0.88, 1.2),
        shape=draw.uniform(-1, 1, 8),
        skin=skin.clamp(0, 1),
        hair=_draw_between(draw, HAIRS) * draw.uniform(0.8, 1.15)[:, None],
        lips=lips.clamp(0, 1) * 0.92,
        iris=_draw_between(draw, IRISES),
        top=draw.color(),
        second=draw.color(),
        inner=draw.color(0.4),
        bottom=draw.color(0.5) * 0.8,
        shoes=draw.color(0.3) * 0.4,
        hair_length=long * draw.uniform(0.9, 2.1),
        volume=draw.uniform(0, 1),
        hairline=draw.uniform(-1, 1),
        parting=draw.uniform(-1, 1),
        curly=(curly := draw.chance(0.3)),
        bun=draw.chance(0.1),
        bald=(1 - long) * draw.chance(0.08),
        beard=(1 - long) * draw.chance(0.35) * draw.uniform(0.4, 1.0),
        glasses=draw.chance(0.22),
        jacket=draw.chance(0.35),
        neckline=draw.uniform(0.0, 1.0),
        collar=draw.chance(0.3),
        sleeve=draw.pick(_SLEEVES, _SLEEVE_SHARES),
        skirt=long * draw.chance(0.45) * draw.uniform(1.2, 2.6),
        pattern=_draw_patterns(draw),
        light=(light := _draw_light(draw)),
        scenery=draw_scenery(draw),
        atlas=draw_atlas(draw, head, curly),
        camera=draw_camera(draw, light),
    )
    return people.to(device)


def change_proportions(people: Identities, generator: torch.Generator, spread: float) -> Identities:
    """Give the same people other bones and girths: factors of about 1 +- `spread`, left as right.

    `spread` is a standard deviation. That of a uniform number is 0.29 of its range, so the range
    is 1 +- 1.7 `spread`.
    """
    draw = Draws(generator, len(people))
    low = 1 - 1.7 * spread
    high = 1 + 1.7 * spread
    bones = draw.uniform(low, high, people.bones.shape[1]).to(people.bones)
    girth = draw.uniform(low, high).to(people.girth)
    return replace(people, bones=people.bones * bones, girth=people.girth * girth)


def _draw_head(draw: Draws, framing: Tensor) -> Tensor:
    """Draw head heights (B,) in picture heights; `framing` (B,) in [0, 1] picks the kind."""
    half_body = draw.uniform(*_HALF_BODY)
    three_quarter = draw.uniform(*_THREE_QUARTER)
    full_body = draw.uniform(*_FULL_BODY)
    sizes = torch.stack((half_body, three_quarter, full_body), 1)
    kind = (framing > 0.5).long() + (framing > 0.75).long()
    return sizes.gather(1, kind[:, None])[:, 0]


def _draw_light(draw: Draws) -> Tensor:
    """Draw (B, 2) directions: from the left or right, mostly from above."""
    spread = torch.tensor((1.0, 0.3))
    middle = torch.tensor((0.0, -0.6))
    return draw.uniform(-1.8, 1.8, 2) * spread + middle


def _draw_patterns(draw: Draws) -> Tensor:
    """Draw (B, 5) pattern weights and two frequencies per head height; half of them are plain."""
    kind = draw.pick(_PATTERNS, _PATTERN_SHARES)
    weights = kind * draw.uniform(0.4, 1.0)[:, None]
    frequencies = draw.uniform(6.0, 26.0, 2)
    return torch.cat((weights, frequencies), 1)


def _draw_between(draw: Draws, table: Sequence[tuple[float, float, float]]) -> Tensor:
    """Draw (B, 3) colors between two random entries of a table, nearer to the first."""
    mix = draw.uniform(0, 0.5)[:, None]
    first = draw.pick(table) * (1 - mix)
    return first + draw.pick(table) * mix
