"""How drawn presenters act on what they say: mouth by phones, beats on accents, calm in pauses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.training.data.presenters.degrees_of_freedom import Dofs
from pipeline.training.data.presenters.movement import Motions
from pipeline.training.data.presenters.rows import Draws, Rows
from pipeline.training.data.talks import Cues

PAUSE_ENERGY = 0.3  # share of the random motion that is left in pauses
# Share of the arms' movement that a real speaker has. With all of it, mean square wrist speed is
# 1.6 (shoulder widths / s)^2; with this share it is 0.2. Three recorded speakers (the public pose
# files of EchoMimicV2) have 0.14, 0.16 and 0.27.
CALM = 0.4
# where hands are while a phrase is said: upper, upper depth, fore, fore depth, as in `Dofs`
SPACES = (
    (0.30, 0.30, -0.95, 0.60),
    (0.25, 0.20, -1.75, 0.30),
    (0.38, 0.20, 1.75, 0.30),
    (0.45, 0.15, -0.50, 0.30),
    (0.35, 0.30, 1.20, 0.70),
    (0.30, 0.25, -2.20, 0.20),
)
SPACE_SHARES = (0.28, 0.2, 0.16, 0.12, 0.14, 0.1)
HANDEDNESS = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))  # which of left and right gesture
HANDEDNESS_SHARES = (0.42, 0.23, 0.23, 0.12)


@dataclass(frozen=True)
class Manner(Rows):
    """One row per person: how speech becomes motion; (B,) unless noted."""

    mouth: Tensor  # gain of the opening
    rounding: Tensor  # gain of the rounding
    smile: Tensor  # added to the smile that sounds need
    hands: Tensor  # (B, 2) whether the left and the right hand gesture
    space: Tensor  # (B, 2, 4) arm angles of the gesture space
    engage: Tensor  # (B, 2) how far the arms leave their rest for it
    beat: Tensor  # (B, 2, 2) lift in radians: hand, even or odd accent
    nod: Tensor  # degrees
    brow: Tensor


def draw_manners(generator: torch.Generator, count: int) -> Manner:
    """Draw manners of speaking: lively and still people, left and right hands, mouths."""
    draw = Draws(generator, count)
    hands = draw.pick(HANDEDNESS, HANDEDNESS_SHARES)
    liveliness = draw.uniform(0.4, 1.3)
    # left and right hands take turns, or both take every accent
    takes_turns = draw.chance(0.4)[:, None, None]
    turns = torch.eye(2).expand(count, 2, 2) * takes_turns + (1 - takes_turns)
    mouth = draw.uniform(0.75, 1.7)
    rounding = draw.uniform(0.7, 1.15)
    smile = draw.uniform(-0.15, 0.35)
    left_space = draw.pick(SPACES, SPACE_SHARES)
    right_space = draw.pick(SPACES, SPACE_SHARES)
    engage = draw.uniform(0.2, 1.0, 2) * hands
    nod = draw.uniform(1.5, 8.0) * liveliness
    lift = draw.uniform(0.2, 0.6, 2, 1) * liveliness[:, None, None]
    beat = turns * lift * hands[..., None]
    return Manner(
        mouth=mouth,
        rounding=rounding,
        smile=smile,
        hands=hands,
        space=torch.stack((left_space, right_space), 1),
        engage=engage,
        beat=beat,
        nod=nod,
        brow=draw.uniform(0.0, 0.6),
    )


def act(moves: Motions, manner: Manner, cues: Cues, times: Tensor) -> Dofs:
    """Add to the random motion of B speakers at `times` (B, T) what their speech cues."""
    energy = PAUSE_ENERGY + (1 - PAUSE_ENERGY) * cues.phrase
    dofs = moves.at(times, energy)
    lift = (manner.beat[:, None] * cues.strokes[:, :, None]).sum(-1)  # (B, T, 2) radians
    engage = manner.engage[:, None] * cues.phrase[..., None]
    to_space = manner.space[:, None] - moves.resting_arms()[:, None]
    arms = dofs.arms + to_space * engage[..., None]
    nod = manner.nod[:, None] * cues.nod
    still = torch.zeros_like(nod)
    brow = dofs.brow + manner.brow[:, None] * cues.brow
    curl = dofs.curl - 0.35 * lift.clamp_min(0)
    return replace(
        dofs,
        arms=_lifted(arms, lift),
        mouth=_mouth(manner, cues),
        head=dofs.head + torch.stack((still, nod, still), -1),
        brow=brow.clamp(-1, 1),
        curl=curl.clamp(0, 1),
        wrist=dofs.wrist - 0.5 * lift,
    )


def _lifted(arms: Tensor, lift: Tensor) -> Tensor:
    """Lift arms (B, T, 2, 4) by angles (B, T, 2) in radians, mostly in the forearm."""
    upper, upper_depth, fore, fore_depth = arms.unbind(-1)
    away = torch.where(fore < 0, -1.0, 1.0)  # lifting turns the forearm away from hanging straight
    angles = (upper + 0.3 * lift, upper_depth, fore + away * lift, fore_depth - 0.4 * lift)
    return torch.stack(angles, -1)


def _mouth(manner: Manner, cues: Cues) -> Tensor:
    """Return (B, T, 3) the mouth of the speech in each person's manner."""
    opening, rounding, smile = cues.mouth.unbind(-1)
    opening = opening * manner.mouth[:, None]
    rounding = rounding * manner.rounding[:, None]
    smile = smile + manner.smile[:, None]
    return torch.stack((opening.clamp(0, 1), rounding.clamp(0, 1), smile.clamp(-0.6, 1)), -1)


def act_calmly(moves: Motions, manner: Manner, cues: Cues, times: Tensor) -> Dofs:
    """Act with arms that move as much as a real speaker's, after the first moment.

    The first moment is the reference's. It keeps the lively pose of `act`.
    """
    calm = replace(manner, beat=CALM * manner.beat, engage=CALM * manner.engage)
    lively = act(moves, manner, cues, times)
    calmed = act(moves.calmer(CALM), calm, cues, times)
    return lively.frames(slice(0, 1)).then(calmed.frames(slice(1, None)))
