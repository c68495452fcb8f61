"""The interface of image conditions: both kinds satisfy it, and a segment has what the loop
reads."""

import pytest
import torch

from pipeline.models.denoiser import prepare_scheduler
from pipeline.models.windows import WindowLayout
from pipeline.render.svd.conditions import ImageCondition, SegmentConditions, reconfigure
from pipeline.render.svd.denoising import JointWindows, WholeSegment, denoise
from tests.helpers.published import tiny_published
from tests.helpers.tiny import motion, portrait, tiny_pipeline

SIZE = (64, 64)
FRAMES = 3


@pytest.fixture(scope="module", params=[tiny_pipeline, tiny_published], ids=["warped", "still"])
def pipe(request):
    return request.param()


def opened(pipe):
    generator = torch.Generator().manual_seed(0)
    condition: ImageCondition = pipe.condition
    return condition.open(
        portrait(), motion(FRAMES), SIZE, pipe.vae, pipe.reference_tokens, generator
    )


def test_a_condition_answers_everything_that_the_pipeline_asks(pipe) -> None:
    condition: ImageCondition = pipe.condition
    assert condition.lead in (0, 1)
    assert condition.needs_null_inputs is False
    assert condition.evaluations >= 1 and condition.decodings >= 1
    assert condition.decode_chunk is None or condition.decode_chunk >= 1
    assert condition.device == torch.device("cpu")
    height, width = condition.latent_size(SIZE)
    assert 0 < height <= SIZE[0] and 0 < width <= SIZE[1]


@torch.no_grad()
def test_a_clip_gives_conditions_noise_frames_and_a_preview_that_fit_together(pipe) -> None:
    clip = opened(pipe)
    conditions = clip.conditions(0, FRAMES)
    assert isinstance(conditions, SegmentConditions)
    assert conditions.lead == pipe.condition.lead
    assert len(conditions) == conditions.lead + FRAMES
    noise = clip.noise(len(conditions), torch.Generator().manual_seed(1))
    assert noise.shape[:2] == (1, len(conditions))
    assert noise.shape[3:] == pipe.condition.latent_size(SIZE)
    for branch in conditions.branches:
        assert branch.image_latents.shape == noise.shape
        assert branch.share.shape == (len(conditions),)
    assert clip.frames(noise, conditions).shape == (FRAMES, 3, *SIZE)
    assert clip.frames(noise, conditions, 1).shape == (FRAMES - 1, 3, *SIZE)
    assert clip.preview(noise, conditions).shape == (1, 3, *SIZE)


@torch.no_grad()
def test_one_window_and_the_whole_segment_denoise_alike(pipe) -> None:
    clip = opened(pipe)
    conditions = clip.conditions(0, FRAMES)
    noise = clip.noise(len(conditions), torch.Generator().manual_seed(1))
    layout = WindowLayout(len(conditions), 0, pipe.condition.lead)
    results = []
    for windows in (JointWindows(layout), WholeSegment()):
        scheduler = prepare_scheduler(pipe.scheduler, 2)
        estimates = list(denoise(pipe.denoiser, windows, scheduler, conditions, noise))
        assert len(estimates) == 2
        results.append(estimates[-1])
    assert torch.allclose(*results, atol=1e-4)


def test_a_copy_has_the_new_values_and_keeps_the_others(pipe) -> None:
    assert reconfigure(pipe.condition, {}) is pipe.condition
    name = "short_side" if "short_side" in pipe.condition.config else "decode_chunk"
    other = reconfigure(pipe.condition, {name: 32})
    assert other.config[name] == 32 and pipe.condition.config[name] != 32
    rest = {key: value for key, value in other.config.items() if key[0] != "_" and key != name}
    assert all(pipe.condition.config[key] == value for key, value in rest.items())


def test_warp_of_a_still_reference_is_refused() -> None:
    embedded, published = tiny_pipeline(), tiny_published()
    clip = opened(embedded)
    conditions = opened(published).conditions(0, FRAMES)
    latents = clip.noise(len(conditions), torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match="not those of a warped reference"):
        clip.frames(latents, conditions)
