"""The report of `evaluate motion`: planted gestures that follow the speech, controls, broken
refocusing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from pipeline.evaluation import motion
from pipeline.evaluation.metrics import correlation, gestures, refocus_effect
from pipeline.evaluation.motion import table
from pipeline.evaluation.report import Report, Row
from pipeline.media import write_audio
from pipeline.motion.refocus import refocus
from pipeline.studio.cli import main
from pipeline.values import Audio, Keypoints
from tests.helpers.motions import as_motion
from tests.helpers.stick_person import planted

FPS, FRAMES = 25.0, 250


def speech_like(seed: int) -> np.ndarray:
    """(250,) intensity: syllable groups of random length and height with pauses between them."""
    rng = np.random.default_rng(seed)
    steps = np.repeat(rng.uniform(0, 1, 40) * (rng.random(40) > 0.3), rng.integers(5, 14, 40))[
        :FRAMES
    ]
    return gaussian_filter1d(steps, 4.0)


def plant(count: int = 20) -> list[correlation.Pair]:
    """Skeletons, trembling like detected ones, that know nothing of the speech they are paired
    with."""
    made = []
    for k in range(count):
        p, pose = speech_like(k), planted(FRAMES, seed=k, scale=110.0)
        excitation = np.clip(1.4 * p - 0.7, -1, 1)
        noise = np.random.default_rng(k).normal(0, 0.004, pose.body.xy.shape)
        pose = replace(pose, body=Keypoints(pose.body.xy + noise, pose.body.score))
        made.append(
            correlation.Pair(
                replace(as_motion(pose, excitation), intensity=p), excitation, str(k), FRAMES
            )
        )
    return made


@pytest.fixture(scope="module")
def pairs() -> list[correlation.Pair]:
    return plant()


def by_name(report: Report) -> dict[str, dict]:
    return {row.name: row.to_dict() for row in report.rows}


def patch_refocus(monkeypatch, work) -> None:
    monkeypatch.setattr(refocus_effect, "refocus", work)
    monkeypatch.setattr(table, "refocus", work)


@pytest.fixture(scope="module")
def whole(pairs) -> Report:
    return motion.evaluate(pairs)


def test_a_sound_refocus_passes_every_row(whole):
    assert [row.name for row in whole.rows if row.passed is False] == [] and whole.passed
    assert whole.facts == {"pairs": 20, "seconds": 200} and whole.definition == 1
    found = by_name(whole)
    assert (
        found["identity at 0"]["value"] == 0 and found["feet, knees and hips moved"]["value"] == 0
    )
    assert (
        found["speed-intensity r, rise at 2"]["value"]
        > found["speed-intensity r, rise at 1"]["value"]
    )
    assert abs(found["speed-intensity r at 0"]["value"]) < 0.1
    assert all(row.level is not None or row.passed is None for row in whole.rows)
    printed = whole.to_dict()
    assert json.loads(json.dumps(printed, allow_nan=False)) == printed


def test_shuffled_speech_gives_no_rise_and_the_own_speech_would_fail_that_row(pairs, whole):
    row = by_name(whole)["rise at 1 by shuffled speech"]
    assert row["pass"] and abs(row["value"]) <= 0.05
    own = table.rise_with(pairs, lambda pair: [pair.motion.excitation])
    assert own == pytest.approx(by_name(whole)["speed-intensity r, rise at 1"]["value"])
    assert not Row("control", own, 0.05, "|x| <=").passed


def test_planted_gestures_that_follow_the_speech_stand_out_from_the_null(pairs):
    """An arm whose turn speeds up with the intensity; the same arm against another moment of the
    speech."""
    follow, stray = [], []
    for k, pair in enumerate(pairs):
        p = pair.motion.intensity
        angle = np.sin(2 * np.pi * np.cumsum(0.5 + 2 * p) / FPS)
        body = pair.motion.pose.body.xy.copy()
        body[:, 4, 0] = 0.3 + 0.1 * np.cos(angle + k)
        body[:, 4, 1] = 0.6 + 0.1 * np.sin(angle + k)
        pose = replace(pair.motion.pose, body=Keypoints(body, pair.motion.pose.body.score))
        follow.append(gestures.speed(pose))
        stray.append(np.roll(follow[-1], 60 + 3 * k))
    r, z = correlation.pooled_correlation(pairs, follow)
    assert r > 0.3 and z > 6
    r, z = correlation.pooled_correlation(pairs, stray)
    assert abs(r) < 0.1 and abs(z) < 3


def broken(change):
    """A refocus whose result `change(xy (T,18,2), strength)` spoils."""

    def work(motion, strength, *rest, **options):
        after = refocus(motion, strength, *rest, **options)
        body = after.pose.body
        spoilt = Keypoints(change(body.xy.copy(), strength), body.score)
        return replace(after, pose=replace(after.pose, body=spoilt))

    return work


def stretched(xy, strength):
    xy[:, 4] = xy[:, 3] + (xy[:, 4] - xy[:, 3]) * (1 + 0.01 * strength)
    return xy


def slid(xy, strength):
    xy[:, 10, 0] += 0.001 * strength
    return xy


def thrown(xy, strength):
    xy[7, 4] = (1.2, 0.5) if strength else xy[7, 4]
    return xy


def shaken(xy, strength):
    xy[:, [4, 7]] += 0.03 * strength * (np.arange(len(xy)) % 2)[:, None, None]
    return xy


def offset(xy, strength):
    return xy + 1e-4


def lost(xy, strength):
    xy[3, 4] = np.nan if strength else xy[3, 4]
    return xy


@pytest.mark.parametrize(
    "change, row",
    [
        (stretched, "bone drift, limbs"),
        (lost, "bone drift, limbs"),
        (slid, "feet, knees and hips moved"),
        (thrown, "points newly outside the frame"),
        (shaken, "jerk ratio at 1"),
        (shaken, "jerk ratio at 1, 99th percentile"),
        (offset, "identity at 0"),
    ],
)
def test_a_broken_refocus_fails_its_row(pairs, monkeypatch, change, row):
    patch_refocus(monkeypatch, broken(change))
    monkeypatch.setattr(table, "effect_rows", lambda pairs, slider: [])
    found = motion.evaluate(pairs[:2])
    assert by_name(found)[row]["pass"] is False and not found.passed


def test_a_refocus_that_does_nothing_fails_the_effects(pairs, monkeypatch):
    patch_refocus(monkeypatch, lambda motion, *rest, **options: motion)
    found = by_name(motion.evaluate(pairs))
    failed = {name for name, row in found.items() if row["pass"] is False}
    assert {"speed-intensity r, rise at 1", "speed-intensity r, rise at 2"} <= failed
    assert {
        "on/off ratio at 1 over that at 0",
        "monotone in the slider, smallest step of r",
    } <= failed
    assert found["bone drift, limbs"]["pass"]


def test_a_late_refocus_fails_the_lag(pairs, monkeypatch):
    def late(motion, strength, *rest, **options):
        moved = replace(motion, excitation=np.roll(motion.excitation, 4))
        return replace(refocus(moved, strength, *rest, **options), excitation=motion.excitation)

    patch_refocus(monkeypatch, late)
    monkeypatch.setattr(table, "effect_rows", lambda pairs, slider: [])
    row = by_name(motion.evaluate(pairs[:8]))["lag at 1, frames"]
    assert row["value"] in (3, 4, 5) and row["pass"] is False


def test_few_pairs_are_not_judged_by_their_effect(pairs):
    found = motion.evaluate(pairs[:1])
    assert "too few" in found.notes[0]
    assert by_name(found)["speed-intensity r, rise at 1"]["level"] is None
    assert by_name(found)["bone drift, limbs"]["pass"] is True


def test_shifts_of_the_null_keep_clear_of_a_looped_sound(pairs):
    looped = replace(pairs[0], period=80)
    for pair, repeats in ((pairs[0], (0, FRAMES)), (looped, (0, 80, FRAMES))):
        shifts = correlation.allowed_shifts(pair)
        assert len(shifts) and min(abs(k - r) for k in shifts for r in repeats) >= FPS


def voice(path: Path, seconds: float = 5.0) -> str:
    """Bursts of a buzzing tone, loud and soft, with pauses."""
    t = np.arange(int(16000 * seconds)) / 16000
    level = np.abs(np.sin(2.1 * t) * np.sin(5.3 * t)) * (np.sin(1.3 * t) > -0.5)
    buzz = sum(np.sin(2 * np.pi * 120 * h * t) / h for h in range(1, 12))
    write_audio(path, Audio((0.2 * level * buzz).astype(np.float32), 16000))
    return str(path)


def test_command_reads_files_and_its_exit_code_follows_the_rows(tmp_path, capsys, monkeypatch):
    pose = tmp_path / "pose.npz"
    planted(100, scale=110.0).save(pose)
    words = [
        "evaluate",
        "motion",
        "--poses",
        str(pose),
        "--speech",
        voice(tmp_path / "v.wav"),
        "--starts",
        "1",
    ]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["pairs"] == 1 and printed["seconds"] == 10 and printed["pass"] is True
    assert {"name", "value", "level", "pass"} <= printed["rows"][0].keys()
    timed = [row for row in printed["rows"] if row["name"].endswith("frames/s, seconds")]
    assert [row["level"] for row in timed] == [1.0, 0.05] and all(row["value"] > 0 for row in timed)
    patch_refocus(monkeypatch, broken(stretched))
    assert main(words) == 1
    assert "bone drift, limbs" in (out := capsys.readouterr().out) and "FAIL" in out


def test_bad_input_is_one_sentence(tmp_path, capsys):
    pose, still, blind, sound = (
        tmp_path / n for n in ("pose.npz", "still.npz", "blind.npz", "v.wav")
    )
    planted(100).save(pose)
    planted(5).save(still)
    seen = planted(50)
    score = seen.body.score.copy()
    score[:, [4, 7]] = 0
    replace(seen, body=Keypoints(seen.body.xy, score)).save(blind)
    voice(sound)
    short, quiet = tmp_path / "short.wav", tmp_path / "quiet.wav"
    voice(short, 1.0)
    write_audio(quiet, Audio(np.zeros(80000, np.float32), 16000))
    for poses, speech, words in (
        (tmp_path / "none.npz", sound, "none.npz"),
        (still, sound, "at least one second"),
        (blind, sound, "never shows a wrist"),
        (pose, short, "at least 3 s"),
        (pose, quiet, "holds no speech"),
        (pose, tmp_path / "none.wav", "none.wav"),
    ):
        assert main(["evaluate", "motion", "--poses", str(poses), "--speech", str(speech)]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    assert main(["evaluate", "motion", "--starts", "0"]) == 2
    assert main(["evaluate", "motion", "--dance"]) == 2
    assert main(["evaluate"]) == 2
    assert capsys.readouterr().err.count("error: ") == 3
