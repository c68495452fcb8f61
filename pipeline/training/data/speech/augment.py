"""What a microphone, a room and a codec do to speech; and sounds without speech.

All on numpy arrays. Every function takes the generator that it draws from. Samples are float32 at
16 kHz.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from pipeline.models.audio2pose import SAMPLE_RATE

HOP = 160  # samples of a label frame
TELEPHONE_HZ = (2500, 7000)  # upper limits of band-limited sound
HIGHEST_HZ = 7800  # of a harmonic
_EQUALIZER_HZ = np.geomspace(50, 8000, 8)
_TINY = 1e-9  # keeps divisions by silence finite


def change_pace(
    sound: np.ndarray, params: np.ndarray, classes: np.ndarray, pace: float, frames: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Play sound and labels `pace` times as fast (formants move too), cut to `frames` at 100 Hz."""
    place = np.arange(frames * HOP) * pace
    out = np.interp(place, np.arange(len(sound)), sound).astype(np.float32)
    moved_params, moved_classes = labels_at(params, classes, np.arange(frames) * pace)
    return out, moved_params, moved_classes


def labels_at(
    params: np.ndarray, classes: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate parameters (T, 10) and take the nearest classes (T,) at `place`, label frames."""
    place = np.clip(place, 0, len(params) - 1)
    low = np.minimum(place.astype(int), len(params) - 2)
    share = (place - low)[:, None]
    moved = params[low] * (1 - share) + params[low + 1] * share
    nearest = np.round(place).astype(int)
    return moved.astype(np.float32), classes[nearest]


def _rms(sound: np.ndarray) -> float:
    return np.sqrt(np.mean(sound**2))


def _equalized(sound: np.ndarray, gain_db: np.ndarray, knots_hz: np.ndarray) -> np.ndarray:
    """Filter the sound with a gain that is interpolated over log frequency between knots."""
    size = next_fast_len(len(sound))
    coarse = np.linspace(1, SAMPLE_RATE / 2, 257)
    decibels = np.interp(np.log(coarse), np.log(knots_hz), gain_db)
    gain = 10 ** (decibels / 20)
    bins = np.linspace(1, SAMPLE_RATE / 2, size // 2 + 1)
    gain = np.interp(bins, coarse, gain).astype(np.float32)
    return irfft(rfft(sound, size) * gain, size)[: len(sound)]


def colored_noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Make noise of unit level whose spectrum falls by 0 to 12 dB per octave (white to brown)."""
    size = next_fast_len(n)
    spectrum = rfft(rng.standard_normal(size, dtype=np.float32))
    bins = np.maximum(np.arange(len(spectrum), dtype=np.float32), 8)
    spectrum *= bins ** np.float32(-rng.uniform(0, 2.0))
    noise = irfft(spectrum, size)[:n]
    return noise / (_rms(noise) + 1e-12)


def reverb(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put the sound in a random room: noise that falls by 60 dB in 0.08 to 0.6 s follows it."""
    seconds = rng.uniform(0.08, 0.6)
    n = int(seconds * SAMPLE_RATE)
    noise = rng.standard_normal(n, dtype=np.float32)
    exponent = -3 * np.arange(n, dtype=np.float32) / n  # -60 dB at the end
    tail = noise * 10**exponent
    energy = np.sum(tail**2)
    tail *= rng.uniform(0.2, 1.0) / (np.sqrt(energy) + _TINY)
    tail[0] = 1.0
    size = next_fast_len(len(sound) + n)
    spectrum = rfft(sound, size) * rfft(tail, size)
    return irfft(spectrum, size)[: len(sound)]


def degrade(sound: np.ndarray, rng: np.random.Generator, babble: np.ndarray | None) -> np.ndarray:
    """Apply room, equalizer, band limits, noise, clipping and level at random.

    `babble` is another voice that may stand for the noise, or None.
    """
    level = _rms(sound) + _TINY
    if rng.random() < 0.45:
        sound = reverb(sound, rng)
    gain_db = _draw_gains(rng)
    if gain_db.any():
        sound = _equalized(sound, gain_db, _EQUALIZER_HZ)
    if rng.random() < 0.7:
        noise = colored_noise(rng, len(sound))
        if babble is not None:
            noise = babble / (_rms(babble) + _TINY)
        least_snr_db = 12 if babble is not None else 8
        decibels = -rng.uniform(least_snr_db, 45)
        sound = sound + noise * level * 10 ** (decibels / 20)
    if rng.random() < 0.15:
        drive = rng.uniform(1, 4) / (np.abs(sound).max() + _TINY)
        sound = np.tanh(sound * drive) / drive
    hiss = rng.standard_normal(len(sound), dtype=np.float32)
    hiss_db = rng.uniform(-100, -60)
    sound = sound + hiss * 10 ** (hiss_db / 20)
    gain_db = rng.uniform(-20, 6)
    return sound * 10 ** (gain_db / 20)


def _draw_gains(rng: np.random.Generator) -> np.ndarray:
    """Draw (8,) gains in dB: an equalizer, an upper and a lower band limit, each at times."""
    gains = np.zeros(len(_EQUALIZER_HZ))
    if rng.random() < 0.6:
        gains += rng.uniform(-9, 9, len(gains))
    if rng.random() < 0.25:
        octaves_above = np.log2(_EQUALIZER_HZ / rng.uniform(*TELEPHONE_HZ))
        gains -= 40 * np.clip(octaves_above, 0, 2)
    if rng.random() < 0.15:
        octaves_below = np.log2(rng.uniform(100, 400) / _EQUALIZER_HZ)
        gains -= 24 * np.clip(octaves_below, 0, 2)
    return gains


def no_speech(rng: np.random.Generator, n: int) -> np.ndarray:
    """Make silence, noise, hum, tones, decaying notes, clicks, or a mix: the mouth stays shut."""
    out = np.zeros(n)
    kind = int(rng.integers(6))
    time = np.arange(n) / SAMPLE_RATE
    if kind in (1, 5):
        out += _swelling_noise(rng, time)
    if kind == 2:
        out += _hum(rng, time)
    if kind in (3, 5):
        _add_notes(out, rng, chords=rng.random() < 0.5)
    if kind == 4:
        _add_clicks(out, rng)
    level = 10 ** (rng.uniform(-65, -12) / 20) / (_rms(out) + _TINY)
    floor = 10 ** (rng.uniform(-110, -60) / 20) if rng.random() < 0.7 else 0.0
    sound = out * level * (kind > 0)
    return sound + rng.standard_normal(n, dtype=np.float32) * floor


def _swelling_noise(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Make colored noise whose level rises and falls."""
    depth = rng.uniform(0, 0.9)
    hertz = rng.uniform(0.1, 4)
    swell = 1 + depth * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6))
    return colored_noise(rng, len(time)) * swell


def _hum(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Make one tone with harmonics, often that of the mains."""
    out = np.zeros(len(time))
    base = float(rng.choice([50, 60, 100, 120, rng.uniform(60, 1500)]))
    for harmonic in range(1, int(rng.integers(2, 9))):
        if base * harmonic < HIGHEST_HZ:
            angle = 2 * np.pi * base * harmonic * time + rng.uniform(0, 6)
            out += np.sin(angle) * rng.uniform(0, 1) / harmonic
    return out


def _add_clicks(out: np.ndarray, rng: np.random.Generator) -> None:
    """Add short decaying bursts of noise in place."""
    length = 2000
    starts = rng.integers(0, len(out) - length, int(rng.integers(1, 12)))
    for start in starts:
        decay = np.exp(-np.arange(length) / rng.uniform(30, 600))
        burst = rng.standard_normal(length) * decay
        out[start : start + length] += burst * rng.uniform(0.2, 1)


def _add_notes(out: np.ndarray, rng: np.random.Generator, chords: bool) -> None:
    """Add plucked or held harmonic notes in place."""
    position = 0
    while position < len(out):
        length = int(rng.uniform(0.1, 0.9) * SAMPLE_RATE)
        time = np.arange(min(length, len(out) - position)) / SAMPLE_RATE
        rows = slice(position, position + len(time))
        voices = int(rng.integers(2, 5)) if chords else 1
        for _ in range(voices):
            pitch = 55 * 2 ** rng.uniform(0, 4.5)
            shape = np.exp(-time * rng.uniform(0.5, 8)) * np.minimum(1, time / 0.005)
            for harmonic in range(1, int(rng.integers(2, 10))):
                if pitch * harmonic < HIGHEST_HZ:
                    wave = np.sin(2 * np.pi * pitch * harmonic * time)
                    out[rows] += wave * shape * rng.uniform(0.1, 1) / harmonic
        position += int(length * rng.uniform(0.5, 1.1))


def mask(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Set random short stretches of time and bands of frequency of (B, 64, N) to the mean (0).

    Two in five clips get a smooth offset over frequency: the mean that was taken off depends on
    the words.
    """
    out = mel.copy()
    for clip in out:
        bands, frames = clip.shape
        if rng.random() < 0.4:
            place = np.linspace(0, 5, bands)
            offset = np.interp(place, np.arange(6), rng.normal(0, 0.45, 6))
            clip += offset.astype(np.float32)[:, None]
        if rng.random() < 0.3:
            start = int(rng.integers(frames - 12))
            size = int(rng.integers(2, 12))
            clip[:, start : start + size] = 0
        if rng.random() < 0.3:
            start = int(rng.integers(bands - 10))
            size = int(rng.integers(2, 10))
            clip[start : start + size] = 0
    return out
