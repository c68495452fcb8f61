"""Inputs to motion: what the user is told about them. No detector looks at anything."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.analysis import analyse as analysis
from pipeline.analysis.progress import finish
from pipeline.values import Audio, Detection, Keypoints, Pose
from tests.helpers.stick_person import figure
from tests.helpers.tiny import portrait, speech, tiny_pipeline

SMALL_LIPS = "too small for visible lips"


def shrunk(pose: Pose, scale: float) -> Pose:
    """Return the person smaller, about the middle of the picture."""

    def part(points: Keypoints) -> Keypoints:
        return Keypoints(0.5 + scale * (points.xy - 0.5), points.score)

    return replace(pose, body=part(pose.body), hands=part(pose.hands), face=part(pose.face))


def warnings_on(
    monkeypatch: pytest.MonkeyPatch, reference: Pose, audio: Audio, picture: np.ndarray
) -> str:
    """Return the warnings of a run without a driving clip, as one text."""
    seen = Detection((reference,))
    monkeypatch.setattr(analysis, "detect_reference", lambda picture, detector: seen)
    network = tiny_pipeline().audio2pose
    work = analysis.analyse(network, picture, audio, None, analysis.AnalysisOptions())
    return " ".join(finish(work).warnings)


def test_a_face_that_is_too_small_for_visible_lips_is_told_without_a_driving_clip(
    monkeypatch,
) -> None:
    picture = portrait()
    near = warnings_on(monkeypatch, figure(1), speech(0.5), picture)
    far = warnings_on(monkeypatch, shrunk(figure(1), 0.2), speech(0.5), picture)
    assert SMALL_LIPS not in near and SMALL_LIPS in far
