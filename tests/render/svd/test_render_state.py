"""A render goes on in another process with the same frames; notes that do not fit are refused."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from pipeline.render.svd import pipeline as svd
from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
from pipeline.values import InputError, Motion, Progress, ResumePoint
from tests.helpers.published import tiny_published
from tests.helpers.tiny import motion, portrait, tiny_pipeline

SEED = 5
FRAMES = 24
SMALL = {"height": 64, "width": 64}
OPTIONS = {
    "mini": {"window": 4, "overlap": 1, **SMALL},
    "mini, several steps": {"window": 4, "overlap": 2, "num_inference_steps": 3, **SMALL},
    "mini, no overlap": {"window": 3, "overlap": 0, **SMALL},
    "svd": {"window": 5, "overlap": 2, "num_inference_steps": 2, **SMALL},
}


def built(kind: str) -> AudioPoseSVDPipeline:
    return tiny_published() if kind == "svd" else tiny_pipeline()


def steps_of(
    pipe: AudioPoseSVDPipeline, kind: str, point: ResumePoint | None = None
) -> list[Progress]:
    generator = torch.Generator().manual_seed(SEED)
    work = pipe.render(portrait(), moves(), generator=generator, resume_from=point, **OPTIONS[kind])
    return [step for step in work if step.frames is not None]


def moves() -> Motion:
    return motion(FRAMES)


def frames_of(steps: list[Progress]) -> np.ndarray:
    return np.concatenate([step.frames for step in steps if step.frames is not None])


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_render_goes_on_from_each_segment_with_the_same_frames(kind: str) -> None:
    whole = steps_of(built(kind), kind)
    assert len(whole) > 2
    frames = frames_of(whole)
    for step in whole[:-1]:
        point = pickle.loads(pickle.dumps(step.resume_point))  # as it comes from another process
        rest = frames_of(steps_of(built(kind), kind, point))
        assert np.array_equal(rest, frames[point.frames :])


def test_a_stream_goes_on() -> None:
    def stream(point: ResumePoint | None = None) -> list[Progress]:
        generator = torch.Generator().manual_seed(SEED)
        options = {"generator": generator, "resume_from": point, **OPTIONS["mini"]}
        work = built("mini").stream(portrait(), motion=moves(), intensity=0.5, **options)
        return [step for step in work if step.frames is not None]

    whole = stream()
    point = whole[0].resume_point
    assert np.array_equal(frames_of(stream(point)), frames_of(whole)[point.frames :])


def test_nothing_is_left_to_do_after_the_last_segment() -> None:
    last = steps_of(built("mini"), "mini")[-1].resume_point
    assert last.frames == FRAMES and steps_of(built("mini"), "mini", last) == []


def test_windows_that_memory_made_smaller_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.render.runtime.out_of_memory.SMALLEST_WINDOW_ROWS", 2)
    whole = interrupted_by_memory(monkeypatch)
    point = whole[1].resume_point
    assert point.numbers["window"] == 2 and point.numbers["tried"] == 2
    rest = frames_of(steps_of(built("mini"), "mini", point))
    assert np.array_equal(rest, frames_of(whole)[point.frames :])


def interrupted_by_memory(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """Render; from the second segment on, memory suffices only for smaller windows."""
    real: Callable = svd.denoise
    calls = []

    def denoise(denoiser, windows, *args, **options):
        calls.append(windows.layout.window)
        if len(calls) > 1 and windows.layout.window > 2:
            raise torch.OutOfMemoryError
        return real(denoiser, windows, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(svd, "denoise", denoise)
        return steps_of(built("mini"), "mini")


def test_without_a_generator_there_is_no_point_and_no_going_on() -> None:
    pipe = built("mini")
    steps = list(pipe.render(portrait(), moves()[:9]))
    assert all(step.resume_point is None for step in steps)
    point = steps_of(pipe, "mini")[0].resume_point
    with pytest.raises(ValueError, match="generator"):
        list(pipe.render(portrait(), moves(), resume_from=point))


def wider(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, array], axis=-1)


def longer(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, array], axis=1)


def shorter(array: np.ndarray) -> np.ndarray:
    return array[:3]


def doubled(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("held", wider),
        ("held", longer),
        ("held", doubled),
        ("held", None),
        ("generator", shorter),
        ("generator", doubled),
        ("generator", None),
    ],
)
def test_arrays_that_do_not_fit_are_one_sentence(name: str, change: Callable | None) -> None:
    arrays = dict(first_point().arrays)
    array = arrays.pop(name)
    if change is not None:
        arrays[name] = change(array)
    refused(arrays=arrays)


@pytest.mark.parametrize(("name", "value"), [("window", 400), ("overlap", 4), ("tried", 9)])
def test_numbers_that_do_not_fit_are_one_sentence(name: str, value: int) -> None:
    numbers = first_point().numbers
    refused(numbers={**numbers, name: value})
    refused(numbers={other: number for other, number in numbers.items() if other != name})


def refused(**changes: dict) -> None:
    """Check that a changed point is refused."""
    with pytest.raises(InputError, match="do not fit this model .*start afresh"):
        steps_of(one_pipe(), "mini", replace(first_point(), **changes))


@cache
def one_pipe() -> AudioPoseSVDPipeline:
    return built("mini")


@cache
def first_point() -> ResumePoint:
    return steps_of(one_pipe(), "mini")[0].resume_point
