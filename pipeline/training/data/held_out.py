"""Whole talks of held-out presenters, for measuring: voices, texts and people that no training has seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.models.audio2pose import PHASE
from pipeline.training.data import presenters, talks
from pipeline.training.data.clips import (
    HELD_OUT,
    MARGIN,
    MASKED,
    Clips,
    cast_of,
    filmed,
    inexact_mask,
)
from pipeline.training.data.presenters import acting
from pipeline.training.data.speech import engines

FPS = 25


@dataclass
class HeldTalk:
    """A held-out presenter who speaks for some seconds, every frame at 25 fps.

    clips (one clip of F frames); aperture (F,): the gap of the inner lips, points 62 and 66, over the face's
    height, points 27 to 8, as drawn; face (F,68,3) exact points; phones with seconds from the first frame's
    moment; samples (n,) int16 at 16 kHz of the same stretch; voice. still (F,68,3): face points of the same
    head with the reference's mouth; person: points and mask of the reference, one frame.
    """

    clips: Clips
    aperture: np.ndarray
    face: Tensor
    phones: talks.Phones
    samples: np.ndarray
    voice: str
    still: Tensor
    person: presenters.Scene


def held_talks(
    count: int,
    seconds: float = 6.0,
    lips: float = 1.0,
    size: tuple[int, int] = (192, 128),
    jitter: float = 0.0,
    every: int = 1,
) -> Iterator[HeldTalk]:
    """`count` held-out presenters who speak for `seconds`, shorter where their talk ends before.

    The same at every call. Frame t shows the moment (t + PHASE) / 25 of its sound, which is what Audio2Pose's
    row t answers for; of all frames each `every`-th is drawn. The reference is far away in pose. Key points
    and mask are exact, or with `jitter` as inexact as in `pool`. With `lips` 0 the same clips come with lips
    and jaw withheld, as in `Clips`.
    """
    bank = talks.held_out()
    for number in range(count):
        generator = torch.Generator().manual_seed(HELD_OUT + 1000 + number)
        cast = cast_of(generator, 1, bank)
        cast.talk[0] = number % len(bank)
        said = bank.talks[number % len(bank)]
        frames = int(min(seconds, said.seconds) * FPS)
        moments = (torch.arange(0, frames, every) + PHASE) / FPS
        spoken = torch.cat([torch.tensor([-MARGIN]), moments])[None].float()
        start = 600 * torch.rand(2, generator=generator)
        moved = torch.cat([start[:1], start[1] + moments])[None].float()
        cues = bank.cues(cast.talk, spoken)
        dofs = acting.act_calmly(cast.moves, cast.manner, cues, moved)
        made = filmed(
            cast.people, dofs, cues, torch.full((1,), float(lips)), size, jitter, generator
        )
        samples = said.samples[: round(frames / FPS * engines.SAMPLE_RATE)]
        phones = [(n, a, min(b, frames / FPS)) for n, a, b in said.phones if a < frames / FPS]
        still = presenters.still_mouth(cast.people, dofs, size)[0, 1:]
        image = made.clips.reference[:, None].float() / 255
        points = made.reference
        mask = made.mask
        if jitter:
            kind = MASKED * torch.rand((), generator=generator).item()
            mask = inexact_mask(mask[:, 0], kind)[:, None]
        person = presenters.Scene(image, points.body, points.hands, points.face, mask)
        gap = aperture(made.face[0], size)
        yield HeldTalk(made.clips, gap, made.face[0], phones, samples, said.voice, still, person)


def aperture(face: Tensor, size: tuple[int, int]) -> np.ndarray:
    """(F,) distance of the inner lips, points 62 and 66, over that of points 27 and 8, of (F,68,3) points."""
    xy = face[..., :2] * face.new_tensor((size[1], size[0]))
    return ((xy[:, 62] - xy[:, 66]).norm(dim=1) / (xy[:, 27] - xy[:, 8]).norm(dim=1)).numpy()
