"""Losses of APV-Gen against values worked out by hand."""

import pytest
import torch

from pipeline.training.apv_gen_losses import (
    body_loss,
    face_loss,
    hand_weight,
    reference_loss,
    total_loss,
)

# one clip of two frames, one channel, a grid of 1 x 2 latents; s = 2, so (1 + s^2) / s^2 = 1.25
CLEAN = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 1, 2)
DENOISED = torch.tensor([1.5, 2.0, 1.0, 3.0]).view(1, 2, 1, 1, 2)  # errors .5, 0, -2, -1
SIGMA = torch.tensor([2.0])
INSIDE = torch.tensor([1.0, 0.0, 0.5, 0.0]).view(1, 2, 1, 1, 2)


def test_face_loss_counts_what_the_shrunk_frame_covers():
    # 1.25 (1 * .25 + 0 * 0 + .5 * 4 + 0 * 1) / 4
    assert face_loss(DENOISED, CLEAN, SIGMA, INSIDE).item() == pytest.approx(0.703125)


def test_reference_loss_is_unmasked():
    # 1.25 (4 + 1) / 2
    assert reference_loss(DENOISED[:, 1:], CLEAN[:, 1:], SIGMA).item() == pytest.approx(3.125)


def test_body_loss_is_plain():
    # 1.25 (.25 + 0 + 4 + 1) / 4
    assert body_loss(DENOISED, CLEAN, SIGMA).item() == pytest.approx(1.640625)


def test_total_loss_weighs_reference_by_one_and_body_by_a_tenth():
    face, reference, body = torch.tensor([0.703125, 3.125, 1.640625])
    assert total_loss(face, reference, body).item() == pytest.approx(3.9921875)
    assert total_loss(face, reference, body, alpha=1, beta=0).item() == pytest.approx(2.34375)


def test_each_clip_has_its_own_noise_level():
    clean = torch.zeros(2, 1, 1, 1, 1)
    denoised = torch.ones_like(clean)
    # (1 + 1) / 1 and (1 + 4) / 4, the mean of both
    assert body_loss(denoised, clean, torch.tensor([1.0, 2.0])).item() == pytest.approx(1.625)


def test_gradient_is_exactly_zero_outside_the_shrunk_frame():
    generator = torch.Generator().manual_seed(0)
    denoised = torch.randn(2, 3, 4, 5, 6, generator=generator).requires_grad_()
    clean = torch.randn(2, 3, 4, 5, 6, generator=generator)
    inside = torch.zeros(2, 3, 1, 5, 6)
    inside[..., 1:3, 2:5] = 1
    face_loss(denoised, clean, torch.tensor([0.1, 9.0]), inside).backward()
    outside = (inside == 0).expand_as(denoised)
    assert (denoised.grad[outside] == 0).all()
    assert (denoised.grad[~outside] != 0).all()


def hand(low, high, score):
    """A hand whose points lie in the corners of a box."""
    points = torch.zeros(21, 3)
    points[::2, :2] = torch.tensor(low)
    points[1::2, :2] = torch.tensor(high)
    points[:, 2] = score
    return points


def test_hands_weigh_as_in_the_published_trainer():
    # a box from 20 to 30 pixels of 80, 10 pixels wider: two of eight latents, the second and third
    seen = hand((20 / 80, 20 / 80), (30 / 80, 30 / 80), 0.9)
    unseen = hand((60 / 80, 60 / 80), (70 / 80, 70 / 80), 0.4)
    hands = torch.cat([seen, unseen])[None, None]
    weight = hand_weight(hands, (80, 80), (8, 8))
    expected = torch.ones(8, 8)
    expected[1:4, 1:4] = 4.2
    torch.testing.assert_close(weight[0, 0, 0], expected)


def test_latents_on_the_edge_of_a_hand_get_their_share():
    hands = torch.cat([hand((0.0, 0.0), (0.125, 1.0), 1.0), hand((0, 0), (0, 0), 0.0)])[None, None]
    weight = hand_weight(hands, (40, 80), (1, 4), gain=1.0)  # 0 to .25 of the width
    torch.testing.assert_close(weight[0, 0, 0], torch.tensor([[1.8, 1.0, 1.0, 1.0]]))
