"""Held-out talks of the tiny figure."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.training.data import clips as pool
from pipeline.training.data import held_out, presenters
from tests.helpers.stick_person import figure
from tests.helpers.tiny import portrait, speech

WORDS = [
    (name, 0.16 * k, 0.16 * (k + 1)) for k, name in enumerate(["p", "aa", "b", "iy", "m", "ae"] * 5)
]


def tiny_talk(seed: int, frames: int = 12) -> held_out.HeldTalk:
    """A held-out talk of the tiny figure, whose picture stands still."""
    pose, size = figure(frames), (128, 96)

    def points(one) -> list[torch.Tensor]:
        parts = (one.body, one.hands, one.face)
        return [
            torch.from_numpy(np.concatenate([p.xy, p.score[..., None]], -1)).float()[None]
            for p in parts
        ]

    body, hands, face = points(pose)
    image = torch.from_numpy(portrait(size)).permute(2, 0, 1)
    truth = image.repeat(1, frames, 1, 1, 1)
    truth[:, :, :, 30:36, 44:52] = 40 + 60 * (torch.arange(frames) % 3 == seed % 3).byte().view(
        1, -1, 1, 1, 1
    )
    generator = torch.Generator().manual_seed(seed)
    audio = torch.rand((1, frames, 5, 16), generator=generator).half()
    loudness = torch.rand((1, frames), generator=generator)
    valid = torch.full((1, frames, 1, *size), 255, dtype=torch.uint8)
    clips = pool.Clips(
        image[None], truth, truth.clone(), valid, body, hands, face, audio, loudness, torch.ones(1)
    )
    scene = presenters.Scene(
        image[None, None].float() / 255, *points(figure(1)), torch.ones(1, 1, 1, *size)
    )
    samples = (speech(frames / 25).samples * 32767).astype(np.int16)
    gap = held_out.aperture(face[0], size)
    return held_out.HeldTalk(clips, gap, face[0], WORDS[:3], samples, "nobody", face[0], scene)
