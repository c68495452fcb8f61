"""Who the drawn presenters are (`Identities`) and how they move (`Motions`, `Dofs`): random, seeded.

Lengths are in head heights (chin to crown) unless a name says otherwise; `head` itself is in picture heights.
Index 0 of a pair is the person's left side (image right), as in the hand key points.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from pipeline.training.data.presenters.backgrounds import Scenery, scenery
from pipeline.training.data.presenters.camera import Camera, camera
from pipeline.training.data.presenters.rows import Rows
from pipeline.training.data.presenters.textures import atlas

# skin, hair: dark to light and natural colours (RGB); clothes are drawn in HSV
SKINS = (
    (0.30, 0.19, 0.14),
    (0.47, 0.31, 0.22),
    (0.66, 0.46, 0.34),
    (0.82, 0.62, 0.49),
    (0.93, 0.76, 0.66),
)
HAIRS = (
    (0.06, 0.05, 0.05), (0.16, 0.10, 0.07), (0.32, 0.20, 0.12), (0.52, 0.30, 0.14),
    (0.78, 0.62, 0.36), (0.62, 0.60, 0.58), (0.45, 0.16, 0.08),
)  # fmt: skip
IRISES = ((0.20, 0.12, 0.07), (0.30, 0.22, 0.12), (0.25, 0.38, 0.45), (0.30, 0.38, 0.25))


@dataclass(frozen=True)
class Identities(Rows):
    """One row per person. Colours (B, 3) in [0, 1]; everything else (B,) unless noted."""

    head: Tensor  # head height as a fraction of the picture height
    crown: Tensor  # top of the head at rest, fraction of the picture height
    offset: Tensor  # sideways place, picture heights from the middle
    bones: Tensor  # (B, 8) shoulders, torso, upper arm, forearm, hand, hips, thigh, shin
    girth: Tensor  # thickness of limbs and torso, 1 = plain
    shape: Tensor  # (B, 8) face: width, jaw, eye size, eye gap, nose, mouth, lips, brow height; 0 = plain
    skin: Tensor
    hair: Tensor
    lips: Tensor
    iris: Tensor
    top: Tensor
    second: Tensor  # pattern colour
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


@dataclass
class Dofs(Rows):
    """What moves, for (B, T) frames. A caller may replace any field, for instance the mouth.

    Angles are radians except `head`, which is degrees: yaw (nose to image right), pitch (nose down), roll
    (clockwise). An arm is [upper, upper depth, fore, fore depth]: directions from straight down, outwards
    positive; a depth shortens the drawn bone by its cosine.
    """

    sway: Tensor  # (B, T, 2) hips, head heights
    lean: Tensor  # (B, T)
    twist: Tensor  # (B, T)
    shrug: Tensor  # (B, T) head heights
    head: Tensor  # (B, T, 3) degrees
    arms: Tensor  # (B, T, 2, 4)
    wrist: Tensor  # (B, T, 2)
    turn: Tensor  # (B, T, 2) of the palm about the forearm, 0 = flat to the viewer
    curl: Tensor  # (B, T, 2) 0 = stretched fingers, 1 = fist
    feet: Tensor  # (B, T, 2, 2) ankle steps: outwards, upwards, head heights
    mouth: Tensor  # (B, T, 3) open 0..1, round 0..1, smile -1..1
    blink: Tensor  # (B, T) 0 open, 1 shut
    brow: Tensor  # (B, T) -1..1
    gaze: Tensor  # (B, T, 2) -1..1

    def frames(self, part: slice) -> Dofs:
        """The same people in some of the frames."""
        return Dofs(*(getattr(self, f.name)[:, part] for f in fields(self)))

    def then(self, later: Dofs) -> Dofs:
        """These frames and further ones of the same people."""
        return Dofs(
            *(torch.cat([getattr(d, f.name) for d in (self, later)], 1) for f in fields(self))
        )


# name: columns, rest (low, high), amplitude (low, high), frequency in Hz (low, high)
_TABLE = {
    "sway": (2, (-0.05, 0.05), (0.0, 0.12), (0.1, 0.6)),
    "lean": (1, (-0.04, 0.04), (0.0, 0.07), (0.1, 0.6)),
    "twist": (1, (-0.25, 0.25), (0.0, 0.25), (0.1, 0.5)),
    "shrug": (1, (-0.03, 0.04), (0.0, 0.05), (0.2, 0.9)),
    "head": (3, (-6.0, 6.0), (2.0, 13.0), (0.15, 1.2)),
    "wrist": (2, (-0.3, 0.3), (0.05, 0.4), (0.3, 1.4)),
    "turn": (2, (-0.5, 0.9), (0.1, 0.7), (0.1, 0.6)),
    "curl": (2, (0.1, 0.45), (0.05, 0.35), (0.2, 1.0)),
    "open": (1, (-0.05, 0.3), (0.2, 0.6), (1.0, 4.5)),
    "round": (1, (-0.15, 0.2), (0.1, 0.6), (0.7, 3.0)),
    "smile": (1, (-0.1, 0.5), (0.0, 0.4), (0.1, 0.5)),
    "blink": (1, (0.0, 0.0), (1.0, 1.0), (0.15, 0.9)),
    "brow": (1, (-0.2, 0.3), (0.1, 0.5), (0.2, 1.2)),
    "gaze": (2, (-0.2, 0.2), (0.0, 0.6), (0.2, 0.8)),
    "arm": (8, (0.0, 0.0), (0.1, 1.0), (0.1, 1.0)),
    "feet": (4, (0.0, 0.0), (0.0, 0.0), (0.1, 0.5)),
}
_WAVES = 4
# amplitudes of an arm's four angles and rest postures: hanging, beat, chest, raised, hip,
# open, hand at the face
_ARM_SWING = (0.28, 0.35, 0.8, 0.4)
_POSTURES = (
    (0.16, 0.1, 0.05, 0.2), (0.30, 0.3, -0.9, 0.6), (0.25, 0.2, -1.9, 0.3), (0.40, 0.2, 2.3, 0.2),
    (0.55, 0.1, -0.6, 0.1), (0.35, 0.3, 1.3, 0.7), (0.12, 0.25, -2.6, 0.15),
)  # fmt: skip
_POSTURE_SHARE = (0.24, 0.25, 0.17, 0.12, 0.09, 0.08, 0.05)


@dataclass(frozen=True)
class Motions(Rows):
    """Sums of sinusoids, one row per person: rest (B, D), amplitude, frequency (rad/s), phase (B, D, 4)."""

    rest: Tensor
    amplitude: Tensor
    frequency: Tensor
    phase: Tensor

    def __len__(self) -> int:
        return len(self.rest)

    def resting_arms(self) -> Tensor:
        """(B, 2, 4) arm angles about which the arms move."""
        return self.rest[:, _slice("arm")].view(-1, 2, 4)

    def calmer(self, share: float) -> Motions:
        """The same motion with `share` of the arms' amplitude."""
        amplitude = self.amplitude.clone()
        amplitude[:, _slice("arm")] *= share
        return replace(self, amplitude=amplitude)

    def at(self, times: Tensor, energy: Tensor | None = None) -> Dofs:
        """The 35 degrees of freedom at `times` (B, T) seconds, any t; far away t are unrelated poses.

        `energy` (B, T) scales the motion of arms, head and trunk about their rest; None is 1.
        """
        angle = times[:, :, None, None] * self.frequency[:, None] + self.phase[:, None]
        waves = (self.amplitude[:, None] * torch.sin(angle)).sum(-1)
        if energy is not None:
            share = waves.new_tensor(_calmed())
            waves = waves * (1 - share + share * energy[..., None])
        raw = self.rest[:, None] + waves
        part, start = {}, 0
        for name, (columns, *_) in _TABLE.items():
            part[name] = raw[..., start : start + columns]
            start += columns
        count, frames = times.shape
        mouth = torch.cat(
            (part["open"].clamp(0, 1), part["round"].clamp(0, 1), part["smile"].clamp(-0.6, 1)), -1
        )
        head = part["head"] * part["head"].new_tensor((1.3, 0.8, 0.8))
        head = 48 * torch.tanh(head / 48)  # a face drawn from the front holds to about there
        return Dofs(
            sway=part["sway"] * part["sway"].new_tensor((1.0, 0.25)),
            lean=part["lean"][..., 0], twist=part["twist"][..., 0], shrug=part["shrug"][..., 0], head=head,
            arms=part["arm"].view(count, frames, 2, 4), wrist=part["wrist"], turn=part["turn"],
            curl=part["curl"].clamp(0, 1), feet=part["feet"].view(count, frames, 2, 2), mouth=mouth,
            blink=((part["blink"][..., 0] - 1.15) * 4).clamp(0, 1), brow=part["brow"][..., 0].clamp(-1, 1),
            gaze=part["gaze"].clamp(-1, 1),
        )  # fmt: skip


class Draws:
    """Random numbers of one generator: `uniform`, `pick`, `chance`, `colour`, each with a leading count."""

    def __init__(self, generator: torch.Generator, count: int) -> None:
        self.generator, self.count = generator, count

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((self.count, *shape), generator=self.generator)

    def chance(self, share: float) -> Tensor:
        return (self.uniform() < share).float()

    def pick(self, table: tuple, shares: tuple | None = None) -> Tensor:
        weights = torch.ones(len(table)) if shares is None else torch.tensor(shares)
        rows = torch.multinomial(weights, self.count, replacement=True, generator=self.generator)
        return torch.tensor(table)[rows]

    def colour(self, saturation: float = 0.7) -> Tensor:
        """Random colour (B, 3): hue by cosines, so that no hue is preferred; grey to `saturation`."""
        hue = 6.2832 * (self.uniform()[:, None] + torch.tensor((0.0, 1 / 3, 2 / 3)))
        strength = self.uniform(0, saturation)[:, None]
        return (
            self.uniform(0.12, 0.95)[:, None] * (1 - strength * (0.5 + 0.5 * torch.cos(hue)))
        ).clamp(0, 1)


def motions(generator: torch.Generator, count: int, device: torch.device | str = "cpu") -> Motions:
    """Random motion of `count` people; the same generator state gives the same motion on any device."""
    draw = Draws(generator, count)
    rest, size, rate = [], [], []
    for columns, around, strength, hertz in _TABLE.values():
        rest.append(draw.uniform(*around, columns))
        size.append(draw.uniform(*strength, columns))
        rate.append(6.2832 * draw.uniform(*hertz, columns, _WAVES))
    amplitude = torch.cat(size, 1)[..., None] * draw.uniform(
        0.2, 0.8, sum(s.shape[1] for s in size), _WAVES
    )
    rest, rate = torch.cat(rest, 1), torch.cat(rate, 1)
    arm = _slice("arm")
    amplitude[:, arm] *= torch.tensor(_ARM_SWING * 2)[:, None]
    rest[:, arm] = torch.cat([draw.pick(_POSTURES, _POSTURE_SHARE) for _ in range(2)], 1)
    rest[:, arm] += draw.uniform(-0.12, 0.12, 8)
    amplitude[:, _slice("head")][:, :1] *= draw.pick((1.0, 2.2), (0.75, 0.25))[:, None, None]
    phase = draw.uniform(0, 6.2832, rest.shape[1], _WAVES)
    return Motions(rest, amplitude, rate, phase).to(device)


def identities(
    generator: torch.Generator, count: int, device: torch.device | str = "cpu"
) -> Identities:
    """Random people: half 50 %, three-quarter 25 %, full body 25 %; the same on any device."""
    draw = Draws(generator, count)
    framing = draw.uniform()
    sizes = torch.stack(
        (draw.uniform(0.19, 0.28), draw.uniform(0.14, 0.175), draw.uniform(0.102, 0.118)), 1
    )
    kind = (framing > 0.5).long() + (framing > 0.75).long()
    head = sizes.gather(1, kind[:, None])[:, 0]
    spare = torch.where(kind == 2, 0.95 - 7.9 * head, torch.full_like(head, 0.1))
    plain = torch.tensor((1.6, 2.2, 1.28, 1.12, 0.8, 0.92, 1.85, 1.85))
    bones = plain * draw.uniform(0.93, 1.07, 8) * torch.where(kind == 2, 0.98, 1.0)[:, None]
    skin = _between(draw, SKINS) * draw.uniform(0.94, 1.05, 3)
    rose = torch.tensor((0.72, 0.28, 0.28))
    blush = draw.uniform(0.15, 0.6)[:, None]
    long = draw.chance(0.5)
    return Identities(
        head=head, crown=0.035 + spare.clamp(0.03, 0.2) * draw.uniform(0.1, 0.9),
        offset=draw.uniform(-0.05, 0.05),
        bones=bones, girth=draw.uniform(0.88, 1.2), shape=draw.uniform(-1, 1, 8), skin=skin.clamp(0, 1),
        hair=_between(draw, HAIRS) * draw.uniform(0.8, 1.15)[:, None],
        lips=(skin * (1 - blush) + rose * blush).clamp(0, 1) * 0.92, iris=_between(draw, IRISES),
        top=draw.colour(), second=draw.colour(), inner=draw.colour(0.4), bottom=draw.colour(0.5) * 0.8,
        shoes=draw.colour(0.3) * 0.4, hair_length=long * draw.uniform(0.9, 2.1), volume=draw.uniform(0, 1),
        hairline=draw.uniform(-1, 1), parting=draw.uniform(-1, 1), curly=(curly := draw.chance(0.3)),
        bun=draw.chance(0.1),
        bald=(1 - long) * draw.chance(0.08), beard=(1 - long) * draw.chance(0.35) * draw.uniform(0.4, 1.0),
        glasses=draw.chance(0.22), jacket=draw.chance(0.35), neckline=draw.uniform(0.0, 1.0),
        collar=draw.chance(0.3), sleeve=draw.pick((0.45, 0.95, 1.93), (0.3, 0.12, 0.58)),
        skirt=long * draw.chance(0.45) * draw.uniform(1.2, 2.6), pattern=_patterns(draw),
        light=(light := draw.uniform(-1.8, 1.8, 2) * torch.tensor((1.0, 0.3)) + torch.tensor((0.0, -0.6))),
        scenery=scenery(draw), atlas=atlas(draw, head, curly), camera=camera(draw, light),
    ).to(device)  # fmt: skip


def proportioned(people: Identities, generator: torch.Generator, spread: float) -> Identities:
    """The same people with other bones and girths: factors of about 1 +- `spread`, left as right."""
    draw = Draws(generator, len(people))
    low, high = (
        1 - 1.7 * spread,
        1 + 1.7 * spread,
    )  # a uniform number's deviation is .29 of its range
    bones = draw.uniform(low, high, people.bones.shape[1]).to(people.bones)
    girth = draw.uniform(low, high).to(people.girth)
    return replace(people, bones=people.bones * bones, girth=people.girth * girth)


def _patterns(draw: Draws) -> Tensor:
    """(B, 5): plain 50 %, else stripes along or across the torso, or checks; frequencies per head height."""
    table = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.0))
    kind = draw.pick(table, (0.5, 0.12, 0.15, 0.13, 0.1)) * draw.uniform(0.4, 1.0)[:, None]
    return torch.cat((kind, draw.uniform(6.0, 26.0, 2)), 1)


def _between(draw: Draws, table: tuple) -> Tensor:
    """A colour between two random entries of a table, nearer to the first."""
    mix = draw.uniform(0, 0.5)[:, None]
    return draw.pick(table) * (1 - mix) + draw.pick(table) * mix


def _calmed() -> list[float]:
    """Per column 1 where the motion follows the energy of the speech, 0 where it does not (eyes, mouth)."""
    own = ("open", "round", "smile", "blink", "gaze", "brow")
    return [
        float(name not in own) for name, (columns, *_) in _TABLE.items() for _ in range(columns)
    ]


def _slice(part: str) -> slice:
    """Columns of one part of the table."""
    names = list(_TABLE)
    start = sum(_TABLE[name][0] for name in names[: names.index(part)])
    return slice(start, start + _TABLE[part][0])


def rest(count: int, frames: int, device: torch.device | str = "cpu") -> Dofs:
    """People who stand still with hanging arms, straight head, shut mouth: a base for authored motion."""
    zeros = {"sway": (2,), "head": (3,), "wrist": (2,), "feet": (2, 2), "mouth": (3,), "gaze": (2,)}
    made = {
        f.name: torch.zeros((count, frames, *zeros.get(f.name, ())), device=device)
        for f in fields(Dofs)
    }
    made["arms"] = (
        made["lean"].new_tensor((0.2, 0.1, 0.05, 0.2)).expand(count, frames, 2, 4).clone()
    )
    made["turn"] = torch.full((count, frames, 2), 0.6, device=device)
    made["curl"] = torch.full((count, frames, 2), 0.25, device=device)
    return Dofs(**made)
