"""Spoken vowels held as singers hold them: sound and labels stretched alike, for training Audio2Pose."""

from __future__ import annotations

import numpy as np

from pipeline.models.audio2pose import SAMPLE_RATE
from pipeline.training.data.speech.augment import labels_at
from pipeline.training.data.speech.visemes import LABEL_RATE, VISEMES

GRAIN, HOP, REACH = 512, 256, 160  # samples: waveform-similarity overlap-add
VOWELS = tuple(VISEMES.index(name) for name in ("u", "o", "a", "e", "i"))
EDGE = 3  # label frames at both ends of a vowel that keep their pace: the way into and out of it
HELD_SHARE, LONGEST = 0.7, 6.0  # of the vowels are held; most times their length


def hold_map(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N + 1,) time in label frames at which each of N label frames begins once vowels are held."""
    pace = np.ones(len(classes))
    vowel = np.isin(classes, VOWELS)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], vowel.astype(int), [0]])))
    for first, last in edges.reshape(-1, 2):
        if last - first > 2 * EDGE and rng.random() < HELD_SHARE:
            pace[first + EDGE : last - EDGE] = np.exp(rng.uniform(np.log(1.5), np.log(LONGEST)))
    return np.concatenate([[0.0], np.cumsum(pace)])


def stretched(sound: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(len(place) * HOP,) `sound` read at `place`, the sample of every HOP output samples, pitch kept.

    Waveform similarity overlap-add (Verhelst and Roelands 1993): every grain is moved by up to 10 ms to where
    it continues the last one best.
    """
    padded = np.pad(sound.astype(np.float32), (REACH + GRAIN, REACH + 3 * GRAIN))
    window = np.hanning(GRAIN + 1)[:GRAIN].astype(np.float32)
    out, follow = np.zeros(len(place) * HOP + GRAIN, np.float32), None
    for k, at in enumerate(np.clip(place, 0, len(sound)).astype(int)):
        best = at + REACH + GRAIN // 2  # the grain's middle answers for the output sample
        if follow is not None:
            near = padded[best - REACH : best + REACH + GRAIN]
            best += (
                int(np.argmax(np.correlate(near, padded[follow : follow + GRAIN], "valid"))) - REACH
            )
        out[k * HOP : k * HOP + GRAIN] += window * padded[best : best + GRAIN]
        follow = best + HOP
    return out[GRAIN // 2 : GRAIN // 2 + len(place) * HOP]


def held(
    sound: np.ndarray,
    params: np.ndarray,
    classes: np.ndarray,
    rng: np.random.Generator,
    frames: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sound and labels with vowels held up to six times as long, cut to `frames` at 100 Hz, with vibrato."""
    began = hold_map(classes, rng)
    size = SAMPLE_RATE // LABEL_RATE
    source = np.interp(np.arange(frames), began, np.arange(len(began)))
    grains = np.arange(-(-frames * size // HOP) + 1) * HOP / size
    out = stretched(sound, np.interp(grains, began, np.arange(len(began))) * size)
    if rng.random() < 0.6:
        depth, rate = rng.uniform(0.005, 0.05), rng.uniform(4.5, 7)
        time = np.arange(frames * size) / SAMPLE_RATE
        shift = depth / (2 * np.pi * rate) * np.sin(2 * np.pi * rate * time) * SAMPLE_RATE
        out = np.interp(np.arange(frames * size) + shift, np.arange(len(out)), out).astype(
            np.float32
        )
    return out[: frames * size], *labels_at(params, classes, source)
