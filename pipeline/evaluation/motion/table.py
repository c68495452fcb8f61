"""The rows of `evaluate motion`: what must never break, what must be seen, and two controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.evaluation.metrics import gestures
from pipeline.evaluation.metrics.correlation import (
    Pair,
    allowed_shifts,
    intensity_correlation,
    pooled_correlation,
)
from pipeline.evaluation.metrics.refocus_effect import PooledEffect, pooled_effect
from pipeline.evaluation.report import Row
from pipeline.motion.refocus import refocus
from pipeline.values import Motion

SLIDER = (0.25, 0.5, 0.75, 1.0, 2.0)
# Fewer pairs leave the effect to chance: the correlation of one pair scatters by 0.1.
ENOUGH_PAIRS = 20
SHUFFLES = 3  # other excitations per pair of the control

Excitations = Callable[[Pair], Sequence[np.ndarray]]


def rows(pairs: Sequence[Pair]) -> list[Row]:
    """Return the safety rows, then the effects, which have levels from 20 pairs on."""
    motions = [pair.motion for pair in pairs]
    slider = {strength: pooled_effect(motions, strength) for strength in (0.0, *SLIDER)}
    return [*safety_rows(motions, slider), *effect_rows(pairs, slider)]


def safety_rows(motions: Sequence[Motion], slider: dict[float, PooledEffect]) -> list[Row]:
    """Return the rows of what no strength of the slider may break."""

    def worst(name: str) -> float:
        return float(np.max([getattr(effect, name) for effect in slider.values()]))

    one = slider[1.0]
    two = slider[2.0]
    jerk = float(np.mean([gestures.figures(motion).jerk for motion in motions]))
    return [
        Row("identity at 0", max(map(identity, motions)), 1e-6),
        Row("bone drift, limbs", worst("drift"), 1e-5),
        Row("bone drift, neck to hips", worst("torso"), 0.05),
        Row("points newly outside the frame", worst("outside"), 0),
        Row("feet, knees and hips moved", worst("feet"), 0),
        Row("lips in face coordinates", worst("lips"), 1e-6),
        Row("jerk at 0, shoulder widths", jerk),
        Row("jerk ratio at 1", one.jerk, 1.5),
        Row("jerk ratio at 1, 99th percentile", one.jerk99, 1.5),
        Row("jerk ratio at 2", two.jerk),
        Row("jerk ratio at 2, 99th percentile", two.jerk99),
        Row("lag at 1, frames", one.lag, 1, "|x| <="),
    ]


def identity(motion: Motion) -> float:
    """Return the largest difference that the slider at 0 makes to any number."""
    after = refocus(motion, 0.0)
    arrays = [(motion.control_strength, after.control_strength)]
    for name in ("body", "hands", "face"):
        old = getattr(motion.pose, name)
        new = getattr(after.pose, name)
        arrays += [(old.xy, new.xy), (old.score, new.score)]
    return float(max(np.abs(a - b).max() for a, b in arrays))


def effect_rows(pairs: Sequence[Pair], slider: dict[float, PooledEffect]) -> list[Row]:
    """Return the rows of what a viewer should see, and of the two controls."""
    rng = np.random.default_rng(0)
    poses = [pair.motion.pose for pair in pairs]
    homes = [gestures.rest(pair.motion.pose, pair.motion.excitation) for pair in pairs]
    refocused = [refocus(pair.motion, 1.0).pose for pair in pairs]

    speed_at_0 = pooled_correlation(pairs, list(map(gestures.speed, poses)))
    speed_at_1 = pooled_correlation(pairs, list(map(gestures.speed, refocused)))
    amplitudes = list(map(gestures.filled_amplitude, poses, homes))
    amplitude_at_0 = pooled_correlation(pairs, amplitudes)
    amplitudes = list(map(gestures.filled_amplitude, refocused, homes))
    amplitude_at_1 = pooled_correlation(pairs, amplitudes)

    one = slider[1.0]
    two = slider[2.0]
    up_to_one = [effect for strength, effect in sorted(slider.items()) if strength <= 1]
    r_step = float(np.diff([effect.r for effect in up_to_one]).min())
    ratio_step = float(np.diff([effect.ratio for effect in up_to_one]).min())
    by_loudness = rise_with(pairs, lambda pair: [pair.loudness_excitation])
    by_shuffled = rise_with(pairs, shuffled(pairs, rng))
    effects = [
        Row("speed-intensity r at 0", speed_at_0.r),
        Row("speed-intensity r at 0, z against shifted speech", speed_at_0.z),
        Row("speed-intensity r at 1", speed_at_1.r),
        Row("speed-intensity r at 1, z against shifted speech", speed_at_1.z, 3, ">="),
        Row("speed-intensity r, rise at 1", one.rise, 0.10, ">="),
        Row("speed-intensity r, rise at 2", two.rise, 0.18, ">="),
        Row("share of pairs whose r rises at 1", one.rising),
        Row("amplitude-intensity r at 0", amplitude_at_0.r),
        Row("amplitude-intensity r at 0, z against shifted speech", amplitude_at_0.z),
        Row("amplitude-intensity r at 1", amplitude_at_1.r),
        Row("amplitude-intensity r at 1, z against shifted speech", amplitude_at_1.z, 3, ">="),
        Row("on/off ratio at 1 over that at 0", one.ratio, 1.3, ">="),
        Row("monotone in the slider, smallest step of r", r_step, 0, ">"),
        Row("monotone in the slider, smallest step of the ratio", ratio_step, 0, ">"),
        Row("rise at 1 by loudness alone", by_loudness),
        Row("rise at 1 by shuffled speech", by_shuffled, 0.05, "|x| <="),
    ]
    return [_without_level(row, len(pairs)) for row in effects]


def _without_level(row: Row, pairs: int) -> Row:
    """Take the level off a row that was not measured, or that too few pairs leave to chance."""
    judged = pairs >= ENOUGH_PAIRS and np.isfinite(row.value)
    return row if judged else replace(row, level=None)


def rise_with(pairs: Sequence[Pair], excitations: Excitations) -> float:
    """Return the mean rise of the speed-intensity r at 1 when other excitations refocus."""
    rises = []
    for pair in pairs:
        motion = pair.motion
        base = _speed_r(motion)
        for excitation in excitations(pair):
            refocused = refocus(replace(motion, excitation=excitation), 1.0)
            rises.append(_speed_r(refocused) - base)
    return float(np.mean(rises))


def _speed_r(motion: Motion) -> float:
    """Correlate a motion's wrist speed with its intensity."""
    speed = gestures.speed(motion.pose)
    return intensity_correlation(speed, motion.intensity, motion.pose.fps).r


def shuffled(pairs: Sequence[Pair], rng: np.random.Generator) -> Excitations:
    """Return a function from a pair to excitations of other moments of other speeches.

    Another speech is fairer: the moments of one speech that are not now correlate below zero with
    now. A speech that is alone lends other moments of its own.
    """
    sounds = {pair.sound: pair.motion.excitation for pair in pairs}

    def others(pair: Pair) -> list[np.ndarray]:
        other_sounds = [curve for name, curve in sounds.items() if name != pair.sound]
        if not other_sounds:
            shifts = rng.choice(allowed_shifts(pair), SHUFFLES)
            return [np.roll(pair.motion.excitation, shift) for shift in shifts]
        picks = rng.integers(len(other_sounds), size=SHUFFLES)
        frames = len(pair.motion)
        curves = []
        for curve in [other_sounds[pick] for pick in picks]:
            rolled = np.roll(curve, rng.integers(len(curve)))
            curves.append(np.resize(rolled, frames))
        return curves

    return others
