"""The published backbone: parity with the published loop, the lead row, guidance, decoding,
conditions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.models.denoiser import prepare_scheduler
from pipeline.models.windows import WindowLayout
from pipeline.motion import skeleton
from pipeline.render.svd.denoising import PublishedWindows, denoise, plan_published_windows
from pipeline.render.svd.still_reference import StillReference
from pipeline.studio.request import Request
from pipeline.values import InputError
from tests.helpers.published import small_pipeline, tiny_published
from tests.helpers.tiny import motion, portrait, tiny_pipeline


@pytest.fixture(scope="module")
def parity(data):
    with np.load(data / "pipeline_small.npz") as file:
        return {name: torch.as_tensor(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def pipe():
    return tiny_published()


def rendered(pipe, moves, **options) -> np.ndarray:
    generator = torch.Generator().manual_seed(3)
    steps = list(
        pipe.render(portrait(), moves, generator=generator, height=64, width=64, **options)
    )
    return np.concatenate([step.frames for step in steps if step.frames is not None])


@torch.no_grad()
def test_the_whole_published_loop_is_matched(parity):
    """8 rows in 3 windows of 4, 3 steps, guidance 1.5 to 3, the published generator's own noise."""
    pipe = small_pipeline(min_guidance=1.5, max_guidance=3.0, decode_chunk=2, decode_overlap=0)
    generator = torch.Generator().manual_seed(1234)
    moves = motion(7)
    clip = pipe.condition.open(
        parity["ref"].numpy(), moves, (128, 64), pipe.vae, pipe.reference_tokens, generator
    )
    assert (clip.tokens[0] - parity["image_embeds"][1]).abs().max() <= 1e-5
    assert (clip.latents[0] - parity["image_latents"][1]).abs().max() <= 1e-4
    given = clip.conditions_of(parity["poses"].permute(0, 3, 1, 2), torch.ones(8), 0)
    assert given.time_ids == pytest.approx(tuple(parity["call0_ids"][0].tolist()))
    assert plan_published_windows(8, 4, 2) == [(0, 4), (2, 6), (4, 8)]
    windows = PublishedWindows(WindowLayout(4, 2, lead=1))
    scheduler = prepare_scheduler(pipe.scheduler, 3)
    noise = clip.noise(8, generator)
    *_, latents = denoise(pipe.denoiser, windows, scheduler, given, noise, generator=generator)
    assert (latents - parity["latents"]).abs().max() <= 2e-3
    frames = clip.frames(latents, replace(given, lead=0))
    want = (parity["frames"][0].permute(1, 0, 2, 3) / 2 + 0.5).clamp(0, 1)
    assert (frames - want).abs().max() <= 1e-3  # 2e-3 in [-1, 1]


def test_the_default_schedule_has_as_many_frames_as_rows_and_repeats_itself(pipe):
    first, second = rendered(pipe, motion(8)), rendered(pipe, motion(8))
    assert first.shape == (8, 64, 64, 3) and np.array_equal(first, second)
    assert not np.array_equal(first, rendered(pipe, motion(8), window_mode="published", overlap=2))


@pytest.mark.slow
@pytest.mark.parametrize(("frames", "window", "overlap"), [(1, 4, 1), (3, 4, 0), (7, 3, 0)])
def test_every_length_comes_out_whole_by_both_schedules(pipe, frames, window, overlap):
    options = {"window": window, "num_inference_steps": 1}
    assert len(rendered(pipe, motion(frames), overlap=overlap, **options)) == frames
    assert (
        len(rendered(pipe, motion(frames), overlap=2, window_mode="published", **options)) == frames
    )


def counted(pipe, moves, **options) -> list[tuple]:
    """Sample shapes and time ids of every call of the UNet."""
    calls = []
    hook = pipe.unet.register_forward_pre_hook(
        lambda module, args, kwargs: calls.append(
            (tuple(args[0].shape), tuple(kwargs["added_time_ids"][0].tolist()))
        ),
        with_kwargs=True,
    )
    try:
        rendered(pipe, moves, num_inference_steps=1, **options)
    finally:
        hook.remove()
    return calls


def test_every_window_sees_the_lead_and_guidance_of_one_is_one_evaluation(pipe):
    calls = counted(pipe, motion(5), window=4, overlap=1)
    assert [shape[1] for shape, _ in calls] == [
        4
    ] * 4  # two windows of the lead and three frames, twice
    assert all(ids == pytest.approx((6.0, 128.0, 0.02)) for _, ids in calls)
    alone = {"min_guidance": 1.0, "max_guidance": 1.0}
    assert len(counted(pipe, motion(5), window=4, overlap=1, conditioning=alone)) == 2
    given = {"fps": 12, "motion_bucket_id": 60, "noise_aug_strength": 0.1}
    ids = counted(pipe, motion(2), conditioning=given)[0][1]
    assert ids == pytest.approx((11.0, 60.0, 0.1))


def test_the_control_network_runs_once_per_window(pipe):
    calls = []
    hook = pipe.controlnext.register_forward_pre_hook(
        lambda module, args: calls.append(args[0].shape)
    )
    rendered(pipe, motion(3), num_inference_steps=1)
    hook.remove()
    assert [tuple(shape) for shape in calls] == [(1, 4, 3, 64, 64)]


@pytest.mark.slow
def test_conditions_that_are_given_reach_the_picture(pipe):
    plain = rendered(pipe, motion(2))
    for name in ("control_strength", "noise_aug_strength", "motion_bucket_id", "max_guidance"):
        assert not np.array_equal(plain, rendered(pipe, motion(2), conditioning={name: 0.9})), name


def test_conditions_that_a_model_lacks_are_named(pipe):
    from tests.helpers.tiny import tiny_pipeline

    with pytest.raises(ValueError, match="no `motion_bucket`; leave that option out"):
        list(tiny_pipeline().render(portrait(), motion(2), conditioning={"motion_bucket_id": 60}))
    with pytest.raises(ValueError, match="window_mode is 'random'"):
        rendered(pipe, motion(2), window_mode="random")
    with pytest.raises(ValueError, match="published windows need 1 to 3"):
        rendered(pipe, motion(9), window_mode="published", overlap=0)


def test_guidance_rises_over_a_window_and_the_shares_add_up_to_one():
    pipe = tiny_published(min_guidance=1.5, max_guidance=3.0)
    clip = pipe.condition.open(portrait(), motion(7), (64, 64), pipe.vae, pipe.reference_tokens)
    without, given = clip.conditions(0, 7).branches
    assert given.shares([0, 4, 5, 6]).tolist() == pytest.approx([1.5, 2.0, 2.5, 3.0])
    assert (given.shares([0, 4, 5, 6]) + without.shares([0, 4, 5, 6])).tolist() == pytest.approx(
        [1.0] * 4
    )
    assert without.control is None and not without.tokens.any() and not without.image_latents.any()


@torch.no_grad()
def test_chunks_with_overlap_blend_what_one_chunk_shows_and_skipped_rows_are_neighbours(pipe):
    clip = pipe.condition.open(portrait(), motion(9), (64, 64), pipe.vae, pipe.reference_tokens)
    given = clip.conditions(0, 9)
    latents = torch.randn(1, 10, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    frames = clip.frames(latents, given)
    assert frames.shape == (9, 3, 64, 64) and frames.min() >= 0 and frames.max() <= 1
    assert torch.equal(
        frames[0], clip.decode(latents[0, 1:5])[0]
    )  # only its own chunk shows frame 0
    two = clip.decode(latents[0, 1:5])[3] / 2 + clip.decode(latents[0, 4:8])[0] / 2
    assert (frames[3] - two).abs().max() < 1e-5
    later = clip.frames(latents, given, skip=2)
    assert later.shape == (7, 3, 64, 64)
    assert (later[:2] - clip.decode(latents[0, 2:6])[1:3]).abs().max() < 1e-5


def test_a_small_face_and_a_large_one_are_promised_different_things(pipe):
    moves = motion(2)
    small, large = (pipe.expectation(moves, (side, side)) for side in (128, 2048))
    assert "little movement" in small and "jaw opens" in large
    assert "20 pixels high" in small


def test_the_aniportrait_style_draws_the_face_mesh(pipe) -> None:
    """Frame t shows the motion's mesh, the lead the mesh on the reference's own face; none is
    refused."""
    mesh = np.random.default_rng(0).uniform(0.3, 0.6, (3, 468, 2))
    moves = replace(motion(3), mesh=mesh)
    drawing = StillReference(style="aniportrait")
    clip = drawing.open(portrait(), moves, (64, 64), pipe.vae, pipe.reference_tokens)
    pictures = clip.conditions(1, 3).branches[1].control
    assert pictures.shape == (3, 3, 64, 64) and pictures[0].any()
    wanted = skeleton.draw(moves.pose[1:], (64, 64), "aniportrait", mesh[1:])
    assert np.array_equal(pictures[1:].permute(0, 2, 3, 1).numpy(), wanted)
    clip = drawing.open(portrait(), motion(3), (64, 64), pipe.vae, pipe.reference_tokens)
    with pytest.raises(InputError, match="face mesh"):
        clip.conditions(0, 2)


def test_the_skeleton_style_of_a_request_reaches_the_control_pictures(pipe):
    request = Request("image.png", "speech.wav", skeleton_style="openpose")
    assert Request("image.png", "speech.wav").conditioning() == {}
    condition = pipe.conditioned(request.conditioning())
    assert condition.config.style == "openpose" != pipe.condition.config.style
    with pytest.raises(InputError, match="`skeleton_style`|skeleton_style is 'comic'"):
        Request("image.png", "speech.wav", skeleton_style="comic")


def test_a_model_without_skeleton_styles_refuses_one():
    request = Request("image.png", "speech.wav", skeleton_style="openpose")
    with pytest.raises(InputError, match="no `skeleton_style`; leave that option out"):
        tiny_pipeline().conditioned(request.conditioning())
