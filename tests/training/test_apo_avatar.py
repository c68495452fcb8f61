"""ApoAvatar's conditions: the gate by hand, dropout, speech of each row, an export that renders."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.models.audio2pose import PHASE, SAMPLE_RATE, tokens_at
from pipeline.models.haar import HaarLatent
from pipeline.motion import prosody
from pipeline.render.load import load
from pipeline.training import train_apv_gen
from pipeline.training.apo_avatar import ApoAvatarConditions, speech_tokens
from pipeline.training.apv_gen_networks import new_networks, save_model
from pipeline.training.apv_gen_step import compute_losses, make_conditions
from pipeline.training.clip_batches import make_batch
from pipeline.training.config import TrainConfig
from pipeline.training.random_model import random_pipeline
from pipeline.training.validation import motion_of
from pipeline.values import Audio, InputError
from tests.helpers.stick_person import figure
from tests.helpers.tiny import open_gates, portrait
from tests.helpers.training_clips import StickClips

FPS = 25.0
FRAMES = 3
CONFIG = TrainConfig(model="new", frames=FRAMES, height=64, width=64, dropout=0.0, sigma_data=1.0)
EVERYTHING = ApoAvatarConditions(gate_floor=1.0, pose_dropout=0.0, audio_dropout=0.0)


def speech(root) -> np.ndarray:
    from pipeline import media

    return media.read_audio(root / "assets/speech/accents_no.wav").samples[: 2 * SAMPLE_RATE]


@pytest.fixture(scope="module")
def networks():
    made = new_networks(HaarLatent(), 0, (32, 32))
    made.add_interaction(0)
    return made


@pytest.fixture(scope="module")
def shape(networks):
    return train_apv_gen.make_shape(CONFIG, networks)


@pytest.fixture(scope="module")
def options(networks):
    return train_apv_gen.step_options(CONFIG, networks)


def batch_of(kind, shape, samples=None, frames=50):
    clip = StickClips(kind, frames=frames).clip(0)
    return make_batch(replace(clip, samples=samples), shape, np.random.default_rng(3))


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


def test_the_gate_is_the_papers(root, networks, shape, options) -> None:
    samples = speech(root)
    batch = batch_of("body", shape, samples)
    start = round(float(batch.starts_seconds) * FPS)
    made = ApoAvatarConditions(0.2, 0.0, 0.0)(networks, batch, options, generator())
    loudness = prosody.analyse(Audio(samples, SAMPLE_RATE), FPS, "loudness").intensity
    expected = 0.2 + 0.8 * loudness[start : start + FRAMES]
    assert made.scale.flatten().numpy() == pytest.approx(expected, abs=1e-5)
    assert 0.2 <= expected.min() < expected.max() <= 1


def test_every_row_hears_its_own_moment(root, networks, shape) -> None:
    samples = speech(root)
    batch = batch_of("body", shape, samples)
    network = networks.pipe.audio2pose
    features = network.features(Audio(samples, SAMPLE_RATE))
    times = float(batch.starts_seconds) + (np.arange(FRAMES) + PHASE) / FPS
    assert np.array_equal(speech_tokens(batch, network).numpy(), tokens_at(features, times))


def test_a_reference_row_keeps_its_pose_and_hears_nothing(root, networks, shape, options) -> None:
    batch = batch_of("face", shape, speech(root))
    made = ApoAvatarConditions(0.2, 1.0, 0.0)(networks, batch, options, generator())
    assert made.pose_mask.tolist() == [0, 0, 0, 1]
    assert made.audio_mask.tolist() == [1, 1, 1, 0]
    assert made.scale.flatten().tolist() == [1, 1, 1, 1]  # no gate where there is no pose


def test_clips_without_sound_are_not_gated(networks, shape, options) -> None:
    batch = batch_of("body", shape)
    made = ApoAvatarConditions(0.2, 0.0, 0.0)(networks, batch, options, generator())
    assert made.audio_mask.tolist() == [0, 0, 0]
    assert made.scale.flatten().tolist() == [1, 1, 1]


def test_shares_are_dropped(root, networks, shape, options) -> None:
    batch = batch_of("body", shape, speech(root))
    masks = []
    for seed in range(60):
        made = ApoAvatarConditions(0.2, 0.3, 0.1)(networks, batch, options, generator(seed))
        masks.append((float(made.pose_mask[0]), float(made.audio_mask[0])))
    without_pose, without_sound = 1 - np.array(masks).mean(0)
    assert 0.15 < without_pose < 0.45 and 0.02 < without_sound < 0.25


def test_with_closed_gates_the_loss_is_the_loops_to_the_bit(root, networks, shape, options) -> None:
    batch = batch_of("face", shape, speech(root))

    def loss(condition):
        return compute_losses(
            networks, networks.denoiser, batch, options, generator(), condition
        ).total

    assert torch.equal(loss(make_conditions), loss(EVERYTHING))


def test_a_dropped_pose_is_the_null_pose_and_every_site_learns(root, shape, options) -> None:
    networks = new_networks(HaarLatent(), 0, (32, 32))
    networks.add_interaction(0)
    open_gates(networks.denoiser.interaction)
    torch.nn.init.normal_(networks.denoiser.unet.conv_out.weight, std=0.05, generator=generator())
    batch = batch_of("body", shape, speech(root))
    other = replace(batch, control=255 - batch.control)

    def loss(given, pose_dropout):
        condition = ApoAvatarConditions(0.2, pose_dropout, 0.0)
        return compute_losses(
            networks, networks.denoiser, given, options, generator(), condition
        ).total

    assert torch.equal(loss(batch, 1.0), loss(other, 1.0))
    assert not torch.equal(loss(batch, 0.0), loss(other, 0.0))
    (loss(batch, 0.0) + loss(batch, 1.0)).backward()
    interaction = networks.denoiser.interaction
    assert all(site.gate.weight.grad.abs().max() > 0 for site in interaction.exchanges)
    assert interaction.null_pose.grad.abs().max() > 0


def test_an_export_renders_with_a_pose_and_without_one(root, tmp_path) -> None:
    networks = new_networks(HaarLatent(), 0, (32, 32))
    networks.add_interaction(0)
    open_gates(networks.denoiser.interaction)
    networks.set_defaults(FRAMES, (64, 64))
    save_model(networks, networks.denoiser.state_dict(), tmp_path / "model")
    pipe = load(str(tmp_path / "model"), device="cpu")
    motion = motion_of(figure(FRAMES, FPS))
    audio = Audio(speech(root), SAMPLE_RATE)
    tokens = pipe.audio2pose.predict(audio, FPS, FRAMES).tokens

    def frames(motion, **conditioning):
        parts = pipe.render(
            portrait((64, 64)),
            motion,
            num_inference_steps=2,
            generator=generator(),
            conditioning=conditioning,
        )
        shown = [part.frames for part in parts if part.frames is not None]
        return np.concatenate(shown)

    speaking = replace(motion, audio_tokens=tokens)
    other = replace(speaking, pose=figure(2 * FRAMES, FPS)[FRAMES:])
    assert not np.array_equal(frames(speaking), frames(motion))  # the sound is heard
    assert not np.array_equal(frames(speaking), frames(other))
    free = frames(speaking, pose_guidance=0.0)
    assert np.array_equal(free, frames(other, pose_guidance=0.0))
    assert not np.array_equal(free, frames(motion, pose_guidance=0.0))


def test_sites_fit_the_full_size_unet() -> None:
    from accelerate import init_empty_weights

    from pipeline.training.mini_model import new_interaction

    with init_empty_weights():
        pipe = random_pipeline()
        interaction = new_interaction(pipe.unet, pipe.controlnext, 0)
    assert list(interaction.config.widths) == [320, 1280, 1280, 1280, 640]


def test_another_speech_network_is_refused(networks, shape) -> None:
    with pytest.raises(InputError, match="leave `interaction` out"):
        speech_tokens(batch_of("body", shape), torch.nn.Identity())
