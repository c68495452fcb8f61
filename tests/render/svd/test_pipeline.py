"""The backbone: determinism, windows and segments, callbacks, cancelling, round trip on disk."""

import numpy as np
import pytest
import torch

from pipeline.analysis.progress import finish
from pipeline.render.svd.denoising import plan_segments
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from tests.helpers.published import tiny_published
from tests.helpers.tiny import motion, portrait, tiny_pipeline


@pytest.fixture(scope="module")
def pipe() -> AudioPoseSVDPipeline:
    return tiny_pipeline()


def rendered(pipe, moves, **options) -> np.ndarray:
    generator = torch.Generator().manual_seed(3)
    steps = list(pipe.render(portrait(), moves, generator=generator, **options))
    return np.concatenate([step.frames for step in steps if step.frames is not None])


def test_as_many_frames_as_rows_and_the_same_bytes_twice(pipe) -> None:
    first, second = rendered(pipe, motion(10)), rendered(pipe, motion(10))
    assert first.shape == (10, 128, 96, 3) and first.dtype == np.uint8
    assert np.array_equal(first, second)


@pytest.mark.parametrize("frames", [1, 2, 4, 5, 10, 11, 23])
def test_every_length_comes_out_whole(pipe, frames: int) -> None:
    assert len(rendered(pipe, motion(frames))) == frames


def test_segments_do_not_change_the_clip_where_frames_are_independent(pipe) -> None:
    """The tiny UNet's temporal layers mix frames, so only the untouched first frames are
    compared."""
    short, long = rendered(pipe, motion(10)[:4]), rendered(pipe, motion(10), window=4, overlap=0)
    assert np.abs(short.astype(int) - long[:4]).max() <= 1


def test_more_steps_show_previews_and_call_back(pipe) -> None:
    seen = []

    def note(pipeline, index, time, tensors):
        seen.append((index, float(time), tuple(tensors["latents"].shape)))
        return tensors

    steps = list(
        pipe.render(portrait(), motion(4), num_inference_steps=3, callback_on_step_end=note)
    )
    previews = [step.preview for step in steps if step.preview is not None]
    assert [index for index, _, _ in seen] == [0, 1, 2] and seen[0][1] > seen[1][1] > seen[2][1]
    assert len(previews) == 2 and previews[0].shape == (128, 96, 3)


def test_closing_stops_the_work_and_removes_the_hook(pipe) -> None:
    before = len(pipe.unet.conv_in._forward_hooks)
    work = pipe.render(portrait(), motion(40), num_inference_steps=2)
    next(work)
    assert len(pipe.unet.conv_in._forward_hooks) == before  # nor is it there between two steps
    work.close()
    assert len(pipe.unet.conv_in._forward_hooks) == before


def test_the_scheduler_is_never_changed(pipe) -> None:
    before = pipe.scheduler.num_inference_steps, pipe.scheduler._step_index
    rendered(pipe, motion(4), num_inference_steps=2)
    assert (pipe.scheduler.num_inference_steps, pipe.scheduler._step_index) == before


def test_control_strength_reaches_the_picture(pipe) -> None:
    from dataclasses import replace

    plain = motion(4)
    off = replace(plain, control_strength=np.zeros(4))
    assert not np.array_equal(rendered(pipe, plain), rendered(pipe, off))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"window": 4, "overlap": 4}, "overlap"),
        ({"height": 100}, "height"),
        ({"callback_on_step_end_tensor_inputs": ("noise",)}, "latents"),
    ],
)
def test_bad_options_name_themselves(pipe, options: dict, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        list(pipe.render(portrait(), motion(4), **options))


def test_call_returns_what_diffusers_returns(pipe) -> None:
    output = pipe(portrait(), motion=motion(5), generator=torch.Generator().manual_seed(0))
    assert len(output.frames[0]) == 5 and output.frames[0][0].size == (96, 128)
    array = pipe(portrait(), motion=motion(5), output_type="np", return_dict=False)[0]
    assert array.shape == (5, 128, 96, 3)
    with pytest.raises(ValueError, match="output_type"):
        pipe(portrait(), motion=motion(5), output_type="latent")
    with pytest.raises(ValueError, match="either audio or a motion"):
        finish(pipe.stream(portrait()))


def test_call_passes_conditions_and_schedule_on() -> None:
    pipe = tiny_published()
    given = {"motion": motion(3), "height": 64, "width": 64, "output_type": "np"}

    def called(**options) -> np.ndarray:
        return pipe(
            portrait(), generator=torch.Generator().manual_seed(0), **given, **options
        ).frames

    plain = called()
    assert not np.array_equal(plain, called(conditioning={"min_guidance": 1, "max_guidance": 1}))
    assert not np.array_equal(plain, called(window_mode="published", window=3, overlap=1))
    with pytest.raises(ValueError, match="no null pose and no null audio"):
        called(conditioning={"audio_guidance": 2})


def test_schedule_is_the_old_name_of_window_mode_and_warns() -> None:
    pipe = tiny_published()
    options = {"height": 64, "width": 64, "window": 3, "overlap": 1}
    new = rendered(pipe, motion(3), window_mode="published", **options)
    with pytest.warns(FutureWarning, match="`window_mode`"):
        old = rendered(pipe, motion(3), schedule="published", **options)
    assert np.array_equal(old, new)
    with pytest.warns(FutureWarning, match="`window_mode`"):
        called = pipe(
            portrait(),
            motion=motion(3),
            intensity=0.0,
            schedule="published",
            generator=torch.Generator().manual_seed(3),
            output_type="np",
            **options,
        )
    assert np.array_equal(called.frames, new)


def test_intensity_zero_is_the_motion_itself(pipe) -> None:
    moves = motion(6)
    generator = torch.Generator().manual_seed(3)
    steps = list(pipe.stream(portrait(), motion=moves, intensity=0.0, generator=generator))
    frames = np.concatenate([step.frames for step in steps if step.frames is not None])
    assert np.array_equal(frames, rendered(pipe, moves))


def test_saved_and_loaded_it_gives_the_same_video(pipe, tmp_path) -> None:
    """To one grey level: tensors mapped from a file lie at other addresses, which changes sums."""
    pipe.save_pretrained(tmp_path)
    again, third = (
        AudioPoseSVDPipeline.from_pretrained(tmp_path, local_files_only=True) for _ in range(2)
    )
    assert np.abs(rendered(again, motion(5)).astype(int) - rendered(pipe, motion(5))).max() <= 1
    assert np.array_equal(rendered(again, motion(5)), rendered(third, motion(5)))


@pytest.mark.parametrize("frames", [1, 4, 9, 10, 11, 100])
@pytest.mark.parametrize(("window", "overlap"), [(4, 0), (4, 1), (16, 4)])
def test_segments_cover_every_frame_once_beside_the_overlap(
    frames: int, window: int, overlap: int
) -> None:
    segments = plan_segments(frames, window, overlap)
    assert segments[0][0] == 0 and segments[-1][1] == frames
    for (_, stop), (start, end) in zip(segments, segments[1:], strict=False):
        assert start == stop - overlap and end > stop
    assert max(stop - start for start, stop in segments) <= 3 * window
