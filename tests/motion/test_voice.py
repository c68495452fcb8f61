"""A voice is told from music, applause and noise."""

import numpy as np
import pytest

from pipeline import ROOT, media
from pipeline.motion.voice import voice_share
from pipeline.training.data.speech.augment import colored_noise
from pipeline.training.data.speech.music import music
from pipeline.values import Audio
from tests.helpers.voices import applause

RATE = 16000
LEAST = 0.3  # of speech; measured: 0.4 and more, music up to 0.25


@pytest.mark.parametrize("name", ["question", "weather", "lecture"])
@pytest.mark.parametrize("rate", [16000, 48000])
def test_speech_is_a_voice(name: str, rate: int) -> None:
    assert voice_share(media.read_audio(ROOT / f"assets/speech/{name}.wav", rate)) > LEAST


def test_a_quiet_voice_in_pauses_is_a_voice() -> None:
    speech = media.read_audio(ROOT / "assets/speech/question.wav").samples
    pause = np.zeros(RATE, np.float32)
    assert voice_share(Audio(np.concatenate([0.003 * speech, pause]), RATE)) > LEAST


def test_music_applause_noise_and_silence_are_none() -> None:
    sounds = [music(np.random.default_rng(seed), 5 * RATE) for seed in range(4)]
    sounds += [applause(5.0, people) for people in (1, 8, 60)]
    sounds += [colored_noise(np.random.default_rng(0), 5 * RATE)]
    sounds += [np.zeros(5 * RATE), np.zeros(10)]
    for sound in sounds:
        assert voice_share(Audio(np.asarray(sound, np.float32), RATE)) < LEAST / 2
