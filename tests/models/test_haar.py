"""The fixed latent is lossless, orthonormal, whitened by its configuration, and can be saved."""

import pytest
import torch

from pipeline.models.haar import CHANNELS, HaarLatent


@pytest.fixture()
def pictures():
    return torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_round_trip_is_exact_and_keeps_energy(pictures):
    codec = HaarLatent()
    latents = codec.encode(pictures).latent_dist.mode()
    assert latents.shape == (2, CHANNELS, 16, 12)
    assert (codec.decode(latents, num_frames=2).sample - pictures).abs().max() < 1e-6
    assert latents.square().sum() == pytest.approx(pictures.square().sum().item(), rel=1e-5)


def test_first_channel_of_each_color_is_the_mean_and_the_rest_vanish_on_a_flat_picture():
    flat = torch.ones(1, 3, 16, 16) * torch.tensor([0.1, -0.5, 0.9]).view(1, 3, 1, 1)
    latents = HaarLatent().encode(flat).latent_dist.mode()
    assert torch.allclose(latents[0, ::16, 0, 0], 4 * torch.tensor([0.1, -0.5, 0.9]))
    rest = torch.ones(CHANNELS, dtype=torch.bool)
    rest[::16] = False
    assert latents[:, rest].abs().max() < 1e-6


def test_whitening_comes_from_the_configuration_and_survives_saving(pictures, tmp_path):
    plain = HaarLatent().encode(pictures).latent_dist.mode()
    mean, std = plain.mean((0, 2, 3)).tolist(), plain.std((0, 2, 3)).tolist()
    HaarLatent(mean, std, [0.25] * CHANNELS).save_pretrained(tmp_path)
    codec = HaarLatent.from_pretrained(tmp_path)
    latents = codec.encode(pictures).latent_dist.mode()
    assert latents.mean((0, 2, 3)).abs().max() < 1e-4
    assert latents.std((0, 2, 3)) == pytest.approx(torch.ones(CHANNELS), abs=1e-3)
    assert (codec.decode(latents).sample - pictures).abs().max() < 1e-5
    assert codec.residual.flatten() == pytest.approx(torch.full((CHANNELS,), 0.25))


def test_residual_is_the_scaled_difference(pictures):
    codec = HaarLatent(residual_scale=[0.5] * CHANNELS)
    base = codec.encode(pictures.flip(-1)).latent_dist.mode()
    latents = codec.encode(pictures).latent_dist.mode()
    residual = codec.residual_of(latents, base)
    assert torch.allclose(residual, 2 * (latents - base))
    assert torch.allclose(codec.add_residual(base, residual), latents, atol=1e-6)
    assert torch.equal(codec.add_residual(base, torch.zeros_like(base)), base)


def test_odd_sides_and_short_rows_are_refused():
    with pytest.raises(ValueError, match="multiples of 4"):
        HaarLatent().encode(torch.zeros(1, 3, 18, 16))
    with pytest.raises(ValueError, match="give 48"):
        HaarLatent(latent_std=[1.0] * 3)
