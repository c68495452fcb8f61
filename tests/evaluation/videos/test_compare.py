"""Two methods: a planted difference is told apart, equal methods are not."""

import numpy as np
import pytest

from pipeline.evaluation.videos import compare
from pipeline.evaluation.videos.clip import Figure
from pipeline.evaluation.videos.directions import direction
from pipeline.evaluation.videos.rows import ClipFigures
from pipeline.values import InputError

NAMES = ("AKD body", "HKC", "HKV_sw", "sync_c_mini", "PSNR, dB")
SEEDS = 400


def method(values: np.ndarray) -> list[ClipFigures]:
    """Clips with figures (clips, names)."""
    return [
        ClipFigures(
            f"clip{n}", 100, {name: Figure(v, 100, 1.0) for name, v in zip(NAMES, row, strict=True)}
        )
        for n, row in enumerate(values)
    ]


def figures(seed: int, clips: int = 12) -> np.ndarray:
    """Figures of one method: clips differ much, rows hang together."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=(clips, 1))
    return 5 + 2 * hard + rng.normal(size=(clips, len(NAMES)))


def test_a_planted_difference_is_told_apart_in_its_row_alone():
    first = figures(0)
    second = figures(1) - figures(2) + first  # equal but for noise
    second[:, 0] = first[:, 0] + 1 + 0.3 * np.random.default_rng(3).normal(size=12)
    rows = {row.name: row for row in compare.compare(method(first), method(second))}
    assert rows["AKD body"].verdict == "better"  # less is better
    assert rows["AKD body"].value == pytest.approx(-1, abs=0.3)
    low, high = rows["AKD body"].interval
    assert low < rows["AKD body"].value < high < 0
    assert {row.verdict for name, row in rows.items() if name != "AKD body"} == {
        "no difference found"
    }
    swapped = {row.name: row for row in compare.compare(method(second), method(first))}
    assert swapped["AKD body"].verdict == "worse"
    assert swapped["AKD body"].p == rows["AKD body"].p


@pytest.mark.parametrize("clips", [8, 20])
def test_equal_methods_are_told_apart_in_any_row_once_in_twenty(clips: int, monkeypatch):
    monkeypatch.setattr(compare, "DRAWS", 499)
    wrong = 0
    alone = 0
    for seed in range(SEEDS):
        differences = figures(2 * seed, clips) - figures(2 * seed + 1, clips)
        chances = compare.sign_flip_test(differences)
        wrong += any(chance.adjusted < compare.LEVEL for chance in chances)
        alone += chances[0].p < compare.LEVEL
    assert wrong / SEEDS <= 0.08  # .05 and three deviations of 400 seeds
    assert 0.02 <= alone / SEEDS <= 0.08


def test_eight_clips_are_enough_for_a_clear_difference_and_five_are_not():
    differences = figures(0, 8) - figures(1, 8)
    differences[:, 2] = 1 + 0.2 * np.random.default_rng(0).normal(size=8)
    chances = compare.sign_flip_test(differences)
    assert chances[2].p == pytest.approx(2 / 256) and chances[2].adjusted < compare.LEVEL
    few = compare.differences_of(differences[:5], NAMES)
    assert few[2].p is None and few[2].verdict == "fewer than 6 pairs"


def test_rows_without_a_direction_differ_and_missing_figures_are_left_out():
    first = figures(0)
    second = first + 0.01 * np.random.default_rng(0).normal(size=first.shape)
    second[:, 2] += 1
    second[3:, 4] = np.nan
    rows = {row.name: row for row in compare.compare(method(first), method(second))}
    assert rows["HKV_sw"].verdict == "differs" and direction("HKV_sw") == ""
    assert rows["PSNR, dB"].pairs == 3 and rows["PSNR, dB"].p is None


def test_methods_without_a_common_clip_are_refused():
    one = method(figures(0, 2))
    other = [ClipFigures("else", 100, one[0].figures)]
    with pytest.raises(InputError, match="no video of the same name"):
        compare.compare(one, other)
