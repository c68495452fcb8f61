"""Prosody against planted answers: accents put at known moments, gains, silence, tones and
noise."""

import numpy as np
import pytest

from pipeline.motion import prosody
from pipeline.values import Audio
from tests.helpers.processor_time import units
from tests.helpers.voices import ACCENTS, PAUSE, RATE, SYLLABLES, voice


def noise(seconds=6.0, level=0.1) -> Audio:
    return Audio(
        (level * np.random.default_rng(1).standard_normal(round(seconds * RATE))).astype(
            np.float32
        ),
        RATE,
    )


def tone(seconds=6.0, hertz=200.0) -> Audio:
    return Audio(
        (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype("f"),
        RATE,
    )


@pytest.fixture(scope="module")
def spoken() -> prosody.Prosody:
    return prosody.analyse(voice(), 25)


def at(curve: np.ndarray, seconds: float) -> float:
    return float(curve[int(seconds * 25)])


def test_planted_accents_are_found_where_they_are(spoken):
    strongest = spoken.accents[np.argsort(-spoken.accents[:, 1])][: len(ACCENTS)]
    assert np.abs(np.sort(strongest[:, 0]) - ACCENTS).max() <= 0.08
    assert (np.diff(spoken.accents[:, 0]) >= prosody.ACCENT_SECONDS - 1e-9).all()
    assert ((spoken.accents[:, 1] > 0) & (spoken.accents[:, 1] <= 1)).all()


def test_accents_exceed_plain_speech_and_pauses_are_empty(spoken):
    accents = np.mean([at(spoken.intensity, a) for a in ACCENTS])
    plain = np.mean([at(spoken.intensity, s) for s in SYLLABLES[10:12]])
    pause = spoken.intensity[int(3.9 * 25) : int(4.3 * 25)]
    assert accents > plain + 0.3 and plain > 0.1 and pause.max() < 0.02
    assert (
        spoken.excitation[int(4.1 * 25)] < -0.9
        and min(at(spoken.excitation, a) for a in ACCENTS) > 0.15
    )
    assert spoken.speech[int(4.1 * 25)] < 0.1 and at(spoken.speech, ACCENTS[0]) > 0.9


def test_ranges_and_lengths(spoken):
    assert len(spoken) == voice().frames(25) == len(spoken.excitation) == len(spoken.speech)
    assert spoken.intensity.min() >= 0 and spoken.intensity.max() <= 1
    assert (
        np.abs(spoken.excitation).max() <= 1
        and spoken.speech.min() >= 0
        and spoken.speech.max() <= 1
    )


@pytest.mark.parametrize("decibels", [-40, -12, 12])
def test_gain_does_not_matter(spoken, decibels):
    loud = Audio((voice().samples * 10 ** (decibels / 20)).astype(np.float32), RATE)
    assert np.abs(prosody.analyse(loud, 25).intensity - spoken.intensity).max() < 1e-4


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_rate_of_the_recording_hardly_matters(spoken, rate):
    assert (
        np.corrcoef(prosody.analyse(voice(rate=rate), 25).intensity, spoken.intensity)[0, 1] > 0.97
    )


def test_no_lag(spoken):
    """Sound that starts 10 frames later gives the same curve 10 frames later, best at exactly that
    shift."""
    late = Audio(np.concatenate([np.zeros(6400, np.float32), voice().samples]), RATE)
    curve = prosody.analyse(late, 25).intensity
    scores = [
        np.corrcoef(curve[k : k + 200], spoken.intensity)[0, 1]
        for k in range(6, 15)
        if k + 200 <= len(curve)
    ]
    assert 6 + int(np.argmax(scores)) == 10 and max(scores) > 0.98


@pytest.mark.parametrize(
    "sound",
    [
        Audio(np.zeros(80000, np.float32), RATE),
        Audio(np.full(80000, 0.4, np.float32), RATE),
        noise(),
        noise(level=1e-4),
        noise(0.6),
        tone(),
        tone(0.6),
        tone(hertz=50.0),
        tone(hertz=1000.0),
        Audio(np.ones(1600, np.float32), RATE),
    ],
    ids=[
        "silence",
        "offset",
        "noise",
        "faint noise",
        "short noise",
        "tone",
        "short tone",
        "hum",
        "whistle",
        "0.1 s",
    ],
)
def test_what_is_not_speech_has_no_intensity(sound):
    result = prosody.analyse(sound, 25)
    assert result.intensity.max() == 0 and not result.excitation.any() and len(result.accents) == 0
    assert result.speech.max() == 0 and len(result) == sound.frames(25)


def test_loudness_mode_ignores_pitch():
    """Accents that only rise in pitch stand out in the blend, not in the loudness."""
    sound = voice(gain_db=0.0, pitch_rise=7.0)
    blend, rms = prosody.analyse(sound, 25), prosody.analyse(sound, 25, mode="rms")
    plain = [
        s
        for s in SYLLABLES
        if min(abs(s - a) for a in ACCENTS) > 0.2 and not PAUSE[0] < s < PAUSE[1]
    ]

    def contrast(curve):
        return np.mean([at(curve, a) for a in ACCENTS]) - np.mean([at(curve, s) for s in plain])

    assert contrast(blend.intensity) > contrast(rms.intensity) + 0.1


def test_noise_under_speech_changes_little(spoken):
    samples = voice().samples
    hiss = np.random.default_rng(3).standard_normal(len(samples)) * samples.std() * 10 ** (-20 / 20)
    noisy = prosody.analyse(Audio((samples + hiss).astype(np.float32), RATE), 25)
    assert np.corrcoef(noisy.intensity, spoken.intensity)[0, 1] > 0.9


@pytest.mark.parametrize("fps", [12.5, 24, 25, 29.97, 60])
def test_frames_follow_the_rate(fps):
    sound = voice(3.1)
    assert len(prosody.analyse(sound, fps)) == sound.frames(fps)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="mode"):
        prosody.analyse(voice(1.0), 25, mode="loud")
    with pytest.raises(ValueError, match="fps"):
        prosody.analyse(voice(1.0), 0)
    with pytest.raises(ValueError, match="empty"):
        prosody.analyse(Audio(np.zeros(0, np.float32), RATE), 25)
    with pytest.raises(ValueError, match="finite"):
        prosody.analyse(Audio(np.array([0.0, np.nan] * 4000, np.float32), RATE), 25)


def test_ten_seconds_cost_little():
    sound = voice(10.0)
    assert units(lambda: prosody.analyse(sound, 25)) <= 6  # 2.4 measured


def test_real_speech_and_its_pauses(shared):
    from pipeline.media import read_audio

    result = prosody.analyse(
        read_audio(shared / "media" / "speech" / "a01_male_jfk_loud_PD.flac"), 25
    )
    assert 8 <= len(result.accents) <= 20
    assert (
        result.intensity.max() == 1 and (result.intensity < 0.02).mean() > 0.1
    )  # Kennedy's long pauses
    assert result.excitation.max() > 0.5 and result.excitation.min() < -0.95
