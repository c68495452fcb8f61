"""windows: every frame is covered, neighbors overlap, the last window ends with the clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.windows import plan_windows, triangular_weights


@st.composite
def clips(draw):
    size = draw(st.integers(1, 80))
    return draw(st.integers(1, 400)), size, draw(st.integers(0, size - 1))


@given(clips())
def test_windows_cover_the_clip_and_overlap(case):
    frames, size, overlap = case
    windows = plan_windows(frames, size, overlap)
    assert windows[0][0] == 0 and windows[-1][1] == frames
    assert all(stop - start == min(size, frames) for start, stop in windows)
    shared = [before[1] - after[0] for before, after in zip(windows, windows[1:], strict=False)]
    assert all(before[0] < after[0] for before, after in zip(windows, windows[1:], strict=False))
    assert shared[:-1] == [overlap] * len(shared[:-1]) and all(overlap <= s < size for s in shared)


def test_last_window_is_moved_back():
    assert plan_windows(30, 14, 4) == [(0, 14), (10, 24), (16, 30)]
    assert plan_windows(24, 14, 4) == [(0, 14), (10, 24)]
    assert plan_windows(5, 14, 4) == [(0, 5)]


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ((0, 14, 4), "clip of 0 frames.*at least 1"),
        ((30, 0, 0), "`window` is 0 frames.*at least 1"),
        ((30, 14, 14), "`overlap` is 14 frames.*0 to 13"),
        ((30, 14, -1), "`overlap` is -1 frames.*0 to 13"),
    ],
)
def test_senseless_numbers_are_refused(case, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan_windows(*case)


@pytest.mark.parametrize("size", [1, 2, 7, 14, 24])
def test_weights_are_a_positive_symmetric_triangle(size):
    w = triangular_weights(size)
    assert w.shape == (size,) and w.min() > 0 and w.max() <= 1
    np.testing.assert_allclose(w, w[::-1])
    assert (np.diff(w[: (size + 1) // 2]) > 0).all()


def test_weights_refuse_an_empty_window():
    with pytest.raises(ValueError, match="`window` is 0 frames"):
        triangular_weights(0)
