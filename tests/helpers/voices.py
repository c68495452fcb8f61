"""Synthetic voices: one whose accents and pause are planted at known moments, and a babble."""

import numpy as np

from pipeline.values import Audio

RATE = 16000
SYLLABLES = np.arange(0.3, 7.7, 0.22)
ACCENTS = (1.18, 2.94, 5.36, 6.90)  # members of SYLLABLES (to 10 ms)
PAUSE = (3.6, 4.6)


def voice(
    seconds: float = 8.0, rate: int = RATE, pitch_rise: float = 5.0, gain_db: float = 9.0
) -> Audio:
    """Syllables of a buzzing 120 Hz voice every 220 ms, the accented ones louder and higher; one
    pause."""
    t = np.arange(round(seconds * rate)) / rate
    envelope, semitones = np.full(len(t), 1e-4), np.zeros(len(t))
    for centre in SYLLABLES[seconds - 0.2 > SYLLABLES]:
        if PAUSE[0] < centre < PAUSE[1]:
            continue
        accent = min(abs(centre - a) for a in ACCENTS) < 0.02
        bump = np.exp(-0.5 * ((t - centre) / 0.045) ** 2)
        envelope += bump * (10 ** (gain_db / 20) if accent else 1.0)
        semitones += accent * pitch_rise * np.exp(-0.5 * ((t - centre) / 0.1) ** 2)
    phase = 2 * np.pi * np.cumsum(120 * 2 ** (semitones / 12)) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    return Audio((0.03 * envelope * buzz).astype(np.float32), rate)


def babble(seconds: float, seed: int = 0) -> Audio:
    """A voice-like buzz in syllables, for shapes and speed."""
    t = np.arange(int(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 25))
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return Audio(
        (0.1 * (buzz + 0.1 * noise) * np.maximum(0, np.sin(2 * np.pi * 2 * t))).astype(np.float32),
        RATE,
    )


def applause(seconds: float, people: int, seed: int = 0, rate: int = 16000) -> np.ndarray:
    """Return (n,) the clapping of `people`: decaying bursts of noise, three to four a second."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * rate) + rate)
    for _ in range(people):
        pace = rng.uniform(3, 4)
        loudness = rng.uniform(0.3, 1)
        color = rng.uniform(0, 0.8)
        for clap in range(int(seconds * pace)):
            burst = rng.normal(size=600) * np.exp(-np.arange(600) / 120)
            burst[1:] -= color * burst[:-1]
            start = round((clap + rng.uniform(0, 0.2)) / pace * rate)
            sound[start : start + 600] += loudness * burst
    sound = sound[: round(seconds * rate)]
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)
