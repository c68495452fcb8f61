"""Paint bodies: legs, torso, neck, arms, hands, materials (the clothes are in `clothes`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.data.presenters import clothes
from pipeline.training.data.presenters.anatomy import Figure
from pipeline.training.data.presenters.identity import Identities
from pipeline.training.data.presenters.shapes import (
    CLOTH,
    COLORS,
    MATERIAL,
    PERSON,
    Canvas,
    U,
    V,
    as_map,
    capsule,
    smallest,
)
from pipeline.training.data.presenters.textures import BOTTOM, SKIN, TOP, read_texture

_LEGS = ((8, 9, 10, -1.0), (11, 12, 13, 1.0))  # hip, knee, ankle; outwards along x
_ARMS = ((2, 3, 4), (5, 6, 7))  # shoulder, elbow, wrist
_FRONT_FINGER_LAST = (4, 3, 2, 1, 0)  # little finger to thumb


def round_shade(side: Tensor, light: Tensor) -> Tensor:
    """Return the brightness of a limb: darker towards its edges, lit from `light` (N,)."""
    return 1.04 - 0.26 * side * side + 0.16 * side * as_map(light)


def _light_across(start: Tensor, end: Tensor, light: Tensor) -> Tensor:
    """Return the light (N,) across the axis of a limb."""
    axis = F.normalize(end - start, dim=1)
    return -axis[:, 1] * light[:, 0] + axis[:, 0] * light[:, 1]


def paint_legs(canvas: Canvas, people: Identities, figure: Figure) -> None:
    """Paint shoes, shins and thighs, as far as they are in the picture."""
    for hip, knee, ankle, outwards in _LEGS:
        _paint_shoe(canvas, people, figure, ankle, outwards)
        thigh_end = figure.body[:, knee]
        foot = figure.body[:, ankle]
        _paint_leg_part(canvas, people, thigh_end, foot, (0.24, 0.15), hip)
        # the thigh's round end must not stand out above the waist
        thigh_start = 0.86 * figure.body[:, hip] + 0.14 * thigh_end
        _paint_leg_part(canvas, people, thigh_start, thigh_end, (0.30, 0.235), hip)


def _paint_shoe(
    canvas: Canvas, people: Identities, figure: Figure, ankle: int, outwards: float
) -> None:
    """Paint one shoe that points outwards."""
    h = figure.head
    to_heel = figure.body.new_tensor((0.0, 0.03))
    to_toe = figure.body.new_tensor((0.12 * outwards, 0.15))
    heel = figure.body[:, ankle] + to_heel * h[:, None]
    toe = heel + to_toe * h[:, None]
    crop = canvas.around(0.15 * h, heel, toe)
    if crop is None:
        return
    shoe = capsule(crop, heel, toe, 0.13 * h, 0.13 * h)
    alpha = crop.cover(shoe.distance)
    shade = 1.1 - 0.3 * shoe.side * shoe.side
    crop.paint(alpha, people.shoes, shade)
    crop.set_texture(alpha, shoe.side * 0.1, shoe.along * 0.2, BOTTOM)


def _paint_leg_part(
    canvas: Canvas,
    people: Identities,
    start: Tensor,
    end: Tensor,
    radii: tuple[float, float],
    texture_offset: int,
) -> None:
    """Paint a thigh or a shin, bare below a skirt; `radii` in head heights at both ends."""
    h = people.head
    bare = people.skirt > 0
    color = torch.where(bare[:, None], people.skin, people.bottom)
    material = torch.where(bare, float(SKIN), float(BOTTOM))
    thickness = torch.where(bare, 0.85, 1.0) * people.girth * h
    crop = canvas.around(0.5 * h, start, end)
    if crop is None:
        return
    leg = capsule(crop, start, end, radii[0] * thickness, radii[1] * thickness)
    alpha = crop.cover(leg.distance)
    light = _light_across(start, end, people.light)
    shade = round_shade(leg.side, light) * (0.94 + 0.06 * leg.along)
    cloth = as_map((~bare).float())
    crop.paint(alpha, color, shade, 0.3 * cloth)
    u = leg.side * 0.3 + 0.5
    v = leg.beyond * 1.8 + texture_offset
    crop.set_texture(alpha, u, v, as_map(material))


def paint_torso(canvas: Canvas, people: Identities, figure: Figure) -> None:
    """Paint pelvis or skirt, then the upper garment."""
    h = figure.head
    skirt_end = figure.hips + figure.down * (people.skirt * h)[:, None]
    left = figure.body[:, 5]
    right = figure.body[:, 2]
    crop = canvas.around(1.15 * h, right, left, figure.hips, skirt_end)
    if crop is None:
        return
    axes = clothes.torso_axes(crop, people, figure)
    clothes.paint_lower_garment(crop, people, axes)
    clothes.paint_upper_garment(crop, people, axes)


def paint_neck(canvas: Canvas, people: Identities, figure: Figure) -> None:
    """Paint the neck with the chin's shadow, from the collar to the back of the head."""
    h = figure.head
    start = figure.body[:, 1] - figure.down * (0.04 * h)[:, None]
    end = figure.center + figure.rotation[:, :2, 1] * (0.22 * h)[:, None]
    crop = canvas.around(0.4 * h, start, end)
    if crop is None:
        return
    width = 0.232 + 0.015 * people.shape[:, 0]
    radius = width * people.girth.clamp(0.92, 1.06) * h
    neck = capsule(crop, start, end, radius * 1.05, radius * 0.95)
    chin_y = figure.face[:, 8, 1]
    below_chin = (crop.y - as_map(chin_y)) / as_map(0.13 * h)
    shadow = torch.exp(-below_chin.clamp_min(0).square())
    shade = round_shade(neck.side, -people.light[:, 0])
    shade = shade * (0.96 - 0.34 * shadow)
    alpha = crop.cover(neck.distance)
    crop.paint(alpha, people.skin, shade, 0.0)
    crop.set_texture(alpha, neck.side * 0.25 + 0.5, neck.beyond * 0.5, SKIN)


@dataclass(frozen=True)
class _ArmPart:
    """An upper arm or a forearm of N frames."""

    start: Tensor  # (N, 2)
    end: Tensor
    first_radius: Tensor  # (N,)
    last_radius: Tensor
    sleeve: Tensor  # (N,) covered share of it, beyond [0, 1] where all or nothing is covered
    joint: int  # body point at its start; it also moves the texture
    shadow: float  # strength of the shadow on what is behind
    is_upper: bool


def paint_arms(canvas: Canvas, people: Identities, figure: Figure) -> None:
    """Paint both arms in sleeves, with a soft shadow of the forearms on what is behind."""
    h = figure.head
    has_long_sleeves = (people.sleeve > 1).float()
    thickness = people.girth * h * (0.88 + 0.12 * has_long_sleeves)
    neck = figure.body[:, 1]
    for shoulder, elbow, wrist in _ARMS:
        joint = figure.body[:, shoulder]
        start = joint + (neck - joint) * 0.07 + figure.down * (0.02 * h)[:, None]
        upper = _ArmPart(
            start=start,
            end=figure.body[:, elbow],
            first_radius=0.185 * thickness,
            last_radius=0.16 * thickness,
            sleeve=people.sleeve,
            joint=shoulder,
            shadow=0.10,
            is_upper=True,
        )
        fore = _ArmPart(
            start=figure.body[:, elbow],
            end=figure.body[:, wrist],
            first_radius=0.165 * thickness,
            last_radius=0.115 * thickness,
            sleeve=people.sleeve - 1,
            joint=elbow,
            shadow=0.24,
            is_upper=False,
        )
        _paint_arm_part(canvas, people, upper)
        _paint_arm_part(canvas, people, fore)


def _paint_arm_part(canvas: Canvas, people: Identities, part: _ArmPart) -> None:
    """Paint one part of an arm, sleeve and skin, over its shadow."""
    h = people.head
    crop = canvas.around(0.5 * h, part.start, part.end)
    if crop is None:
        return
    arm = capsule(crop, part.start, part.end, part.first_radius, part.last_radius)
    nearness = (1 - arm.distance.clamp_min(0) / as_map(0.24 * h)).clamp_min(0).square()
    nearness = nearness * (arm.along * 4).clamp(0, 1)  # at the joint it would draw a ring
    crop.darken(1 - part.shadow * nearness * crop.data[PERSON])

    alpha = crop.cover(arm.distance)
    shade = round_shade(arm.side, _light_across(part.start, part.end, people.light))
    if part.is_upper:  # at the shoulder the sleeve is as bright as the torso beside it
        torso_shade = torch.full_like(shade, 1.03)
        near_shoulder = ((0.4 - arm.along) * 3.2).clamp(0, 1)
        shade = torch.lerp(shade, torso_shade, near_shoulder)
    length_px = (part.end - part.start).norm(dim=1) * canvas.scale
    sleeve = as_map(part.sleeve)
    covered = ((sleeve - arm.along) * as_map(length_px) + 0.5).clamp(0, 1)
    folds = 0.05 * torch.sin(arm.along * 17 + arm.side * 3)
    shade = shade - folds * covered * (arm.along > 0.55)
    cuff = torch.exp(-((arm.along - sleeve) * 24).square()) * 0.15
    color = []
    difference = people.top - people.skin
    for channel in COLORS:
        skin = as_map(people.skin[:, channel])
        color.append(skin + as_map(difference[:, channel]) * covered)
    crop.paint(alpha, color, shade - cuff, covered)
    material = torch.where(covered > 0.5, float(TOP), float(SKIN))
    crop.set_texture(alpha, arm.side * 0.2 + 0.5, arm.beyond * 1.2 + part.joint, material)


def paint_hands(canvas: Canvas, people: Identities, figure: Figure) -> None:
    """Paint both hands in patches: palm, then the fingers one over the other, edges shaded."""
    h = figure.head
    length = people.bones[:, 4] * h
    for side, sign in ((1, -1.0), (0, 1.0)):
        points = figure.hands[:, side]
        low = points.amin(1)
        high = points.amax(1)
        center = (low + high) / 2
        reach = (high - low).amax() + 0.3 * h.max()
        is_below_picture = (center[:, 1] - reach) > 1
        if bool(is_below_picture.all()):
            continue
        patch, index = canvas.patch(center, int(reach * canvas.scale) + 4)
        light = 1.03 + 0.05 * people.light[:, 0] * sign
        parts = [_paint_palm(patch, people, points, length, light)]
        for finger in _FRONT_FINGER_LAST:
            parts.append(_paint_finger(patch, people, points, length, light, finger))
        alpha = patch.cover(smallest(parts))
        axis = capsule(patch, points[:, 0], points[:, 9], 0.3 * length, 0.3 * length)
        patch.set_texture(alpha, axis.side * 0.3 + 0.5, axis.beyond * 0.5, SKIN)
        canvas.put(patch, index)


def _paint_palm(
    patch: Canvas, people: Identities, points: Tensor, length: Tensor, light: Tensor
) -> Tensor:
    """Paint the palm between the wrist and the knuckles; returns the distance to it.

    Its edges fade at the wrist.
    """
    knuckles = (points[:, 9] + points[:, 13]) / 2
    middle = capsule(patch, points[:, 0], knuckles, 0.115 * length, 0.17 * length)
    parts = [middle.distance]
    for first, last in ((0, 5), (0, 17), (5, 17)):
        part = capsule(patch, points[:, first], points[:, last], 0.09 * length, 0.08 * length)
        parts.append(part.distance)
    palm = smallest(parts)
    depth = (1 + palm / as_map(0.05 * length)).clamp(0, 1)
    depth = depth * (middle.along * 3 - 0.3).clamp(0, 1)
    shade = as_map(light) - 0.30 * depth.square()
    patch.paint(patch.cover(palm), people.skin, shade, 0.0)
    return palm


def _paint_finger(
    patch: Canvas,
    people: Identities,
    points: Tensor,
    length: Tensor,
    light: Tensor,
    finger: int,
) -> Tensor:
    """Paint one finger (0 the thumb); returns the distance to it."""
    is_thumb = finger == 0
    base = 1 + 4 * finger
    bones = [(base, base + 1), (base + 1, base + 2), (base + 2, base + 3)]
    if is_thumb:
        bones.insert(0, (0, 1))
    radius = (0.064 if is_thumb else 0.057) * length
    parts = []
    for start, end in bones:
        swelling = 1.3 if start == 0 else 1.0
        bone = capsule(patch, points[:, start], points[:, end], radius * swelling, radius * 0.92)
        parts.append(bone.distance)
    distance = smallest(parts)
    depth = (1 + distance / as_map(radius)).clamp(0, 1)
    shade = as_map(light) - 0.34 * depth.square()
    patch.paint(patch.cover(distance), people.skin, shade, 0.0)
    return distance


def paint_materials(canvas: Canvas, people: Identities, atlas: Tensor) -> None:
    """Lay patterns on the clothes, then the texture of every material, in part coordinates.

    `atlas` (B, 3, 4 x 96, 96) has one row per person, `people` one per frame.
    """
    u = canvas.data[U]
    v = canvas.data[V]
    if bool((people.pattern[:, :3] > 0).any()):
        _paint_pattern(canvas, people, u, v)
    texture = read_texture(atlas, u, v, canvas.data[MATERIAL])
    for channel in COLORS:
        color = canvas.data[channel]
        color.addcmul_(color * canvas.data[PERSON], texture[:, channel])


def _paint_pattern(canvas: Canvas, people: Identities, u: Tensor, v: Tensor) -> None:
    """Lay stripes and checks on what has cloth weight."""
    values = [as_map(column) for column in people.pattern.unbind(1)]
    along_weight, across_weight, checks_weight, along_frequency, across_frequency = values
    along = (torch.sin(u * along_frequency) * 4 + 0.5).clamp(0, 1)
    across = (torch.sin(v * across_frequency) * 4 + 0.5).clamp(0, 1)
    stripes = along_weight * along + across_weight * across
    amount = stripes + checks_weight * (along - across).abs()
    cloth = ((canvas.data[CLOTH] - 0.5) * 2).clamp(0, 1)
    amount = amount.clamp_(0, 1) * cloth
    ratio = people.second / people.top.clamp_min(0.05) - 1
    for channel in COLORS:
        color = canvas.data[channel]
        change = as_map(ratio[:, channel]).clamp(-0.8, 3)
        color.addcmul_(color * amount, change)
