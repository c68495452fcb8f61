"""One step of APV-Gen's training on tiny networks of both families."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.models.haar import HaarLatent
from pipeline.training.apv_gen_networks import make_ready, new_networks
from pipeline.training.apv_gen_step import (
    PREDICTIONS,
    StepOptions,
    compute_losses,
    draw_dropout,
    make_conditions,
)
from pipeline.training.clip_batches import ClipShape, make_batch
from pipeline.training.noise_levels import NoiseLaw
from tests.helpers.published import tiny_published
from tests.helpers.training_clips import StickClips

OPTIONS = StepOptions(NoiseLaw(0.02, 80.0, 1.0), dropout=0.0)


def small():
    return new_networks(HaarLatent(), 0, (32, 32))


def published():
    return make_ready(tiny_published())


def batch_of(networks, kind):
    size = (64, 64)
    shape = ClipShape(2, size, networks.grid(size), style="preview")
    return make_batch(StickClips(kind).clip(0), shape, np.random.default_rng(0))


@pytest.mark.parametrize("make", [small, published])
def test_both_families_learn_from_both_kinds_of_clips(make):
    networks = make()
    for kind, names in (("face", {"face", "refer"}), ("body", {"body"})):
        losses = compute_losses(
            networks, networks.denoiser, batch_of(networks, kind), OPTIONS, torch.Generator()
        )
        assert losses.terms.keys() == names
        assert torch.isfinite(losses.total)
        losses.total.backward()
    for name, part in networks.denoiser.parts().items():
        assert any(p.grad is not None and p.grad.any() for p in part.parameters()), name
    frozen = [p for p in networks.denoiser.parameters() if not p.requires_grad]
    assert all(p.grad is None for p in frozen)


def test_the_total_is_eq_21_in_two_steps():
    networks = small()
    options = replace(OPTIONS, alpha=0.1, beta=2.0)
    face = compute_losses(
        networks, networks.denoiser, batch_of(networks, "face"), options, torch.Generator()
    )
    assert face.total.item() == pytest.approx((face.terms["face"] + 2 * face.terms["refer"]).item())
    body = compute_losses(
        networks, networks.denoiser, batch_of(networks, "body"), options, torch.Generator()
    )
    assert body.total.item() == pytest.approx(0.1 * body.terms["body"].item())


def test_the_still_reference_stands_in_every_row():
    networks = small()
    batch = batch_of(networks, "face")
    conditions = make_conditions(networks, batch, OPTIONS, torch.Generator())
    rows = conditions.image_latents[0]
    assert len(rows) == 3 and (rows == rows[:1]).all() and rows.any()
    assert conditions.token_mask.item() == 1


def test_dropout_is_the_published_trainers():
    tokens, image = draw_dropout(20000, 0.1, torch.Generator().manual_seed(0))
    assert (1 - tokens).mean().item() == pytest.approx(0.2, abs=0.01)
    assert (1 - image).mean().item() == pytest.approx(0.2, abs=0.01)
    assert ((1 - tokens) * (1 - image)).mean().item() == pytest.approx(0.1, abs=0.01)


def test_a_velocity_of_the_truth_gives_the_truth():
    clean, noise = torch.randn(2, 1, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    level = torch.tensor(3.0).view(1, 1, 1, 1, 1)
    noisy = clean + level * noise
    root = (level.square() + 1).sqrt()
    velocity = (noise - level * clean) / root  # v in variance-preserving coordinates
    torch.testing.assert_close(PREDICTIONS["v_prediction"](velocity, noisy, level), clean)
