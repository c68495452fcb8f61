"""Whole talks of held-out presenters, for measuring: no training has seen their voices or texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.models.audio2pose import PHASE
from pipeline.training.data import presenters, talks
from pipeline.training.data.clips import HELD_OUT_SEED, Clips
from pipeline.training.data.filming import (
    FAR_SECONDS,
    MARGIN_SECONDS,
    MASKED,
    FilmedClips,
    draw_cast,
    film,
    inexact_mask,
)
from pipeline.training.data.presenters import acting
from pipeline.training.data.speech import engines

FPS = 25
_FIRST_SEED = HELD_OUT_SEED + 1000


@dataclass
class HeldTalk:
    """A held-out presenter who speaks for some seconds, every frame at 25 fps."""

    clips: Clips  # one clip of F frames
    # (F,) gap of the inner lips, points 62 and 66, over the face's height, points 27 to 8, as drawn
    aperture: np.ndarray
    face: Tensor  # (F, 68, 3) exact points
    phones: talks.Phones  # seconds from the first frame's moment
    samples: np.ndarray  # (n,) int16 at 16 kHz of the same stretch
    voice: str
    still: Tensor  # (F, 68, 3) face points of the same head with the reference's mouth
    person: presenters.Scene  # points and mask of the reference, one frame


def held_talks(
    count: int,
    seconds: float = 6.0,
    lips: float = 1.0,
    size: tuple[int, int] = (192, 128),
    jitter: float = 0.0,
    every: int = 1,
) -> Iterator[HeldTalk]:
    """Draw `count` held-out presenters who speak; the same at every call.

    Frame t shows the moment (t + PHASE) / 25 of its sound, which is what Audio2Pose's row t
    answers for. The reference is far away in pose.

    Args:
        count: how many presenters.
        seconds: length of each, shorter where the talk ends before.
        lips: 0 withholds lips and jaw from the same clips, see `Clips`.
        size: (H, W) in pixels.
        jitter: error of points and mask in pixels, see `filming`; 0 keeps them exact.
        every: draw each `every`-th of all frames.
    """
    bank = talks.held_out()
    for number in range(count):
        generator = torch.Generator().manual_seed(_FIRST_SEED + number)
        row = number % len(bank)
        talk = bank.talks[row]
        cast = draw_cast(generator, 1, bank)
        cast.talk[0] = row
        frames = int(min(seconds, talk.seconds) * FPS)
        moments = (torch.arange(0, frames, every) + PHASE) / FPS
        speech = torch.cat([torch.tensor([-MARGIN_SECONDS]), moments])[None].float()
        start = FAR_SECONDS * torch.rand(2, generator=generator)
        motion = torch.cat([start[:1], start[1] + moments])[None].float()
        cues = bank.cues(cast.talk, speech)
        dofs = acting.act_calmly(cast.moves, cast.manner, cues, motion)
        shown = torch.full((1,), float(lips))
        filmed = film(cast.people, dofs, cues, shown, size, jitter, generator)
        mask = filmed.mask
        if jitter:
            kind = MASKED * torch.rand((), generator=generator).item()
            mask = inexact_mask(mask[:, 0], kind)[:, None]
        face = filmed.face[0]
        yield HeldTalk(
            clips=filmed.clips,
            aperture=aperture(face, size),
            face=face,
            phones=_cut_phones(talk.phones, frames / FPS),
            samples=talk.samples[: round(frames / FPS * engines.SAMPLE_RATE)],
            voice=talk.voice,
            still=presenters.still_mouth(cast.people, dofs, size)[0, 1:],
            person=_reference_scene(filmed, mask),
        )


def _cut_phones(phones: talks.Phones, seconds: float) -> talks.Phones:
    """Keep the phones that begin within the first seconds."""
    return [(name, start, min(end, seconds)) for name, start, end in phones if start < seconds]


def _reference_scene(filmed: FilmedClips, mask: Tensor) -> presenters.Scene:
    """Return the reference of filmed clips as a scene of one frame."""
    image = filmed.clips.reference[:, None].float() / 255
    points = filmed.reference
    return presenters.Scene(image, points.body, points.hands, points.face, mask)


def aperture(face: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Return (F,) the gap of the inner lips over the face's height, of points (F, 68, 3).

    The gap is between points 62 and 66, the height between points 27 and 8.
    """
    height, width = size
    xy = face[..., :2] * face.new_tensor((width, height))
    gap = (xy[:, 62] - xy[:, 66]).norm(dim=1)
    face_height = (xy[:, 27] - xy[:, 8]).norm(dim=1)
    return (gap / face_height).numpy()
