"""What a microphone, a room and a codec do to speech, and sounds without speech, for training Audio2Pose.

On numpy arrays; every function takes the generator it draws from. Samples are float32 at 16 kHz.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from pipeline.models.audio2pose import SAMPLE_RATE


def change_pace(
    sound: np.ndarray, params: np.ndarray, classes: np.ndarray, pace: float, frames: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sound and labels played `pace` times as fast (formants move too), cut to `frames` at 100 Hz."""
    out = np.interp(np.arange(frames * 160) * pace, np.arange(len(sound)), sound).astype(np.float32)
    return out, *labels_at(params, classes, np.arange(frames) * pace)


def labels_at(
    params: np.ndarray, classes: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Parameters (T,10), interpolated, and nearest classes (T,) at `place`, (T,) in label frames."""
    place = np.clip(place, 0, len(params) - 1)
    low = np.minimum(place.astype(int), len(params) - 2)
    share = (place - low)[:, None]
    moved = params[low] * (1 - share) + params[low + 1] * share
    return moved.astype(np.float32), classes[np.round(place).astype(int)]


def _filtered(sound: np.ndarray, gain_db: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """The sound with gain (dB) interpolated over log frequency between `knots` (Hz)."""
    size = next_fast_len(len(sound))
    coarse = np.linspace(1, SAMPLE_RATE / 2, 257)
    gain = 10 ** (np.interp(np.log(coarse), np.log(knots), gain_db) / 20)
    gain = np.interp(np.linspace(1, SAMPLE_RATE / 2, size // 2 + 1), coarse, gain).astype(
        np.float32
    )
    return irfft(rfft(sound, size) * gain, size)[: len(sound)]


def coloured_noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise of unit level whose spectrum falls by 0 to 12 dB per octave (white to brown)."""
    size = next_fast_len(n)
    spectrum = rfft(rng.standard_normal(size, dtype=np.float32))
    bins = np.maximum(np.arange(len(spectrum), dtype=np.float32), 8)
    spectrum *= bins ** np.float32(-rng.uniform(0, 2.0))
    noise = irfft(spectrum, size)[:n]
    return noise / (np.sqrt(np.mean(noise**2)) + 1e-12)


def reverb(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sound in a random room: noise that falls by 60 dB in 0.08 to 0.6 s after the direct sound."""
    seconds = rng.uniform(0.08, 0.6)
    n = int(seconds * SAMPLE_RATE)
    tail = rng.standard_normal(n, dtype=np.float32) * 10 ** (
        -3 * np.arange(n, dtype=np.float32) / n
    )  # -60 dB at RT60
    tail *= rng.uniform(0.2, 1.0) / (np.sqrt(np.sum(tail**2)) + 1e-9)
    tail[0] = 1.0
    size = next_fast_len(len(sound) + n)
    return irfft(rfft(sound, size) * rfft(tail, size), size)[: len(sound)]


def degrade(sound: np.ndarray, rng: np.random.Generator, babble: np.ndarray | None) -> np.ndarray:
    """Room, equaliser, band limits, noise, clipping, level at random; `babble` is another voice or None."""
    level = np.sqrt(np.mean(sound**2)) + 1e-9
    if rng.random() < 0.45:
        sound = reverb(sound, rng)
    gains, knots = np.zeros(8), np.geomspace(50, 8000, 8)
    if rng.random() < 0.6:
        gains += rng.uniform(-9, 9, 8)
    if rng.random() < 0.25:
        gains -= 40 * np.clip(np.log2(knots / rng.uniform(2500, 7000)), 0, 2)
    if rng.random() < 0.15:
        gains -= 24 * np.clip(np.log2(rng.uniform(100, 400) / knots), 0, 2)
    if gains.any():
        sound = _filtered(sound, gains, knots)
    if rng.random() < 0.7:
        noise = coloured_noise(rng, len(sound))
        if babble is not None:
            noise = babble / (np.sqrt(np.mean(babble**2)) + 1e-9)
        low = 12 if babble is not None else 8
        sound = sound + noise * level * 10 ** (-rng.uniform(low, 45) / 20)
    if rng.random() < 0.15:
        drive = rng.uniform(1, 4) / (np.abs(sound).max() + 1e-9)
        sound = np.tanh(sound * drive) / drive
    sound = sound + rng.standard_normal(len(sound), dtype=np.float32) * 10 ** (
        rng.uniform(-100, -60) / 20
    )
    return sound * 10 ** (rng.uniform(-20, 6) / 20)


def no_speech(rng: np.random.Generator, n: int) -> np.ndarray:
    """Digital silence, noise, hum, tones, decaying notes, clicks, or a mix: the mouth stays shut on all of
    it.
    """
    out = np.zeros(n)
    kind = int(rng.integers(6))
    time = np.arange(n) / SAMPLE_RATE
    if kind in (1, 5):
        swell = 1 + rng.uniform(0, 0.9) * np.sin(
            2 * np.pi * rng.uniform(0.1, 4) * time + rng.uniform(0, 6)
        )
        out += coloured_noise(rng, n) * swell
    if kind == 2:
        base = float(rng.choice([50, 60, 100, 120, rng.uniform(60, 1500)]))
        for harmonic in range(1, int(rng.integers(2, 9))):
            if base * harmonic < 7800:
                out += (
                    np.sin(2 * np.pi * base * harmonic * time + rng.uniform(0, 6))
                    * rng.uniform(0, 1)
                    / harmonic
                )
    if kind in (3, 5):
        _notes(out, rng, chords=rng.random() < 0.5)
    if kind == 4:
        for start in rng.integers(0, n - 2000, int(rng.integers(1, 12))):
            decay = np.exp(-np.arange(2000) / rng.uniform(30, 600))
            out[start : start + 2000] += rng.standard_normal(2000) * decay * rng.uniform(0.2, 1)
    level = 10 ** (rng.uniform(-65, -12) / 20) / (np.sqrt(np.mean(out**2)) + 1e-9)
    floor = 10 ** (rng.uniform(-110, -60) / 20) if rng.random() < 0.7 else 0.0
    return out * level * (kind > 0) + rng.standard_normal(n, dtype=np.float32) * floor


def _notes(out: np.ndarray, rng: np.random.Generator, chords: bool) -> None:
    """Adds plucked or held harmonic notes in place."""
    position = 0
    while position < len(out):
        length = int(rng.uniform(0.1, 0.9) * SAMPLE_RATE)
        time = np.arange(min(length, len(out) - position)) / SAMPLE_RATE
        for _ in range(int(rng.integers(2, 5)) if chords else 1):
            pitch = 55 * 2 ** rng.uniform(0, 4.5)
            shape = np.exp(-time * rng.uniform(0.5, 8)) * np.minimum(1, time / 0.005)
            for harmonic in range(1, int(rng.integers(2, 10))):
                if pitch * harmonic < 7800:
                    out[position : position + len(time)] += (
                        np.sin(2 * np.pi * pitch * harmonic * time)
                        * shape
                        * rng.uniform(0.1, 1)
                        / harmonic
                    )
        position += int(length * rng.uniform(0.5, 1.1))


def mask(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(B, 64, N) with random short stretches of time and bands of frequency set to the mean (0).

    Two in five clips get a smooth offset over frequency: the mean that was taken off depends on the words.
    """
    out = mel.copy()
    for clip in out:
        if rng.random() < 0.4:
            bands = np.linspace(0, 5, clip.shape[0])
            clip += np.interp(bands, np.arange(6), rng.normal(0, 0.45, 6)).astype(np.float32)[
                :, None
            ]
        if rng.random() < 0.3:
            start, size = int(rng.integers(clip.shape[1] - 12)), int(rng.integers(2, 12))
            clip[:, start : start + size] = 0
        if rng.random() < 0.3:
            start, size = int(rng.integers(clip.shape[0] - 10)), int(rng.integers(2, 10))
            clip[start : start + size] = 0
    return out
