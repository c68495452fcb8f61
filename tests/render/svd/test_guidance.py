"""Decoupled guidance: branches, their shares and offsets, pose-free by the network, and who refuses
it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.models.denoiser import TIME_IDS, prepare_scheduler
from pipeline.models.interaction import AudioVideoInteraction
from pipeline.render.svd.conditions import DecoupledGuidance, reconfigure
from pipeline.render.svd.warped_reference import WarpedReference
from pipeline.studio import request as request_module
from pipeline.studio import steps
from tests.helpers.tiny import motion, portrait, tiny_pipeline

FRAMES = 4


@pytest.fixture(scope="module")
def pipe():
    """The tiny pipeline with an interaction whose gates are open."""
    pipe = tiny_pipeline()
    torch.manual_seed(5)
    interaction = AudioVideoInteraction(
        sites=("mid_block", "up_blocks.0"),
        widths=(32, 32),
        audio_channels=16,
        pose_channels=32,
        dim=16,
    )
    for site in interaction.exchanges:
        torch.nn.init.normal_(site.gate.weight, std=0.3)
    pipe.register_modules(interaction=interaction.eval())
    return pipe


def spoken(frames: int = FRAMES, seed: int = 0):
    rng = np.random.default_rng(seed)
    return replace(
        motion(frames), audio_tokens=rng.standard_normal((frames, 5, 16)).astype(np.float32)
    )


def opened(
    pipe, moves, audio: float = 1.0, pose: float = 1.0, condition: WarpedReference | None = None
):
    asked = {"audio_guidance": audio, "pose_guidance": pose}
    condition = condition or reconfigure(pipe.condition, asked)
    return condition.open(portrait(), moves, (128, 96), pipe.vae, pipe.reference_tokens)


def rendered(pipe, moves, **options) -> np.ndarray:
    generator = torch.Generator().manual_seed(3)
    steps = list(pipe.render(portrait(), moves, generator=generator, conditioning=options))
    return np.concatenate([step.frames for step in steps if step.frames is not None])


def test_plain_guidance_is_one_evaluation_and_the_gain_scales_control_and_validity(pipe) -> None:
    gain = np.array([0.5, 1.0, 1.2, 1.0])
    moves = replace(spoken(), control_strength=gain)
    (plain,) = opened(pipe, moves).conditions(0, FRAMES).branches
    assert plain.share.tolist() == [1] * FRAMES and plain.scale.flatten().tolist() == pytest.approx(
        gain
    )
    condition = WarpedReference(64, gated_validity=1.0)
    (gated,) = opened(pipe, moves, condition=condition).conditions(0, FRAMES).branches
    assert torch.allclose(gated.extra[0], 0.5 * plain.extra[0])
    assert torch.equal(gated.extra[1::2], plain.extra[1::2]) and gated.extra.max() <= 1


CASES = [(1, 1, 1), (1, 0, 1), (2, 1, 3), (0, 1, 3), (1, 2, 2), (0, 0, 1)]


@pytest.mark.parametrize(("audio", "pose", "count"), CASES)
def test_shares_add_up_and_idle_branches_are_left_out(pipe, audio, pose, count) -> None:
    given = opened(pipe, spoken(), audio, pose).conditions(0, FRAMES)
    assert len(given.branches) == count
    assert sum(branch.share for branch in given.branches).tolist() == pytest.approx([1] * FRAMES)


def test_the_sliders_gain_acts_on_the_pose_term_alone(pipe) -> None:
    gain = np.array([0.8, 1.0, 1.2, 1.0])
    given = opened(pipe, replace(spoken(), control_strength=gain), 1.5, 1.0).conditions(0, FRAMES)
    null, sound, full = given.branches
    assert (
        null.audio is None
        and null.control is None
        and sound.audio is not None
        and sound.control is None
    )
    assert (
        full.share.tolist() == pytest.approx(gain) and full.scale.flatten().tolist() == [1] * FRAMES
    )
    assert sound.share.tolist() == pytest.approx(
        1.5 - gain
    ) and null.share.tolist() == pytest.approx([-0.5] * FRAMES)


def test_a_branch_with_another_base_is_the_same_denoiser_in_the_common_base(pipe) -> None:
    """The output plus base is what an evaluation wholly in the still reference's base gives."""
    given = opened(pipe, spoken(), 2.0, 1.0).conditions(0, FRAMES)
    branch = given.branches[1]
    scheduler = prepare_scheduler(pipe.scheduler, 4)
    sigma, time = scheduler.sigmas[2], scheduler.timesteps[2]
    truth = torch.randn(given.warp.base.shape, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(given.warp.base.shape, generator=torch.Generator().manual_seed(1))
    still = branch.image_latents
    with torch.no_grad():
        common = _run(
            pipe, branch, pipe.vae.residual_of(truth, given.warp.base) + sigma * noise, sigma, time
        )
        alone = replace(branch, offset=None)
        own = _run(pipe, alone, pipe.vae.residual_of(truth, still) + sigma * noise, sigma, time)
    one = pipe.vae.add_residual(given.warp.base, common)
    two = pipe.vae.add_residual(still, own)
    assert (still - given.warp.base).abs().max() > 0.1
    assert (one - two).abs().max() < 1e-3


def _run(pipe, branch, state, sigma, time):
    from pipeline.models.denoiser import controlled

    with controlled(pipe.unet, pipe.controlnext, pipe.interaction) as injection:
        scaled = state / (sigma**2 + 1).sqrt()
        return pipe.denoiser.evaluate(
            injection, branch, list(range(FRAMES)), scaled, time, TIME_IDS
        )


def test_sound_reaches_the_pictures_and_guidance_changes_them(pipe) -> None:
    plain = rendered(pipe, spoken())
    assert not np.array_equal(rendered(pipe, spoken(seed=1)), plain)
    assert not np.array_equal(rendered(pipe, spoken(), audio_guidance=2.0), plain)


def test_pose_free_by_the_network_heeds_no_pose_and_starts_from_the_picture(pipe) -> None:
    moves = spoken()
    other = replace(moves, pose=moves.pose[np.zeros(FRAMES, int)])
    free = rendered(pipe, moves, pose_guidance=0.0)
    assert np.array_equal(free, rendered(pipe, other, pose_guidance=0.0))
    assert not np.array_equal(free, rendered(pipe, spoken(seed=1), pose_guidance=0.0))
    given = opened(pipe, moves, 1, 0).conditions(0, FRAMES)
    (branch,) = given.branches
    assert (
        branch.control is None
        and branch.offset is None
        and torch.equal(branch.image_latents, given.warp.base)
    )


def test_weights_without_null_pose_refuse_it_in_one_sentence() -> None:
    old = tiny_pipeline()
    for options in ({"pose_guidance": 0.0}, {"audio_guidance": 2.0}):
        with pytest.raises(ValueError, match="null pose"):
            list(old.render(portrait(), motion(2), conditioning=options))
    request = request_module.Request("picture.png", "speech.wav", pose_free="network")
    with pytest.raises(ValueError, match="null pose"):
        steps.load(request, old.settings)


def test_requests_translate_pose_free_and_refuse_a_driving_video_with_it() -> None:
    assert request_module.Request("a.png", "b.wav").conditioning() == {}
    assert request_module.Request("a.png", "b.wav", pose_free="network").conditioning() == {
        "pose_guidance": 0.0
    }
    assert request_module.Request("a.png", "b.wav", audio_guidance=1.5).conditioning() == {
        "audio_guidance": 1.5
    }
    with pytest.raises(ValueError, match="leave out `driving`"):
        request_module.Request("a.png", "b.wav", driving="c.mp4", pose_free="network")
    with pytest.raises(ValueError, match="audio guidance"):
        DecoupledGuidance(audio=float("nan"))


def test_saved_with_an_interaction_it_loads_again_and_without_one_it_has_none(
    pipe, tmp_path
) -> None:
    from pipeline.render.svd.pipeline import AudioPoseSVDPipeline

    pipe.save_pretrained(tmp_path / "new")
    again = AudioPoseSVDPipeline.from_pretrained(tmp_path / "new", local_files_only=True)
    assert np.abs(rendered(again, spoken()).astype(int) - rendered(pipe, spoken())).max() <= 1
    tiny_pipeline().save_pretrained(tmp_path / "old")
    index = tmp_path / "old" / "model_index.json"
    text = index.read_text().replace(
        '"interaction"', '"unknown"'
    )  # as version 1 wrote it, without the name
    index.write_text(text)
    old = AudioPoseSVDPipeline.from_pretrained(tmp_path / "old", local_files_only=True)
    assert old.interaction is None


def test_several_steps_visit_every_level_of_the_schedule() -> None:
    """Times must be 0.25 ln sigma: diffusers' own for clean samples repeat, and so skip the first
    step."""
    scheduler = prepare_scheduler(tiny_pipeline().scheduler, 4)
    assert torch.allclose(scheduler.timesteps, 0.25 * scheduler.sigmas[:-1].log())
    latents = torch.ones(1)
    for index, time in enumerate(scheduler.timesteps):
        scheduler.scale_model_input(latents, time)
        assert scheduler.step_index == index
        latents = scheduler.step(torch.zeros(1), time, latents).prev_sample
    assert latents == 0
