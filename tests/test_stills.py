"""The published backbone: parity with the published loop, the lead row, guidance, decoding, conditions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.memory import Room
from pipeline.schedules import SAMPLERS, Task, published_windows
from tests.published import small_pipeline
from tests.tiny import motion, portrait


@pytest.fixture(scope="module")
def parity(data):
    with np.load(data / "pipeline_small.npz") as file:
        return {name: torch.as_tensor(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def pipe():
    return small_pipeline()


def rendered(pipe, moves, **options) -> np.ndarray:
    generator = torch.Generator().manual_seed(3)
    steps = list(pipe.render(portrait(), moves, generator=generator, height=128, width=64, **options))
    return np.concatenate([step.frames for step in steps if step.frames is not None])


@torch.no_grad()
def test_the_whole_published_loop_is_matched(parity):
    """8 rows in 3 windows of 4, 3 steps, guidance 1.5 to 3, the published generator's own noise."""
    pipe = small_pipeline(min_guidance=1.5, max_guidance=3.0, decode_chunk=2, decode_overlap=0)
    generator = torch.Generator().manual_seed(1234)
    moves = motion(7)
    shot = pipe.condition.shot(
        parity["ref"].numpy(), moves, (128, 64), pipe.vae, pipe.reference_tokens, generator
    )
    assert (shot.tokens[0] - parity["image_embeds"][1]).abs().max() <= 1e-5
    assert (shot.latents[0] - parity["image_latents"][1]).abs().max() <= 1e-4
    given = shot.given(parity["poses"].permute(0, 3, 1, 2), torch.ones(8), 0)
    assert given.time_ids == pytest.approx(tuple(parity["call0_ids"][0].tolist()))
    assert published_windows(8, 4, 2) == [(0, 4), (2, 6), (4, 8)]
    task = Task(shot, 7, "published", 3, generator, None)
    latents = list(SAMPLERS["published"](pipe, task, given, Room(4, 2, 1), None))[-1]
    assert (latents - parity["latents"]).abs().max() <= 2e-3
    frames = shot.frames(latents, replace(given, lead=0))
    want = (parity["frames"][0].permute(1, 0, 2, 3) / 2 + 0.5).clamp(0, 1)
    assert (frames - want).abs().max() <= 1e-3  # 2e-3 in [-1, 1]
