"""Bootstrap intervals: their width, pairs, what has none; the commit that a report names."""

import subprocess

import numpy as np
import pytest

from pipeline.evaluation.metrics import bootstrap
from pipeline.evaluation.report import Row


def rows_of(first: list[tuple[float, float]], second: list[float]) -> list[Row]:
    a, b = np.array(first).T
    rare = [x for x in second if x > 0]
    return [
        Row("mean", float(a.mean())),
        Row("less", float((a - b).mean())),
        Row("other", float(np.mean(second))),
        Row("rare", float(np.mean(rare)) if rare else float("nan")),
        Row("none", float("nan"), why="nothing was measured"),
    ]


def test_an_interval_is_as_wide_as_the_clips_scatter():
    rng = np.random.default_rng(1)
    clip = rng.normal(10, 1, 40)
    found = bootstrap.bootstrap(
        ([*zip(clip, clip - 0.5, strict=True)], [1.0] * 5 + [0.0] * 5), rows_of
    )
    low, high = found["mean"]
    assert low < clip.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * clip.std() / 40**0.5, rel=0.1)
    assert found["less"] == pytest.approx(
        (0.5, 0.5)
    )  # the same clips in every draw: a paired difference
    assert found["other"][0] > 0.1 and found["other"][1] < 0.9
    assert found["none"] is None
    again = bootstrap.bootstrap(
        ([*zip(clip, clip - 0.5, strict=True)], [1.0] * 5 + [0.0] * 5), rows_of
    )
    assert again == found


def test_what_few_clips_hold_has_no_interval():
    clips = [(1.0, 0.0), (2.0, 0.0), (3.0, 0.0)]
    found = bootstrap.bootstrap((clips, [1.0] + [0.0] * 9), rows_of)
    assert (
        found["rare"] is None and found["mean"] is not None
    )  # a third of the draws lacks the only one
    assert bootstrap.bootstrap((clips[:2], [1.0] * 9), rows_of) == {}


def test_the_commit_is_that_of_the_checkout(tmp_path):
    assert bootstrap.commit(tmp_path) == (None, "the code does not lie in a git checkout")

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True,
                              text=True).stdout.strip()  # fmt: skip

    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "first")
    assert bootstrap.commit(tmp_path) == (git("rev-parse", "HEAD"), "")
    (tmp_path / "a").write_text("2")
    assert bootstrap.commit(tmp_path)[0] == git("rev-parse", "HEAD") + "-dirty"
