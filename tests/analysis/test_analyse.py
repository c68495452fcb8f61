"""Inputs to motion: what the user is told about them. No detector looks at anything."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline import ROOT, media
from pipeline.analysis import analyse as analysis
from pipeline.analysis.driving import DrivingPose
from pipeline.analysis.progress import finish
from pipeline.analysis.talking_face import SpeechNetwork, predict_face
from pipeline.motion.gestures.head import draw_head_motion
from pipeline.motion.prosody import analyse as analyse_prosody
from pipeline.render.load import load_speech_network
from pipeline.training.data.speech.music import music
from pipeline.values import Audio, Detection, Keypoints, Pose
from tests.helpers.stick_person import figure
from tests.helpers.tiny import portrait, speech, tiny_pipeline
from tests.helpers.voices import applause

RATE = 16000

NO_VOICE = "no voice is heard"
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


def test_music_and_applause_are_told_and_speech_is_not() -> None:
    network = load_speech_network("mini", "own", "cpu")
    rng = np.random.default_rng(0)
    noise = rng.normal(size=2 * RATE)
    question = media.read_audio(ROOT / "assets/speech/question.wav").samples[: 2 * RATE]
    bed = music(rng, 2 * RATE)
    sounds = {
        "speech": question,
        "speech over music": question + 0.02 * bed,
        "music": 0.1 * bed,
        "applause": applause(2.0, 20),
        "noise": 0.1 * noise,
    }
    told = []
    for name, samples in sounds.items():
        audio = Audio(samples.astype(np.float32), RATE)
        face = predicted_face(network, audio)
        if any(NO_VOICE in note for note in analysis._sound_warnings(audio, face, 1.0)):
            told.append(name)
        assert analysis._sound_warnings(audio, face, 0.0) == []
    assert told == ["music", "applause", "noise"]


def predicted_face(network: SpeechNetwork, audio: Audio) -> Keypoints:
    reference = figure(1)
    frames = audio.frames(25)
    prosody = analyse_prosody(audio, 25)
    head = draw_head_motion(prosody, frames, 25, np.random.default_rng(0))
    picture = np.zeros((*reference.size, 3), np.uint8)
    return predict_face(network, audio, reference, head, 1.0, picture).points


def driven_by(monkeypatch: pytest.MonkeyPatch, *people: Pose) -> analysis.Analysis:
    """Analyze two seconds of speech with given driving people; the reference is `figure`."""
    monkeypatch.setattr(
        analysis, "detect_reference", lambda picture, detector: Detection((figure(1),))
    )
    network = load_speech_network("mini", "own", "cpu")
    question = media.read_audio(ROOT / "assets/speech/question.wav").samples[: 2 * RATE]
    driving = DrivingPose(Detection(people))
    options = analysis.AnalysisOptions()
    return finish(analysis.analyse(network, portrait(), Audio(question, RATE), driving, options))


def opening(pose: Pose) -> np.ndarray:
    """The gap of the inner lips in heights of the face, per frame; 0 without a face."""
    face = pose.face.xy
    gap = np.abs(face[:, 66, 1] - face[:, 62, 1])
    height = np.abs(face[:, 8, 1] - face[:, 27, 1])
    return np.where(pose.face.visible.all(1), gap / height, 0)


def test_the_reference_speaks_when_the_driver_or_the_drivers_face_is_missing(monkeypatch) -> None:
    whole = figure(50)
    headless = Keypoints(whole.face.xy, np.zeros_like(whole.face.score))
    late = Keypoints(whole.body.xy, whole.body.score.copy())
    late.score[:25] = 0
    late_face = Keypoints(whole.face.xy, whole.face.score.copy())
    late_face.score[:25] = 0
    without_head = driven_by(monkeypatch, replace(whole, face=headless))
    walks_in = driven_by(monkeypatch, replace(whole, body=late, face=late_face))
    nobody = driven_by(monkeypatch)
    expected = opening(nobody.motion.pose)
    assert np.ptp(expected) > 0.05 and expected.min() > 0
    assert np.allclose(opening(without_head.motion.pose), expected, atol=1e-3)
    measured = opening(walks_in.motion.pose)
    assert np.allclose(measured[:15], expected[:15], atol=1e-3) and measured.min() > 0
    assert any("face is missing in 100%" in note for note in without_head.warnings)
    assert any("person is missing in 50%" in note for note in walks_in.warnings)
