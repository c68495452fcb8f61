"""Beats at accents: planted ones, moved ones, and the null."""

import math

import numpy as np
import pytest

from pipeline.evaluation.metrics import beats

FPS = 25.0
SECONDS = 20.0
ACCENTS = np.array([1.1, 2.9, 3.5, 5.3, 7.9, 8.5, 10.7, 12.1, 13.9, 15.5, 17.3, 18.9])


def speed_with_beats(moments: np.ndarray) -> np.ndarray:
    """A speed (T,) with a dip at each moment."""
    t = (np.arange(round(SECONDS * FPS)) + 0.5) / FPS
    dips = np.exp(-(((t[:, None] - moments) / 0.08) ** 2) / 2).sum(1)
    return 1 - 0.9 * dips.clip(0, 1)


def test_minima_of_the_speed_are_beats_and_ripples_are_none():
    found = beats.motion_beats(speed_with_beats(ACCENTS), FPS)
    assert len(found) == len(ACCENTS) and np.abs(found - ACCENTS).max() <= 0.02
    ripples = 1 + 0.1 * np.sin(np.arange(500))
    assert len(beats.motion_beats(ripples, FPS)) == 0
    assert len(beats.motion_beats(np.zeros(50), FPS)) == 0


@pytest.mark.parametrize("sigma", beats.SIGMAS_SECONDS)
def test_beats_at_accents_score_one_and_stand_out_from_shifted_speech(sigma: float):
    there = beats.alignment(ACCENTS, ACCENTS, SECONDS, sigma)
    assert there.score == 1 and there.z > 4
    late = beats.alignment(ACCENTS + sigma, ACCENTS, SECONDS, sigma)
    assert late.score == pytest.approx(math.exp(-0.5), abs=1e-6)
    rng = np.random.default_rng(0)
    chance = [
        beats.alignment(rng.uniform(0, SECONDS, 12), ACCENTS, SECONDS, sigma).z for _ in range(40)
    ]
    assert abs(np.mean(chance)) < 0.5 and np.std(chance) < 1.6


def test_both_directions_differ():
    few = ACCENTS[::4]
    assert beats.alignment(few, ACCENTS, SECONDS, 0.05).score == 1
    assert beats.alignment(ACCENTS, few, SECONDS, 0.05).score < 0.4


def test_what_cannot_be_said_is_nan():
    assert math.isnan(beats.alignment(np.zeros(0), ACCENTS, SECONDS, 0.05).score)
    short = beats.alignment(np.array([0.5]), np.array([0.5]), 1.5, 0.05)
    assert short.score == 1 and math.isnan(short.z)
