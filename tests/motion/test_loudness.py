"""The paper's loudness against planted ones: the RMS of each video frame, over the speaker's own."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.motion import loudness, prosody
from pipeline.values import Audio
from tests.helpers.voices import RATE, voice

FPS = 25
FRAME_SAMPLES = RATE // FPS


def steps(levels: np.ndarray) -> np.ndarray:
    """A tone whose amplitude is planted for every video frame; whole periods fill a frame."""
    time = np.arange(FRAME_SAMPLES) / RATE
    period = np.sin(2 * np.pi * 200 * time)
    return (levels[:, None] * period).ravel()


def talk(gain: float = 1.0) -> tuple[Audio, np.ndarray]:
    """Ten syllables of planted loudness with pauses between, and their levels (T,) per frame."""
    rng = np.random.default_rng(2)
    loud = rng.uniform(0.1, 1.0, (10, 1))
    levels = np.concatenate([np.full((10, 6), 1e-4), np.tile(loud, 6)], 1).ravel()
    return Audio((gain * steps(levels)).astype(np.float32), RATE), levels


def test_rms_is_that_of_each_frame() -> None:
    levels = np.array([0.2, 0.8, 0.1, 1.0, 0.4])
    found = loudness.frame_rms(steps(levels), FRAME_SAMPLES, RATE // 100)
    centers = found[2::4][: len(levels)]  # 20 ms, 60 ms, ...: the middles of the frames
    assert centers == pytest.approx(levels / np.sqrt(2), rel=1e-6)
    assert len(found) == len(levels) * 4 + 1 and np.isfinite(found).all()


def test_the_weight_is_the_papers_between_quiet_and_loud_frames() -> None:
    rms = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    speaking = rms > 0
    low, high = np.quantile(rms[speaking], (0.10, 0.95))
    expected = np.clip((rms - low) / (high - low), 0, 1)
    assert loudness.loudness_weight(rms, speaking) == pytest.approx(expected)
    assert not loudness.loudness_weight(np.full(4, 0.3), np.ones(4, bool)).any()


def test_the_intensity_of_a_talk_is_its_planted_loudness() -> None:
    audio, levels = talk()
    found = prosody.analyse(audio, FPS, "loudness")
    speaking = levels > 0.01
    low, high = np.quantile(levels[speaking], (0.10, 0.95))
    planted = np.clip((levels - low) / (high - low), 0, 1)
    inner = speaking & np.roll(speaking, 1) & np.roll(speaking, -1)
    assert np.abs(found.intensity - planted)[inner].max() < 0.05
    assert found.intensity[levels < 0.01].max() < 0.05
    assert np.corrcoef(found.intensity, planted)[0, 1] > 0.99
    assert found.excitation[levels < 0.01].mean() < found.excitation[speaking].mean() - 0.1


@pytest.mark.parametrize("gain", [0.01, 0.3])
def test_the_gain_of_the_recording_does_not_matter(gain: float) -> None:
    plain = prosody.analyse(talk()[0], FPS, "loudness")
    quiet = prosody.analyse(talk(gain)[0], FPS, "loudness")
    assert quiet.intensity == pytest.approx(plain.intensity, abs=1e-4)
    assert quiet.excitation == pytest.approx(plain.excitation, abs=1e-4)


@pytest.mark.parametrize("fps", [12.5, 24, 29.97, 60])
def test_frames_follow_the_rate(fps: float) -> None:
    found = prosody.analyse(voice(3.1), fps, "loudness")
    assert len(found) == voice(3.1).frames(fps) and np.isfinite(found.excitation).all()
    assert found.intensity.max() == 1 and found.intensity.min() == 0


def test_pitch_is_not_heard() -> None:
    high = prosody.analyse(voice(gain_db=0.0, pitch_rise=7.0), FPS, "loudness")
    flat = prosody.analyse(voice(gain_db=0.0, pitch_rise=0.0), FPS, "loudness")
    full = [
        prosody.analyse(voice(gain_db=0.0, pitch_rise=rise), FPS).intensity for rise in (7.0, 0.0)
    ]
    heard = np.abs(full[0] - full[1]).mean()
    assert np.abs(high.intensity - flat.intensity).mean() < 0.5 * heard


def test_what_is_not_speech_has_no_intensity() -> None:
    rng = np.random.default_rng(1)
    noise = Audio((0.1 * rng.standard_normal(6 * RATE)).astype(np.float32), RATE)
    for sound in (noise, Audio(np.zeros(RATE, np.float32), RATE)):
        assert not prosody.analyse(sound, FPS, "loudness").intensity.any()
