"""Edited accents against planted answers: what is removed, moved, added, strengthened, and what
must stay."""

import numpy as np
import pytest

from pipeline.motion import prosody
from pipeline.motion.accents import edit
from pipeline.motion.gestures.head import draw_head_motion
from pipeline.values import Audio
from tests.helpers.voices import ACCENTS, voice

FPS = 25.0


@pytest.fixture(scope="module")
def spoken() -> prosody.Prosody:
    return prosody.analyse(voice(), FPS)


def row_at(spoken, seconds) -> int:
    return int(np.argmin(np.abs(spoken.accents[:, 0] - seconds)))


def near(curve, seconds, reach=0.1) -> float:
    """The curve's highest value within `reach` of a moment."""
    rows = np.abs((np.arange(len(curve)) + 0.5) / FPS - seconds) <= reach
    return float(curve[rows].max())


def far(spoken, seconds) -> np.ndarray:
    """Rows more than 1.2 s away: 0.45 s of reach and what the 0.16 s smoothing of the excitation
    touches."""
    return np.abs((np.arange(len(spoken)) + 0.5) / FPS - seconds) > 1.2


def test_the_detected_list_changes_no_bit(spoken):
    for given in (spoken.accents, spoken.accents.round(3), spoken.accents[::-1]):
        same = edit(spoken, given)
        for name in ("intensity", "excitation", "accents", "speech"):
            assert np.array_equal(getattr(same, name), getattr(spoken, name)), name


def test_a_removed_accent_loses_its_peak(spoken):
    gone = row_at(spoken, ACCENTS[1])
    seconds = spoken.accents[gone, 0]
    less = edit(spoken, np.delete(spoken.accents, gone, 0))
    assert near(less.intensity, seconds) < 0.5 * near(spoken.intensity, seconds)
    assert near(less.excitation, seconds) < near(spoken.excitation, seconds) - 0.2
    assert (
        np.abs(prosody.detect_accents(less.curve.intensity)[:, 0] - seconds).min() == 0
    )  # the curve it came from stays
    away = far(spoken, seconds)
    assert np.array_equal(less.intensity[away], spoken.intensity[away])
    assert np.abs(less.excitation - spoken.excitation)[away].max() < 1e-9
    assert len(less.accents) == len(spoken.accents) - 1
    again = edit(
        less, spoken.accents
    )  # edits start from what was detected, so they can be taken back
    assert np.array_equal(again.intensity, spoken.intensity)


def test_without_accents_the_intensity_has_none(spoken):
    none = edit(spoken, np.zeros((0, 2)))
    for seconds, _ in spoken.accents:
        assert near(none.intensity, seconds, 0.04) <= near(spoken.intensity, seconds, 0.04) - 0.1


@pytest.mark.parametrize("strength", [0.5, 0.8])
def test_an_added_accent_in_a_pause_is_found_by_detection(spoken, strength):
    seconds = 4.1  # in the middle of the planted pause
    more = edit(spoken, np.vstack([spoken.accents, (seconds, strength)]))
    assert (
        near(spoken.intensity, seconds) < 0.02
        and abs(near(more.intensity, seconds) - strength) < 0.05
    )
    assert near(more.excitation, seconds) > near(spoken.excitation, seconds) + 0.3 * strength
    rate = prosody.SAMPLE_RATE / prosody.HOP_SAMPLES
    fine = np.interp(
        np.arange(len(more.curve.intensity)) / rate,
        (np.arange(len(more)) + 0.5) / FPS,
        more.intensity,
    )
    found = prosody.detect_accents(fine)
    hit = np.abs(found[:, 0] - seconds).argmin()
    assert abs(found[hit, 0] - seconds) <= 0.04 and abs(found[hit, 1] - strength) < 0.08
    away = far(spoken, seconds)
    assert np.array_equal(more.intensity[away], spoken.intensity[away])


def test_a_moved_accent_takes_the_peak_along(spoken):
    row = row_at(spoken, ACCENTS[2])
    moved = spoken.accents.copy()
    old, new = moved[row, 0], moved[row, 0] - 1.0
    moved[row, 0] = new
    out = edit(spoken, moved)
    assert near(out.intensity, old) < near(spoken.intensity, old) - 0.3
    assert near(out.intensity, new) > near(spoken.intensity, new) + 0.2
    assert (np.diff(out.accents[:, 0]) > 0).all()


def test_strength_is_followed_in_both_directions(spoken):
    row = int(np.argmax((spoken.accents[:, 1] < 0.7) & (spoken.accents[:, 1] > 0.2)))
    seconds, strength = spoken.accents[row]
    heights = []
    for change in (-0.1, 0.0, 0.15):
        table = spoken.accents.copy()
        table[row, 1] = strength + change
        out = edit(spoken, table)
        heights.append(near(out.intensity, seconds, 0.04))
        assert out.accents[row, 1] == table[row, 1]
    assert abs(heights[1] - heights[0] - 0.1) < 0.03 and abs(heights[2] - heights[1] - 0.15) < 0.04


def test_strength_zero_is_removal(spoken):
    table = spoken.accents.copy()
    table[0, 1] = 0
    assert (
        near(edit(spoken, table).intensity, table[0, 0], 0.04)
        <= near(edit(spoken, spoken.accents[1:]).intensity, table[0, 0], 0.04) + 1e-9
    )


def test_ranges_hold_for_random_lists(spoken):
    rng = np.random.default_rng(0)
    for _ in range(20):
        count = int(rng.integers(0, 30))
        out = edit(spoken, np.column_stack([rng.uniform(0, 8, count), rng.uniform(0, 1, count)]))
        assert len(out) == len(spoken) and out.intensity.min() >= 0 and out.intensity.max() <= 1
        assert np.abs(out.excitation).max() <= 1 and np.isfinite(out.excitation).all()


def test_accents_put_into_a_sound_without_speech():
    still = prosody.analyse(Audio(np.zeros(48000, np.float32), 16000), FPS)
    out = edit(still, np.array([(1.5, 0.8)]))
    assert abs(near(out.intensity, 1.5) - 0.8) < 0.05 and near(out.excitation, 1.5) > 0.2
    assert out.excitation.min() >= 0 and np.array_equal(
        edit(still, still.accents).excitation, still.excitation
    )


def test_nods_follow(spoken):
    """A pause of the prior's head motion gets a nod where an accent is put, and nothing changes
    before it."""
    more = edit(spoken, np.vstack([spoken.accents, (7.5, 1.0)]))
    heads = [draw_head_motion(p, len(p), FPS, np.random.default_rng(3)) for p in (spoken, more)]
    change = np.abs(heads[0].angles - heads[1].angles)
    assert (
        change[int(7.4 * FPS) : int(7.7 * FPS)].max() > 0.5 and change[: int(7.0 * FPS)].max() == 0
    )


NAN = float("nan")
BAD = [((-1, 0.5), "times"), ((99, 0.5), "times"), ((1, 1.5), "strength"), ((1, NAN), "strength")]


@pytest.mark.parametrize(("accent", "word"), [*BAD, ((NAN, 1), "times")])
def test_bad_accents_are_refused(spoken, accent, word):
    with pytest.raises(ValueError, match=word):
        edit(spoken, np.array([accent]))
