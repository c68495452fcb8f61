"""How planted mouths move and fit their sound in `evaluate mini`, and the network behind
sync_c_mini."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from pipeline.evaluation.mini import lip_table
from pipeline.evaluation.mini.figures import Figures
from pipeline.models import sync_mini
from pipeline.models.sync_mini import Verdict
from pipeline.training import train_sync
from pipeline.training.data import talks
from pipeline.values import Audio
from tests.helpers.tiny import speech

WORDS = [("sil", 0.0, 0.64)]
WORDS += [
    (name, 0.64 + 0.16 * k, 0.80 + 0.16 * k)
    for k, name in enumerate(["p", "aa", "b", "ae", "m", "ay"] * 4)
]
WORDS += [("pau", 4.48, 4.6), ("sil", 4.6, 4.8)]
WIDTHS = np.random.default_rng(0).uniform(0.6, 1.0, 24)


def spoken() -> np.ndarray:
    """(120,) openings that are wide in the vowels of `WORDS`, shut in p b m and still in its
    pauses."""
    time = (np.arange(120) + sync_mini.PHASE) / 25
    gap = np.zeros(120)
    for (name, start, end), width in zip(WORDS[1:-2], WIDTHS, strict=True):
        if name not in "pbm":
            gap += 0.15 * width * np.exp(-(((time - (start + end) / 2) / 0.06) ** 2))
    return gap


def talk(confidence: float = 0.6, offset: int = 0, **gaps: np.ndarray) -> Figures:
    true = spoken()
    names = ("true", "truth", "result", "spoken")
    found = Figures(WORDS, openings=dict.fromkeys(names, true) | gaps)
    for name in lip_table.SYNC:
        good = name in names
        found.sync[name] = Verdict(confidence if good else 0.1, 0.7, offset if good else 7)
    return found


def rows_of(*found: Figures) -> dict:
    return {row.name: row for row in lip_table.rows(found)}


def failed(rows: dict) -> set[str]:
    return {name.split(":")[0] for name, row in rows.items() if row.passed is False}


def test_lateness_says_how_many_frames_a_mouth_is_behind():
    true = spoken()
    assert lip_table.lateness(true, true) == 0
    assert lip_table.lateness(np.roll(true, 3), true) == 3
    assert lip_table.lateness(np.roll(true, -2), true) == -2
    assert np.isnan(lip_table.lateness(np.full(120, 0.1), true))


def test_pauses_are_silences_of_which_neighbours_are_one():
    assert lip_table.pauses(WORDS) == [(0.0, 0.64), (4.48, 4.8)]
    still, moving = lip_table.stillness(spoken(), WORDS)
    assert still.value < 0.05 * moving.value and still.whole == 22  # 15 and 7 pairs of frames
    restless = spoken() + 0.02 * (np.arange(120) % 2)
    still, moving = lip_table.stillness(restless, WORDS)
    assert still.value == pytest.approx(0.02, rel=0.1)


def test_each_fault_of_a_mouth_fails_its_own_rows():
    good = rows_of(talk(), talk())
    assert failed(good) == set()
    assert sum(row.level is not None for row in good.values()) == 10
    true = spoken()
    assert failed(rows_of(talk(spoken=np.roll(true, 2)))) == {
        "mouth lag, median frames late",
        "mouth velocity r",
    }
    assert failed(rows_of(talk(spoken=0.5 * true))) == {
        "mouth amplitude over the truth's, at least"
    }
    assert failed(rows_of(talk(spoken=1.5 * true))) == {"mouth amplitude over the truth's, at most"}
    assert failed(rows_of(talk(spoken=0.25 * true))) == {
        "mouth amplitude over the truth's, at least",
        "open vowels in which the mouth opens",
    }
    twitching = true + 0.03 * (np.arange(120) % 2) * (np.arange(120) < 15)
    assert failed(rows_of(talk(spoken=twitching))) == {
        "mouth movement in pauses over that in speech"
    }
    scattered = [talk(spoken=np.roll(true, k)) for k in (-3, -3, 0, 3, 3)]
    assert "mouth lag, interquartile range in frames" in failed(rows_of(*scattered))
    assert "mouth lag, median frames late" not in failed(rows_of(*scattered))


def test_sync_rows_ask_for_confidence_and_time_of_the_result():
    other = talk()
    other.sync["spoken"] = Verdict(0.2, 1.2, 0)
    assert failed(rows_of(other)) == {"sync_c_mini"}
    other.sync["spoken"] = Verdict(0.6, 1.2, 2)
    assert failed(rows_of(other)) == {"sync_c_mini, share of talks within a frame"}
    other.sync["spoken"] = Verdict(0.5, 1.2, 1)
    other.sync["loud"] = Verdict(0.55, 1.2, 1)
    assert failed(rows_of(other)) == {"sync_c_mini, less the best baseline's"}


def test_what_the_read_truth_does_not_reach_is_not_asked_of_the_result():
    true = spoken()
    blurred = gaussian_filter1d(true, 4.0)
    rows = rows_of(talk(0.3, truth=blurred, spoken=blurred))
    speed, sync_row = (
        rows[f"mouth velocity r: {lip_table.RESULT}"],
        rows[f"sync_c_mini: {lip_table.RESULT}"],
    )
    assert speed.level is None and "does not reach" in speed.why and speed.value < 0.6
    assert (
        sync_row.level is None and sync_row.value == pytest.approx(0.3) and sync_row.passed is None
    )
    assert rows[f"mouth lag, median frames late: {lip_table.RESULT}"].passed is True


def test_without_read_mouths_every_row_is_null_with_its_reason():
    rows = rows_of(Figures(WORDS))
    assert len(rows) == len(rows_of(talk()))
    assert all(np.isnan(row.value) and row.why and row.passed is None for row in rows.values())


def test_the_shipped_network_finds_lateness_and_wrong_speech(shipped_talk):
    network, gap, audio = shipped_talk
    true = network.judge(gap, gap, audio)
    assert true.confidence > 0.45 and true.offset == 0
    late = network.judge(np.concatenate([gap[:3], gap[:-3]]), gap, audio)
    assert late.offset == 3 and late.confidence > 0.4
    early = network.judge(np.concatenate([gap[2:], gap[-2:]]), gap, audio)
    assert early.offset == -2
    for spoilt in (np.roll(gap, len(gap) // 2), np.full_like(gap, gap.mean()), gap[::-1]):
        assert network.judge(spoilt, gap, audio).confidence < 0.5 * true.confidence
    soft = network.judge(gaussian_filter1d(gap, 2.0), gap, audio)
    assert soft.confidence < 0.8 * true.confidence
    again = network.judge(3 * gap + 1, 3 * gap + 1, audio)
    assert again.confidence == pytest.approx(
        true.confidence, abs=1e-4
    )  # the truth's range is the unit


@pytest.fixture(scope="module")
def shipped_talk() -> tuple[sync_mini.SyncMini, np.ndarray, Audio]:
    """The shipped network, and a held-out talk's label of the lips' opening at 25 fps with its
    sound."""
    bank = talks.held_out()
    said = bank.talks[0]
    frames = int(said.seconds * 25)
    moments = (torch.arange(frames) + sync_mini.PHASE)[None] / 25
    gap = bank.cues(torch.tensor([0]), moments).gap[0].numpy()
    return sync_mini.shipped(), gap, Audio(said.samples.astype(np.float32) / 32767, 16000)


def test_the_shipped_network_is_small_and_frozen():
    size = sum(path.stat().st_size for path in sync_mini.FOLDER.iterdir())
    assert size < 1e6
    assert not any(p.requires_grad for p in sync_mini.shipped().parameters())


def test_windows_lie_around_the_moments_that_they_answer_for():
    samples = np.zeros(32000, np.float32)
    samples[16000:16080] = np.random.default_rng(0).standard_normal(80)  # a click after one second
    sound = sync_mini.sound_windows(Audio(samples, 16000), 40)
    assert sound.shape == (40, 40, 20)
    loud = sound[25].mean(0)  # this frame shows 1.01 s
    assert torch.nonzero(loud > 3).float().mean() == pytest.approx(9.25, abs=0.5)  # (1 - .91) / .01
    curve = np.arange(40.0)
    windows = sync_mini.mouth_windows(curve, np.linspace(0, 1, 101))
    assert windows.shape == (40, 5, 2)
    middle = sync_mini.mouth_windows(curve / 39, curve / 39)[20]
    assert middle[2, 0] == pytest.approx((20 / 39 - 0.02) / 0.96, abs=1e-3)
    assert middle[:, 1].numpy() == pytest.approx(np.full(5, 1 / 39 / 0.96), rel=1e-3)


def test_what_cannot_be_judged_is_refused():
    network = sync_mini.SyncMini().eval()
    with pytest.raises(ValueError, match="too short"):
        network.judge(np.zeros(10), np.zeros(10), speech(1.0))
    with pytest.raises(ValueError, match="as long as the frames"):
        network.judge(np.zeros(60), np.zeros(60), speech(1.0))


def test_training_learns_the_offset_from_drawn_mouths_alone():
    bank = talks.Bank(talks.held_out().talks[:4])  # which side of the split is no matter here
    known = train_sync.draw_lessons(bank, 0, 2)
    assert (
        4 <= len(known) <= 8
        and known[0].sound.shape[1:] == (40, 20)
        and known[0].mouth.shape[1:] == (5, 2)
    )
    network = train_sync.fit(known, 0, 40)
    with torch.no_grad():
        one, other = network(known[0].sound, known[0].mouth)
    near, far = (one * other).sum(1).mean(), (one * other.roll(12, 0)).sum(1).mean()
    assert near > far + 0.3
    again = train_sync.fit(known, 0, 40)
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True)
    )


def test_training_needs_a_folder_and_steps(tmp_path):
    from pipeline.studio.cli import main

    assert main(["train", "sync", "--out", str(tmp_path), "--steps", "0"]) == 2
