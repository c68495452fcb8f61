"""What key points say of a result: AKD, MKR, PCK, HKC and HKV."""

from __future__ import annotations

import math

import numpy as np

from pipeline.evaluation.metrics import hands
from pipeline.evaluation.metrics.gestures import ACCENT_EXCITATION, PAUSE_EXCITATION
from pipeline.evaluation.metrics.keypoint_error import PointError, point_error
from pipeline.evaluation.videos.clip import (
    NO_FACE_TARGET,
    NO_SOUND,
    NO_TARGET,
    Clip,
    Figure,
    figure,
)
from pipeline.values import Keypoints

PARTS = ("body", "hands", "face")
NO_POINTS = "no point of it was to be shown"
NO_HANDS = "no hand is seen long enough"
NO_ACCENTS = "the speech has no accents or no pauses in which hands are seen"


def pose_figures(clip: Clip) -> dict[str, Figure]:
    """Return all figures of a clip's key points."""
    return {**errors(clip), **confidences(clip), **variances(clip)}


def errors(clip: Clip) -> dict[str, Figure]:
    """Return AKD, MKR and PCK of body, hands and face."""
    found = {}
    for part in PARTS:
        error, why = part_error(clip, part)
        total = len(clip)
        found[f"AKD {part}"] = figure(error.distance, error.frames, total, why)
        found[f"MKR {part}"] = figure(error.missing, error.frames, total, why)
        found[f"PCK@0.05 {part}"] = figure(error.near, error.frames, total, why)
    return found


def part_error(clip: Clip, part: str) -> tuple[PointError, str]:
    """Return the error of one part, and the reason where there is none."""
    nothing = PointError(math.nan, math.nan, math.nan, 0, 0)
    target = clip.target
    if target is None:
        return nothing, NO_TARGET
    if part == "face" and not target.has_face:
        return nothing, NO_FACE_TARGET
    frames = min(len(clip), len(target.pose))
    asked: Keypoints = getattr(target.pose[:frames], part)
    result: Keypoints = getattr(clip.pose[:frames], part)
    height, width = clip.pose.size
    return point_error(asked, result, width / height), NO_POINTS


def confidences(clip: Clip) -> dict[str, Figure]:
    """Return HKC of the hands that were to be shown, and of those that are seen."""
    is_seen = hands.by_hand(clip.pose.hands.visible) >= hands.HAND_SHARE
    of_seen = hands.hand_confidence(clip.pose, is_seen)
    found = {"HKC, hands seen in the result": hand_figure(of_seen, NO_HANDS)}
    if clip.target is None:
        return {"HKC": Figure(math.nan, why=NO_TARGET), **found}
    frames = min(len(clip), len(clip.target.pose))
    is_asked = hands.shown_hands(clip.target.pose[:frames])
    asked = hands.hand_confidence(clip.pose[:frames], is_asked)
    return {"HKC": hand_figure(asked, NO_POINTS), **found}


def hand_figure(confidence: hands.Confidence, why: str) -> Figure:
    """Return a mean score as a figure; its coverage is the share of the hands."""
    if not confidence.frames:
        return Figure(math.nan, why=why)
    return Figure(confidence.score, confidence.frames, confidence.coverage)


def variances(clip: Clip) -> dict[str, Figure]:
    """Return HKV in both units, and at accents and in pauses."""
    found = {
        "HKV_sw": variance_figure(hands.hkv_shoulder_widths(clip.pose), len(clip), NO_HANDS),
        "HKV_px512": variance_figure(hands.hkv_pixels(clip.pose), len(clip), NO_HANDS),
    }
    if clip.speech is None:
        names = ("HKV_on", "HKV_off", "HKV_on over HKV_off")
        return {**found, **{name: Figure(math.nan, why=NO_SOUND) for name in names}}
    frames = min(len(clip), len(clip.speech))
    excitation = clip.speech.excitation[:frames]
    pose = clip.pose[:frames]
    accents = hands.hkv_shoulder_widths(pose, excitation > ACCENT_EXCITATION)
    pauses = hands.hkv_shoulder_widths(pose, excitation < PAUSE_EXCITATION)
    found["HKV_on"] = variance_figure(accents, frames, NO_ACCENTS)
    found["HKV_off"] = variance_figure(pauses, frames, NO_ACCENTS)
    ratio = accents.value / pauses.value if pauses.value > 0 else math.nan
    both = min(accents.coverage, pauses.coverage)
    ratio_variance = hands.Variance(ratio, both)
    found["HKV_on over HKV_off"] = variance_figure(ratio_variance, frames, NO_ACCENTS)
    return found


def variance_figure(variance: hands.Variance, frames: int, why: str) -> Figure:
    """Return a variance as a figure; its coverage is the share of the points."""
    if not np.isfinite(variance.value):
        return Figure(math.nan, why=why)
    return Figure(variance.value, frames, variance.coverage)
