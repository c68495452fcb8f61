"""Prepared once per reference image: the background without the person, the body without its arms,
the arms.

Every layer is filled from its own pixels only (push-pull pyramid), so that nothing of one layer
shows as a ghost in another. Body parts: head, torso, thighs, shins. Arm parts, bottom to top: upper
arms, forearms, hands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.motion.keypoints import (
    CORE_POINTS,
    ELBOWS,
    HAND_EDGES,
    L_HIP,
    NECK,
    R_HIP,
    SHINS,
    SHOULDERS,
    THIGHS,
)
from pipeline.render.warp.arm_matte import arm_shares
from pipeline.render.warp.crown import crown
from pipeline.render.warp.face import lips_colour
from pipeline.render.warp.geometry import (
    ARMS,
    HAND_RADIUS,
    HEAD_AXES,
    LIMB_RADIUS,
    REACH,
    SHIN_RADIUS,
    SHOULDER,
    THIGH_RADIUS,
    TORSO_PAD,
    Room,
    Skeleton,
    arm_bones,
    bone,
    complete,
    grid,
    head_frame,
    head_unit,
    polygon,
    skeleton,
)
from pipeline.render.warp.hands import SURE, hand_shares, surroundings
from pipeline.render.warp.maps import blurred, crisp, enlarge, extended, grown, push_pull
from pipeline.render.warp.sleeves import Sources, bare, lenders, lent, nose_colour, stretches

CUT_HEIGHT = 192  # the picture is cut into parts on a grid no higher than this
BLEND = 0.18  # head heights over which neighbouring body parts share a place
NECK_RADIUS = 0.24  # head heights; the neck counts only for the outline of a person without a mask
FAR = 1e3  # distance of a part that is not there
ROOM = 0.06  # head heights by which the outline around a hand is wider while its matte is made
HEAD_ROOM = 0.06  # head heights around the head that take no part in filling the body
# picture heights beyond its edges to which a person who is cut off there goes on
ABOVE = 0.12
BELOW = 0.3
HIDDEN = 0.45  # share from which on a place behind an arm is the body's
SMOOTH = 0.02  # picture heights over which the outline that an arm hides is smoothed
HINT = 0.05  # how far the edge's colours count beyond it, so that each column goes on in its own

Fill = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # colour, known, needed, smooth -> filled


@dataclass(frozen=True)
class Plates:
    """The layers of B reference images (B,C,H,W) and their geometry; colours are multiplied by
    their alpha.

    image 3; background 4 = colour, known; body 5 and arms (B,6,5,H',W) = colour, alpha, known; on a
    coarse grid shares (B,6,h,w) of body parts, near (B,12,h,w) of body and arm parts; lips (B,3).
    `room`: picture heights above and below the image that body, arms and shares span as well;
    sources of the arms' pixels.
    """

    image: Tensor
    background: Tensor
    body: Tensor
    arms: Tensor
    shares: Tensor
    near: Tensor
    lips: Tensor
    pose: Skeleton
    unit: Tensor
    head: Tensor
    up: Tensor
    room: Room
    sources: Sources

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[2], self.image.shape[3]

    def shrunk(self, size: tuple[int, int]) -> Plates:
        """The same layers at a smaller size, area-averaged."""
        tall = (round(size[0] * (1 + sum(self.room))), size[1])
        sizes = {"image": size, "background": size, "body": tall}
        small = {k: F.interpolate(getattr(self, k), v, mode="area") for k, v in sizes.items()}
        arms = F.interpolate(self.arms.flatten(1, 2), tall, mode="area").unflatten(
            1, self.arms.shape[1:3]
        )
        return replace(self, **small, arms=arms)


def body_distances(nodes: Tensor, pose: Skeleton, unit: Tensor, head: Tensor) -> Tensor:
    """(N,6,h,w) signed distances in head heights to head (given), torso, thighs and shins."""
    u = unit[:, None, None]
    torso = polygon(nodes, pose.body[:, (*SHOULDERS, L_HIP, R_HIP)]) / u - TORSO_PAD
    legs = []
    for bones, radius in ((THIGHS, THIGH_RADIUS), (SHINS, SHIN_RADIUS)):
        for a, b in bones:
            legs.append(bone(nodes, pose.body[:, a], pose.body[:, b])[2] / u - radius)
    return torch.stack([head, torso, *legs], 1)


def head_distance(places: Tensor, centre: Tensor, up: Tensor, unit: Tensor) -> Tensor:
    """(N,h,w) distance in head heights of reference places (N,2,h,w) to the reference's head
    ellipse."""
    x, y = (places - centre[:, :, None, None]).unbind(1)
    ux = up[:, 0, None, None]
    uy = up[:, 1, None, None]
    u = unit[:, None, None]
    across = (x * uy - y * ux) / u / HEAD_AXES[0]
    along = (x * ux + y * uy) / u / HEAD_AXES[1]
    return ((across.square() + along.square() + 1e-9).sqrt() - 1) * sum(HEAD_AXES) / 2


def legs_present(pose: Skeleton) -> Tensor:
    """(N,6) bool: head and torso always, a thigh or shin where the reference shows both of its
    joints."""
    seen = pose.body_seen
    ever = torch.ones_like(seen[:, 0])
    thighs = [seen[:, a] & seen[:, b] for a, b in THIGHS]
    shins = [seen[:, a] & seen[:, b] & thigh for (a, b), thigh in zip(SHINS, thighs, strict=True)]
    return torch.stack([ever, ever, *thighs, *shins], 1)


def arms_present(pose: Skeleton) -> Tensor:
    """(N,6) bool: upper arms, forearms, hands (right one first) whose points are seen."""
    seen = pose.body_seen
    bones = [seen[:, a] & seen[:, b] for a, b in ARMS]
    hands = [bones[2] | pose.hands_seen[:, 1], bones[3] | pose.hands_seen[:, 0]]
    return torch.stack([*bones, *hands], 1)


def arm_distances(nodes: Tensor, pose: Skeleton, unit: Tensor) -> Tensor:
    """(N,6,h,w) signed distances in head heights to the arm parts; a hand without points is
    guessed."""
    u = unit[:, None, None]
    present = arms_present(pose)
    parts = []
    bones = arm_bones(pose).unbind(1)
    for (a, _), ends, radius in zip(ARMS, bones, LIMB_RADIUS, strict=True):
        start, end = ends.unbind(1)
        start = start + (end - start) * (SHOULDER if a in CORE_POINTS else 0)
        parts.append(bone(nodes, start, end)[2] / u - radius)
    for (elbow, wrist), hand in ((ARMS[2], 1), (ARMS[3], 0)):
        points = pose.hands[:, hand]
        drawn = (
            torch.stack(
                [bone(nodes, points[:, a], points[:, b])[2] for a, b in HAND_EDGES], 1
            ).amin(1)
            / u
        )
        tip = pose.body[:, wrist] + 0.7 * unit[:, None] * F.normalize(
            pose.body[:, wrist] - pose.body[:, elbow], dim=-1
        )
        guess = bone(nodes, pose.body[:, wrist], tip)[2] / u - 0.12
        parts.append(torch.where(pose.hands_seen[:, hand, None, None], drawn, guess) - HAND_RADIUS)
    return torch.where(present[..., None, None], torch.stack(parts, 1), FAR)


def shares_of(distances: Tensor, present: Tensor, blend: float = BLEND) -> Tensor:
    """(N,6,h,w) how much each body part counts at a place, summing to 1; `blend` in head
    heights."""
    return torch.softmax(torch.where(present[..., None, None], -distances / blend, -FAR), 1)


def plates(
    image: Tensor, body: Tensor, hands: Tensor, face: Tensor, mask: Tensor | None, fill: Fill | None
) -> Plates:
    """The layers of reference images (B,3,H,W), key points (B,K,3) and, if known, person masks
    (B,1,H,W)."""
    size = image.shape[2], image.shape[3]
    aspect = size[1] / size[0]
    pose = skeleton(body, hands, face, aspect)
    unit = head_unit(pose)
    pose = complete(pose, unit)
    head, up = head_frame(pose, unit)
    rows = min(size[0], max(96, min(CUT_HEIGHT, size[0] // 2)))
    columns = max(2, round(size[1] * rows / size[0]))
    # whole rows of the grid, so that it stays as it was within the picture
    more = round(ABOVE * rows), round(BELOW * rows)
    margins = tuple(round(count * size[0] / rows) for count in more)
    room = tuple(pixels / size[0] for pixels in margins)
    present = legs_present(pose)

    def distances(nodes: Tensor) -> tuple[Tensor, Tensor]:
        trunk = body_distances(nodes, pose, unit, head_distance(nodes[None], head, up, unit))
        return torch.where(present[..., None, None], trunk, FAR), arm_distances(nodes, pose, unit)

    both = torch.cat(distances(grid((rows, columns), size, aspect, image)), 1)
    near = (1 - (both - both.amin(1, keepdim=True).clamp_min(0) - 0.1) / 0.3).clamp(0, 1)
    nodes = grid((rows + sum(more), columns), size, aspect, image, room)
    trunk, limbs = distances(nodes)
    neck = (
        bone(nodes, pose.body[:, NECK], head)[2][:, None] / unit[:, None, None, None] - NECK_RADIUS
    )
    elbows = [
        (nodes - pose.body[:, k, :, None, None]).norm(dim=1) / unit[:, None, None] for k in ELBOWS
    ]
    elbow = torch.stack(elbows, 1) - LIMB_RADIUS[0]
    maps = trunk, limbs, neck, elbow, *stretches(nodes, pose, unit)
    background, trunk_layer, arms, sources = _layers(image, mask, pose, *maps, fill, margins)
    lips = lips_colour(image, pose.face, aspect)
    shares = shares_of(trunk, present)
    return Plates(
        image,
        background,
        trunk_layer,
        arms,
        shares,
        near,
        lips,
        pose,
        unit,
        head,
        up,
        room,
        sources,
    )


def _layers(
    image: Tensor,
    mask: Tensor | None,
    pose: Skeleton,
    parts: Tensor,
    limbs: Tensor,
    neck: Tensor,
    elbow: Tensor,
    lendable: Tensor,
    shown: Tensor,
    fill: Fill | None,
    margins: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor, Sources]:
    """Background (B,4), body (B,5), arms (B,6,5) and their sources from maps (B,1|2|6,h,w) on a
    coarse grid.

    Body and arms, as the distances, go on for `margins` pixels above and below the image.
    """
    height = image.shape[2]
    inside = slice(margins[0], margins[0] + image.shape[2])
    image = extended(image, margins)
    size = image.shape[2:]
    trunk = parts.amin(1, keepdim=True)
    seen = F.pad(torch.ones_like(image[:, :1, inside]), (0, 0, *margins))
    person = _outline(pose, trunk, limbs, neck, size) if mask is None else extended(mask, margins)
    edge = max(1, round(height / 384))
    around = surroundings(image, person, trunk, limbs)
    hands, grounds = hand_shares(image, pose, around, limbs, edge, margins)
    skin = nose_colour(image[:, :, inside], pose, size[1] / height)
    free = bare(image[:, :, inside], pose, skin, size[1] / height)
    alphas, holes = _arm_shares(limbs, trunk, free, person, seen)
    first = 0 if mask is None else 1  # what a mask calls the person is not background
    colours = around.unflatten(1, (3, 4))[:, first:2, :3]
    arm, beside = arm_shares(image, person, pose, colours.flatten(1, 2), trunk, limbs, margins)
    alphas[:, :4] *= arm
    holes[:, :4] *= torch.maximum(grown((arm > 0.03).to(image.dtype), edge), beside)
    # of a hand that is only guessed at, nothing is known beyond the picture
    known = torch.maximum(seen, pose.hands_seen.flip(1)[..., None, None].to(seen))
    alphas[:, 4:] *= hands * known
    holes[:, 4:] *= torch.maximum(grown((hands > 0.03).to(image.dtype), edge), grounds)
    hole = holes.amax(1, keepdim=True)
    radius = max(1, round(height / 96)) * (1 if mask is not None else 2)
    away = (1.2 - grown(person, radius) * 4).clamp(0, 1) * seen
    sure = (person > SURE).to(image.dtype) * seen
    alone = sure * (hole < 0.02)
    levels = sure * (hole > 0.5) * _uncovered(limbs, elbow, size, hands, edge)
    whole_arms = (arm * (alphas[:, :4] > 0)).unflatten(1, (2, 2)).amax(2) > 0.85
    levels[:, :2] *= whole_arms.to(image.dtype)
    lend = lenders(image, levels, alphas, pose)
    alphas[:, :2] *= torch.where(lend[..., None, None], enlarge(shown, size), 1.0)
    hint = HINT * extended(alone[:, :, inside], margins) * (1 - seen)
    weights = torch.cat([away, alone + hint, *levels.split(1, 1)])
    behind, flesh, *colours = push_pull(image.repeat(5, 1, 1, 1), weights).chunk(5)
    background = _background(image[:, :, inside], behind[:, :, inside], away[:, :, inside], fill)
    body = _body(image, parts, person, skin, hole, alone, flesh, fill, margins)
    one = torch.ones_like(levels)
    pieces = torch.cat([torch.stack(colours, 1), one[:, :, None], levels[:, :, None]], 2)
    arms = pieces.repeat_interleave(2, 1) * alphas[:, :, None]
    arms, sources = lent(arms, lend, enlarge(lendable, size), pose)
    return background, body, arms, sources


def _background(image: Tensor, behind: Tensor, away: Tensor, fill: Fill | None) -> Tensor:
    """(B,4,H,W) what lies behind the person, filled smoothly or by `fill`, and where it is
    known."""
    if fill is not None:
        everywhere = torch.ones_like(away) > 0
        behind = _each(fill, image, away > 0.5, everywhere, behind)
    return torch.cat([behind, away], 1)


def _body(
    image: Tensor,
    parts: Tensor,
    person: Tensor,
    skin: Tensor,
    hole: Tensor,
    alone: Tensor,
    colour: Tensor,
    fill: Fill | None,
    margins: tuple[int, int],
) -> Tensor:
    """(B,5,H,W) colour, alpha, known of head, torso and legs, guessed at under the arms and beyond
    the image.

    Above the image a head goes on to its crown; below it cloth and legs go on.
    """
    top = margins[0]
    inside = slice(margins[0], image.shape[2] - margins[1])
    size = image.shape[2:]
    head, other = enlarge(
        torch.cat([parts[:, :1], parts[:, 1:].amin(1, keepdim=True)], 1), size
    ).split(1, 1)
    shape = (0.5 - torch.minimum(head, other) / 0.1).clamp(0, 1)
    guess = blurred(push_pull(person, 1 - hole), round(SMOOTH * (inside.stop - inside.start)))
    under = crisp(0.6 * guess + 0.4 * shape, HIDDEN, inside.stop - inside.start)
    alpha = extended((person * (1 - hole) + under * hole)[:, :, inside], margins)
    heads = torch.where(head < other, head, FAR), person * (1 - hole)
    above, alpha[:, :, :top] = crown(image, *heads, skin, top)
    if fill is not None:  # a face must not be copied, nor hair be filled with cloth
        clothed = (head > HEAD_ROOM) & (head > other)
        colour = _each(fill, image, (alone > 0.5) & clothed, (alpha > 0) & clothed, colour)
    colour = torch.cat([above, colour[:, :, top:]], 2)
    return torch.cat([colour * alpha, alpha, alone * alpha], 1)


def _arm_shares(
    limbs: Tensor, trunk: Tensor, free: Tensor, person: Tensor, seen: Tensor
) -> tuple[Tensor, Tensor]:
    """(B,6,H,W) alphas of the arm parts, and how far each makes a hole in what is behind it.

    An arm part owns its capsule, and what else of the person (B,1,H,W) is near and nearer to it
    than to the trunk, unless it is `free` (B,4) of sleeves. Beyond the image (`seen` 0) it is only
    its capsule.
    """
    arm = limbs.amin(1, keepdim=True)
    size = person.shape[2:]
    near = torch.where(
        F.pad(free, (0, 2))[..., None, None], 0.0, limbs.new_tensor(REACH)[:, None, None]
    )
    own = torch.maximum(-limbs, torch.minimum(torch.minimum(trunk - limbs, trunk), near - limbs))
    alphas = enlarge(((torch.minimum(own, 0.25 - limbs + arm) + 0.08) / 0.06).clamp(0, 1), size)
    alphas *= torch.where(seen > 0, person, enlarge((0.5 - arm / 0.06).clamp(0, 1), size))
    return alphas, enlarge((0.5 + (own + 0.02) / 0.06).clamp(0, 1), size)


def _outline(
    pose: Skeleton, trunk: Tensor, limbs: Tensor, neck: Tensor, size: tuple[int, int]
) -> Tensor:
    """(B,1,H,W) the person as the key points show it, where no mask is known."""
    room = ROOM * pose.hands_seen.flip(1)[..., None, None].to(
        limbs.dtype
    )  # the matte takes it back
    outline = torch.minimum(torch.minimum(trunk, limbs.amin(1, keepdim=True)), neck)
    outline = torch.minimum(outline, (limbs[:, 4:] - room).amin(1, keepdim=True))
    return enlarge((0.5 - outline / 0.06).clamp(0, 1), size)


def _each(fill: Fill, image: Tensor, known: Tensor, needed: Tensor, smooth: Tensor) -> Tensor:
    """`smooth` (B,3,H,W) with the filled picture where something is needed and not known
    (B,1,H,W)."""
    filled = [fill(*row) for row in zip(image, known[:, 0], needed[:, 0], smooth, strict=True)]
    return torch.where(needed & ~known, torch.stack(filled), smooth)


def _uncovered(
    limbs: Tensor, elbow: Tensor, size: tuple[int, int], hands: Tensor, edge: int
) -> Tensor:
    """(B,3,H,W) 1 where upper arms, forearms, hands are not covered by a part that lies above them.

    A hand covers, and shows itself, where its share of the pixels says so. An elbow shows itself in
    the upper arm and in the forearm (`elbow` (B,2,h,w): distances).
    """
    fore = torch.maximum(limbs[:, 2:4], -elbow).amin(1, keepdim=True)
    hand = limbs[:, 4:].amin(1, keepdim=True)
    fore, hand = enlarge(torch.cat([fore, hand], 1), size).split(1, 1)
    share = hands.amax(1, keepdim=True)
    free = (hand > 0.03) | (grown(share, edge) < 0.03)
    return torch.cat([free & (fore > 0.03), free, share > 0.85], 1).to(limbs.dtype)
