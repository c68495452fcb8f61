"""Music-like beds: repeatable, at the level asked for, in key, on the beat, of many kinds."""

import numpy as np
import pytest

from pipeline.training.data.speech import music

RATE = 16000


def level(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(sound, float) ** 2)))


def test_the_same_generator_gives_the_same_bed_and_beds_differ() -> None:
    first, again, other = (music.music(np.random.default_rng(seed), 3 * RATE) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.3


def test_beds_are_finite_of_unit_level_and_any_length() -> None:
    for seed in range(30):
        n = int(np.random.default_rng(seed).integers(1600, 4 * RATE))
        bed = music.music(np.random.default_rng(seed), n)
        assert bed.shape == (n,) and bed.dtype == np.float32 and np.isfinite(bed).all()
        assert level(bed) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", sorted(music.PLAYERS))
def test_every_player_is_heard(name: str) -> None:
    sheet = music.score(np.random.default_rng(0))
    out = np.zeros(4 * RATE, np.float32)
    music.PLAYERS[name](out, sheet, np.random.default_rng(1))
    assert np.isfinite(out).all() and level(out) > 0.01


def test_notes_have_their_pitch_and_no_aliases() -> None:
    sound = music.Timbre(0.5, 1.0, np.zeros(8), 0.005, 0.0, 0.0)
    for hertz in (82.4, 440.0, 2093.0):
        out = np.zeros(RATE, np.float32)
        sound.add(out, 0.0, 1.0, hertz, 1.0)
        power = np.abs(np.fft.rfft(out * np.hanning(RATE))) ** 2
        order = np.arange(1, int(RATE / 2 / hertz) + 1)
        on = np.zeros(len(power), bool)
        for centre in np.round(order * hertz).astype(int):
            on[max(0, centre - 6) : centre + 7] = True
        assert power[~on].sum() < 0.01 * power.sum()
        assert np.argmax(power[: int(1.5 * hertz)]) == pytest.approx(hertz, abs=2)


def test_a_note_that_began_before_the_crop_sounds_on() -> None:
    sound = music.Timbre(1.0, 1.0, np.zeros(8), 0.005, 0.0, 0.0)
    whole, late = np.zeros(RATE, np.float32), np.zeros(RATE // 2, np.float32)
    sound.add(whole, 0.0, 1.0, 220.0, 1.0)
    sound.add(late, -0.5, 1.0, 220.0, 1.0)
    assert np.array_equal(whole[RATE // 2 :], late)


def test_strokes_of_the_drums_fall_on_the_beat() -> None:
    sheet = music.Score(0.5, 0.0, 110.0, music.SCALES[0], (0,), 4)
    out = np.zeros(8 * RATE, np.float32)
    music.PLAYERS["drums"](out, sheet, np.random.default_rng(2))
    frames = np.abs(out.reshape(-1, 160)).max(1)
    rise = np.maximum(0, np.diff(frames, prepend=0.0))
    folded = rise.reshape(-1, 50).sum(0)  # 0.5 s of 10-ms frames
    on = sum(
        folded[int(round(k * 12.5)) % 50] + folded[(int(round(k * 12.5)) + 1) % 50]
        for k in range(4)
    )
    assert on > 0.5 * folded.sum()


@pytest.mark.parametrize("snr", [-3.0, 0.0, 12.0])
def test_the_bed_lies_as_far_under_the_voice_as_asked(snr: float) -> None:
    """The voice's level is that of its loud parts: pauses do not raise the bed."""
    rng = np.random.default_rng(0)
    voice = np.where(np.arange(2 * RATE) < RATE, 0.1, 0.0) * rng.standard_normal(2 * RATE)
    bed = music.music(rng, 2 * RATE)
    mixed = music.under(voice.astype(np.float32), bed, snr)
    added = mixed - voice
    assert 20 * np.log10(level(voice[:RATE]) / level(added)) == pytest.approx(snr, abs=0.1)
    assert np.corrcoef(added, bed)[0, 1] > 0.999


def test_under_silence_the_bed_plays_by_itself() -> None:
    bed = music.music(np.random.default_rng(0), RATE)
    assert level(music.under(np.zeros(RATE, np.float32), bed, 0.0)) == pytest.approx(0.1, rel=1e-3)
