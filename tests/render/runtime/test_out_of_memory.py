"""Out of memory: once more, smaller windows, offload, then one sentence; finished segments stay."""

import numpy as np
import pytest
import torch

from pipeline.models.windows import WindowLayout
from pipeline.render.runtime import out_of_memory, placement
from pipeline.render.runtime.out_of_memory import Attempt
from tests.helpers.published import tiny_published
from tests.helpers.tiny import motion, portrait


@pytest.fixture(scope="module")
def whole():
    return tiny_published()


@pytest.fixture
def pipe(whole):
    yield whole
    whole.unet._forward_pre_hooks.clear()


def short_of_memory(pipe, allowed) -> None:
    """The UNet fails like a full device wherever `allowed(call number, rows)` is false."""
    calls = []

    def check(module, args):
        calls.append(args[0].shape[1])
        if not allowed(len(calls), calls[-1]):
            raise torch.OutOfMemoryError("CUDA out of memory")

    pipe.unet.register_forward_pre_hook(check)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def render(pipe, frames, **options):
    work = pipe.render(
        portrait(), motion(frames), height=64, width=64, num_inference_steps=1, **options
    )
    steps, failed = [], None
    try:
        for step in work:
            steps.append(step)
    except ValueError as error:
        failed = str(error)
    done = [step.frames for step in steps if step.frames is not None]
    notes = [step.stage for step in steps if step.stage.startswith("out of memory")]
    return (np.concatenate(done) if done else np.zeros((0,))), notes, failed


@pytest.mark.slow
def test_a_failure_that_passes_is_tried_once_more(pipe):
    short_of_memory(pipe, lambda call, rows: call != 3)
    frames, notes, failed = render(pipe, 9, window=8, overlap=2)
    assert len(frames) == 9 and failed is None
    assert notes == ["out of memory: trying this part once more"]


def test_windows_become_smaller_and_finished_segments_stay(pipe):
    short_of_memory(pipe, lambda call, rows: call <= 4 or rows <= 6)
    frames, notes, failed = render(pipe, 24, window=12, overlap=3)
    assert len(frames) == 24 and failed is None
    assert notes[-1] == "out of memory: windows of 6 frames from here on" and len(notes) == 2


def test_the_end_is_one_sentence_with_the_remedy_and_keeps_what_is_done(pipe):
    short_of_memory(pipe, lambda call, rows: call <= 2 * 3)
    frames, notes, failed = render(pipe, 20, window=8, overlap=2)
    assert 0 < len(frames) < 20 and "`offload` group" in failed and "\n" not in failed
    assert not pipe.unet.down_blocks[0]._forward_hooks


def test_offload_is_tried_on_a_device_that_has_it(pipe, monkeypatch):
    tried = []
    monkeypatch.setattr(pipe, "placed", placement.Placement("cuda", offload="none"), raising=False)
    monkeypatch.setattr(placement, "offload", lambda pipe, how, device: tried.append((how, device)))
    attempt, notes = Attempt(WindowLayout(24, 6, lead=1)), []
    with pytest.raises(ValueError, match="even for windows of 6"):
        for _ in range(9):
            attempt = attempt.with_less_memory(pipe)
            notes.append(attempt.note)
    assert tried == [("group", "cpu")]
    assert not placement.may_offload(pipe)  # nor for the next clip
    assert [note.split()[3] for note in notes] == ["trying", "windows", "weights", "windows"]
    assert (attempt.layout.window, attempt.layout.overlap) == (6, 1)


def test_the_held_rows_follow_a_smaller_overlap():
    from pipeline.render.svd.denoising import take_held_rows

    latents = torch.arange(6.0).view(1, 6, 1, 1, 1)
    assert take_held_rows(latents, WindowLayout(4, 2, 1)).flatten().tolist() == [0, 4, 5]
    assert take_held_rows(latents, WindowLayout(4, 0, 1)).flatten().tolist() == [0]
    assert (
        take_held_rows(latents, WindowLayout(4, 0, 0)) is None
        and take_held_rows(None, WindowLayout(4, 2, 1)) is None
    )
    assert out_of_memory.SMALLEST_WINDOW_ROWS > 2


def test_frames_are_decoded_fewer_at_a_time_and_nothing_is_denoised_again(
    pipe, monkeypatch, caplog
):
    decode, calls = pipe.vae.decode, []
    pipe.unet.register_forward_pre_hook(lambda module, args: calls.append("denoise"))

    def check(latents, **options):
        calls.append(len(latents))
        if len(latents) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(latents, **options)

    monkeypatch.setattr(pipe.vae, "decode", check)
    short, notes, failed = render(
        pipe, 9, window=10, overlap=2, conditioning={"decode_chunk": 8}, generator=seeded()
    )
    assert failed is None and not notes and "2 at a time" in caplog.text
    assert calls.count("denoise") == 2 and [n for n in calls if n != "denoise"][:3] == [8, 4, 2]
    monkeypatch.setattr(pipe.vae, "decode", decode)
    plain, _, _ = render(
        pipe, 9, window=10, overlap=2, conditioning={"decode_chunk": 2}, generator=seeded()
    )
    assert np.array_equal(short, plain)
