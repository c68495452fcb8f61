"""Mouths: does it fit its sound (`sync_c_mini`), and does it move as the true one?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.metrics import lips
from pipeline.evaluation.metrics.mouth import best_r
from pipeline.evaluation.mini.lip_table import lateness
from pipeline.evaluation.videos.clip import NO_SOUND, NO_TRUTH, Clip, Figure, figure
from pipeline.models import sync_mini
from pipeline.motion import timing
from pipeline.values import InputError, Pose

NO_MOUTH = "the lips are not seen in enough frames"
NO_CLOSURE = "the true lips never close"
STILL = "the mouth stands still"
SYNC = ("sync_c_mini", "sync_d_mini", "sync offset, frames late", "sync within a frame")
BESIDE = ("lip r", "lip lag, frames late", "lip J")


def lip_figures(clip: Clip, network: sync_mini.SyncMini) -> dict[str, Figure]:
    """Return all figures of a clip's lips, which are read from its key points at 25 frames/s."""
    opening = read_opening(clip.pose)
    truth = None if clip.truth is None else read_opening(clip.truth)
    return {**_sync(clip, network, opening, truth), **_beside(clip, opening, truth)}


def read_opening(pose: Pose) -> np.ndarray | None:
    """Return the opening (T,) at 25 frames/s, None where the lips are seen too rarely."""
    at_rate = timing.resample(pose, sync_mini.FPS)
    return lips.filled(lips.opening(at_rate))


def _nothing(names: Sequence[str], why: str) -> dict[str, Figure]:
    """Return rows without a value."""
    return {name: Figure(math.nan, why=why) for name in names}


def _sync(
    clip: Clip,
    network: sync_mini.SyncMini,
    opening: np.ndarray | None,
    truth: np.ndarray | None,
) -> dict[str, Figure]:
    """Return the verdict of the small sync network.

    Without a truth the range of openings is the mouth's own.
    """
    if clip.audio is None:
        return _nothing(SYNC, NO_SOUND)
    if opening is None:
        return _nothing(SYNC, NO_MOUTH)
    sound_frames = int(clip.audio.seconds * sync_mini.FPS)
    judged = opening[: max(1, sound_frames)]
    reach = opening if truth is None else truth
    try:
        verdict = network.judge(judged, reach, clip.audio)
    except InputError as error:
        return _nothing(SYNC, str(error))
    is_in_time = abs(verdict.offset) <= 1
    values = (verdict.confidence, verdict.distance, verdict.offset, is_in_time)
    rows = zip(SYNC, values, strict=True)
    return {name: figure(value, len(judged), len(opening)) for name, value in rows}


def _beside(clip: Clip, opening: np.ndarray | None, truth: np.ndarray | None) -> dict[str, Figure]:
    """Return best r, lag and J beside the true lips."""
    if clip.truth is None:
        return _nothing(BESIDE, NO_TRUTH)
    if opening is None or truth is None:
        return _nothing(BESIDE, NO_MOUTH)
    frames = min(len(opening), len(truth))
    curve = opening[:frames]
    true_curve = truth[:frames]
    values = (
        best_r(curve, true_curve),
        lateness(curve, true_curve),
        lips.closure_j(curve, true_curve),
    )
    whys = ("", STILL, NO_CLOSURE)
    rows = zip(BESIDE, values, whys, strict=True)
    return {name: figure(value, frames, len(opening), why) for name, value, why in rows}
