"""Cuts are found where they were planted; movement and flashes are none."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.data import shots
from pipeline.values import Video
from tests.helpers.filmed_people import pictures


def found(frames: np.ndarray, fps: float = 25) -> list[tuple[int, int]]:
    chunks = iter([frames[:10], frames[10:]])
    return [(shot.start, shot.stop) for shot in shots.find_shots(Video(chunks, fps))]


def test_cuts_are_found_to_the_frame() -> None:
    frames = np.concatenate([pictures(14, 1), pictures(20, 2), pictures(9, 3)])
    assert found(frames) == [(0, 14), (14, 34), (34, 43)]


def test_movement_is_no_cut() -> None:
    assert found(pictures(40, 1)) == [(0, 40)]
    smooth = np.add.outer(np.arange(200), np.arange(200)).astype(np.uint8)[..., None].repeat(3, 2)
    pan = np.stack([smooth[t : t + 100, t : t + 100] for t in range(60)])
    assert found(pan) == [(0, 60)]


def test_a_flash_does_not_begin_a_shot_of_its_own() -> None:
    frames = pictures(30, 1)
    frames[15] = 255
    assert all(stop - start > 1 for start, stop in found(frames))


def test_a_clip_without_frames_has_no_shots() -> None:
    assert shots.find_shots(Video(iter([]), 25)) == []


@pytest.mark.parametrize("frames, most, count", [(10, 10, 1), (11, 10, 2), (100, 30, 4), (1, 9, 1)])
def test_long_shots_are_split_evenly(frames: int, most: int, count: int) -> None:
    pieces = shots.split(slice(5, 5 + frames), most)
    lengths = [piece.stop - piece.start for piece in pieces]
    assert len(pieces) == count and sum(lengths) == frames
    assert max(lengths) <= most and max(lengths) - min(lengths) <= 1
    assert pieces[0].start == 5 and pieces[-1].stop == 5 + frames
