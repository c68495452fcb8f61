"""Spoken vowels held as singers hold them: sound and labels stretched alike, for Audio2Pose."""

from __future__ import annotations

import numpy as np

from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.training.data.speech.augment import labels_at
from pipeline.training.data.speech.visemes import LABEL_RATE, VISEMES

# waveform-similarity overlap-add, in samples
GRAIN = 512
HOP = 256
REACH = 160
VOWELS = tuple(VISEMES.index(name) for name in ("u", "o", "a", "e", "i"))
EDGE_FRAMES = 3  # label frames at both ends of a vowel keep their pace: the way into and out of it
HELD_SHARE = 0.7  # of the vowels are held
SHORTEST_HOLD = 1.5  # times a vowel's length
LONGEST_HOLD = 6.0  # times a vowel's length
VIBRATO_SHARE = 0.6


def hold_map(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (N + 1,) the time in label frames at which each of N frames begins after holding."""
    duration = np.ones(len(classes))
    is_vowel = np.isin(classes, VOWELS).astype(int)
    padded = np.concatenate([[0], is_vowel, [0]])
    edges = np.flatnonzero(np.diff(padded))
    for first, last in edges.reshape(-1, 2):
        if last - first > 2 * EDGE_FRAMES and rng.random() < HELD_SHARE:
            exponent = rng.uniform(np.log(SHORTEST_HOLD), np.log(LONGEST_HOLD))
            duration[first + EDGE_FRAMES : last - EDGE_FRAMES] = np.exp(exponent)
    return np.concatenate([[0.0], np.cumsum(duration)])


def stretched(sound: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Read `sound` at `place`, the sample of every HOP output samples, and keep the pitch.

    Returns (len(place) * HOP,). Waveform similarity overlap-add (Verhelst and Roelands 1993): every
    grain is moved by up to 10 ms to where it continues the last one best.
    """
    padded = np.pad(sound.astype(np.float32), (REACH + GRAIN, REACH + 3 * GRAIN))
    window = np.hanning(GRAIN + 1)[:GRAIN].astype(np.float32)
    out = np.zeros(len(place) * HOP + GRAIN, np.float32)
    follow = None  # where the last grain goes on
    samples = np.clip(place, 0, len(sound)).astype(int)
    for number, sample in enumerate(samples):
        best = sample + REACH + GRAIN // 2  # the middle of the grain stands for the output sample
        if follow is not None:
            near = padded[best - REACH : best + REACH + GRAIN]
            continuation = padded[follow : follow + GRAIN]
            similarity = np.correlate(near, continuation, "valid")
            best += int(np.argmax(similarity)) - REACH
        start = number * HOP
        out[start : start + GRAIN] += window * padded[best : best + GRAIN]
        follow = best + HOP
    return out[GRAIN // 2 : GRAIN // 2 + len(place) * HOP]


def hold_vowels(
    sound: np.ndarray,
    params: np.ndarray,
    classes: np.ndarray,
    rng: np.random.Generator,
    frames: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hold vowels up to six times as long, with vibrato, and cut to `frames` at 100 Hz.

    Args:
        sound: (n,) at 16 kHz.
        params: (T, 10) at 100 Hz.
        classes: (T,) viseme classes.
        rng: source of all randomness.
        frames: length of the result.
    """
    start_of_frame = hold_map(classes, rng)
    frame_number = np.arange(len(start_of_frame))
    size = SAMPLE_RATE // LABEL_RATE
    source = np.interp(np.arange(frames), start_of_frame, frame_number)
    grains = np.arange(-(-frames * size // HOP) + 1) * HOP / size
    place = np.interp(grains, start_of_frame, frame_number) * size
    out = stretched(sound, place)
    if rng.random() < VIBRATO_SHARE:
        out = _with_vibrato(out, rng, frames * size)
    held_params, held_classes = labels_at(params, classes, source)
    return out[: frames * size], held_params, held_classes


def _with_vibrato(sound: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Let the pitch of the first `count` samples swing a few times a second."""
    depth = rng.uniform(0.005, 0.05)
    hertz = rng.uniform(4.5, 7)
    sample = np.arange(count)
    time = sample / SAMPLE_RATE
    swing = np.sin(2 * np.pi * hertz * time)
    shift = depth / (2 * np.pi * hertz) * swing * SAMPLE_RATE
    out = np.interp(sample + shift, np.arange(len(sound)), sound)
    return out.astype(np.float32)
