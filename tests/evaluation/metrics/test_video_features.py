"""Videos are cut into clips as the rule says."""

import numpy as np
import pytest

from pipeline.evaluation.metrics.frechet import RunningStatistics
from pipeline.evaluation.metrics.video_features import (
    ClipRule,
    add_clips,
    add_pictures,
    clips,
    fid_statistics,
    fvd_statistics,
    square,
)
from pipeline.values import InputError


def video(frames: int):
    """Gray frames whose level is their number."""
    return (np.full((250, 240, 3), level, np.uint8) for level in range(frames))


def numbers(clip: np.ndarray) -> list[int]:
    return np.rint((clip[:, 0, 0, 0] + 1) / 2 * 255).astype(int).tolist()


@pytest.mark.parametrize(
    ("stride", "starts"), [(9, [0, 9, 18]), (4, [0, 4, 8, 12, 16, 20]), (11, [0, 11])]
)
def test_clips_start_every_stride(stride, starts):
    found = list(clips(video(29), ClipRule(9, stride)))
    assert [numbers(clip) for clip in found] == [list(range(s, s + 9)) for s in starts]
    assert found[0].shape == (9, 224, 224, 3) and found[0].dtype == np.float32


def test_a_video_that_is_too_short_gives_no_clip():
    assert list(clips(video(15), ClipRule())) == []


def test_the_middle_is_cut_out_and_colors_reach_from_minus_1_to_1():
    frame = np.zeros((300, 600, 3), np.uint8)
    frame[:, 300:] = 255
    made = square(frame)
    assert made.shape == (224, 224, 3)
    assert made[:, 0].max() == -1 and made[:, -1].min() == 1
    assert abs((made > 0).mean() - 0.5) < 0.01


@pytest.mark.parametrize(("frames", "stride"), [(8, 8), (16, 0)])
def test_rules_that_cannot_be_measured_are_refused(frames, stride):
    with pytest.raises(InputError, match="at least 9 frames"):
        ClipRule(frames, stride)


def test_the_rule_is_told_in_words():
    assert ClipRule(16, 8).words.startswith("clips of 16 frames every 8, shorter side to 224")


class Means:
    """A network whose features are means."""

    def features(self, values) -> np.ndarray:
        return np.array([[np.mean(value), 1.0] for value in values])


def test_features_are_collected_without_being_kept():
    statistics = RunningStatistics(2)
    assert add_clips(statistics, Means(), video(40), ClipRule(9, 9)) == 4
    assert statistics.count == 4
    statistics = RunningStatistics(2)
    assert add_pictures(statistics, Means(), video(21)) == 21
    assert statistics.count == 21 and statistics.mean[0] == pytest.approx(10)


def test_statistics_have_the_sizes_of_the_networks():
    assert len(fid_statistics().mean) == 2048
    assert len(fvd_statistics().mean) == 400
