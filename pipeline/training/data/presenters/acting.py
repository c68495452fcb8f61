"""How drawn presenters act on what they say: mouth by phones, nods and beats on accents, calm in pauses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.training.data.presenters.identity import Dofs, Draws, Motions
from pipeline.training.data.presenters.rows import Rows
from pipeline.training.data.talks import Cues

PAUSE_ENERGY = 0.3  # share of the random motion that is left in pauses
CALM = 0.4  # of the arms' movement in `act`, where mean square wrist speed is 1.6 (shoulder widths / s)^2:
# then it is .2; three recorded speakers (the public pose files of EchoMimicV2) have .14, .16 and .27
# where hands are while a phrase is said: [upper, depth, fore, depth], as in `Dofs`
SPACES = (
    (0.30, 0.30, -0.95, 0.60), (0.25, 0.20, -1.75, 0.30), (0.38, 0.20, 1.75, 0.30), (0.45, 0.15, -0.50, 0.30),
    (0.35, 0.30, 1.20, 0.70), (0.30, 0.25, -2.20, 0.20),
)  # fmt: skip
SPACE_SHARE = (0.28, 0.2, 0.16, 0.12, 0.14, 0.1)
HANDEDNESS = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))  # which of left and right gesture
HANDEDNESS_SHARE = (0.42, 0.23, 0.23, 0.12)


@dataclass(frozen=True)
class Manner(Rows):
    """One row per person: how speech becomes motion; (B,) unless noted."""

    mouth: Tensor  # gain of the opening
    rounding: Tensor
    smile: Tensor  # added to the smile that sounds need
    hands: Tensor  # (B, 2) whether the left and the right hand gesture
    space: Tensor  # (B, 2, 4) arm angles of the gesture space
    engage: Tensor  # (B, 2) how far the arms leave their rest for it
    beat: Tensor  # (B, 2, 2) lift in radians: hand, even or odd accent
    nod: Tensor  # degrees
    brow: Tensor


def manners(generator: torch.Generator, count: int) -> Manner:
    """Random manners of speaking: lively and still people, left and right hands, wide and small mouths."""
    draw = Draws(generator, count)
    hands = draw.pick(HANDEDNESS, HANDEDNESS_SHARE)
    lively = draw.uniform(0.4, 1.3)
    alternate = draw.chance(0.4)[
        :, None, None
    ]  # left and right hands take turns, or both take every accent
    turns = torch.eye(2).expand(count, 2, 2) * alternate + (1 - alternate)
    return Manner(
        mouth=draw.uniform(0.75, 1.7), rounding=draw.uniform(0.7, 1.15), smile=draw.uniform(-0.15, 0.35),
        hands=hands, space=torch.stack([draw.pick(SPACES, SPACE_SHARE) for _ in range(2)], 1),
        engage=draw.uniform(0.2, 1.0, 2) * hands, nod=draw.uniform(1.5, 8.0) * lively,
        beat=turns * (draw.uniform(0.2, 0.6, 2, 1) * lively[:, None, None]) * hands[..., None],
        brow=draw.uniform(0.0, 0.6),
    )  # fmt: skip


def act(moves: Motions, manner: Manner, cues: Cues, times: Tensor) -> Dofs:
    """The motion of B speakers: their random motion at `times` (B, T), under what their speech cues."""

    def each(value: Tensor) -> Tensor:
        return value[:, None]

    calm = PAUSE_ENERGY + (1 - PAUSE_ENERGY) * cues.phrase
    dofs = moves.at(times, calm)
    engage = each(manner.engage) * cues.phrase[..., None]
    arms = dofs.arms + (each(manner.space) - each(moves.resting_arms())) * engage[..., None]
    lift = (each(manner.beat) * cues.strokes[:, :, None]).sum(-1)  # (B, T, 2)
    upper, upper_depth, fore, fore_depth = arms.unbind(-1)
    away = torch.where(fore < 0, -1.0, 1.0)  # lifting turns the forearm away from hanging straight
    arms = torch.stack(
        (upper + 0.3 * lift, upper_depth, fore + away * lift, fore_depth - 0.4 * lift), -1
    )
    mouth = torch.stack(
        (
            (cues.mouth[..., 0] * each(manner.mouth)).clamp(0, 1),
            (cues.mouth[..., 1] * each(manner.rounding)).clamp(0, 1),
            (cues.mouth[..., 2] + each(manner.smile)).clamp(-0.6, 1),
        ),
        -1,
    )
    nod = each(manner.nod) * cues.nod
    head = dofs.head + torch.stack((torch.zeros_like(nod), nod, torch.zeros_like(nod)), -1)
    return replace(
        dofs,
        arms=arms,
        mouth=mouth,
        head=head,
        brow=(dofs.brow + each(manner.brow) * cues.brow).clamp(-1, 1),
        curl=(dofs.curl - 0.35 * lift.clamp_min(0)).clamp(0, 1),
        wrist=dofs.wrist - 0.5 * lift,
    )


def talk(moves: Motions, manner: Manner, cues: Cues, times: Tensor) -> Dofs:
    """As `act`, but after the first moment, the reference's, the arms move as much as a real speaker's."""
    first, rest = slice(0, 1), slice(1, None)
    calm = replace(manner, beat=CALM * manner.beat, engage=CALM * manner.engage)
    lively = act(moves, manner, cues, times).frames(first)
    return lively.then(act(moves.calmer(CALM), calm, cues, times).frames(rest))
