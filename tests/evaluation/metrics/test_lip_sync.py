"""Sync scores of planted points, and shifted sounds found by the project's small network."""

import numpy as np
import pytest

from pipeline.evaluation.metrics import lip_sync
from pipeline.evaluation.metrics.lip_sync import (
    SyncMiniEmbedder,
    SyncNetEmbedder,
    SyncScores,
    mouth_openings,
    sync_by_pixels,
    sync_by_points,
    sync_of_video,
    sync_scores,
)
from pipeline.media.audio import read_audio
from pipeline.models import sync_mini
from pipeline.models.audio2pose import Audio2Pose
from pipeline.motion import face_animation
from pipeline.values import InputError, Keypoints
from tests.helpers.face68 import template

FRAME = 640  # samples at 16 kHz and 25 frames/s


def points(frames: int, seed: int = 0) -> np.ndarray:
    """Points (T, 64) on the unit sphere."""
    values = np.random.default_rng(seed).normal(size=(frames, 64))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("padding", ["padded", "valid"])
@pytest.mark.parametrize("early", [-15, -3, 0, 4, 15])
def test_an_early_sound_has_a_positive_offset(early, padding):
    """The sound of frame i + early is heard at frame i."""
    both = points(200)
    video = both[20:140]
    audio = both[20 + early : 140 + early]
    scores = sync_scores(video, audio, padding)
    assert scores.offset_frames == early
    assert scores.confidence > 1


def test_scores_of_two_offsets_by_hand():
    """A still mouth at 1 and a still sound at 0: every distance is 1, padded or not."""
    video = np.ones((40, 1))
    scores = sync_scores(video, np.zeros((40, 1)))
    assert scores.distance == pytest.approx(1, abs=1e-5)
    assert scores.confidence == pytest.approx(0, abs=1e-5)
    # A sound at 1, too: at offset k only the |k| padded frames are off by 1.
    padded = sync_scores(video, np.ones((40, 1)))
    assert padded.distance == pytest.approx(0, abs=1e-5)
    assert padded.confidence == pytest.approx(8 / 40, abs=1e-5)  # median of |k| over -15..15
    valid = sync_scores(video, np.ones((40, 1)), "valid")
    assert valid.confidence == pytest.approx(0, abs=1e-5)


def test_padding_lowers_the_confidence_of_short_clips():
    clips = [points(30, seed) for seed in range(20)]
    padded = np.mean([sync_scores(clip, clip).confidence for clip in clips])
    valid = np.mean([sync_scores(clip, clip, "valid").confidence for clip in clips])
    assert padded < valid - 0.1


@pytest.mark.parametrize("frames", [0, 15])
def test_clips_that_are_too_short_are_refused(frames):
    with pytest.raises(InputError, match="too short"):
        sync_scores(points(frames), points(frames))


def test_unequal_lengths_are_refused():
    with pytest.raises(InputError, match="do not pair"):
        sync_scores(points(30), points(31))


@pytest.fixture(scope="module")
def talk(root) -> tuple[np.ndarray, np.ndarray]:
    """A shipped speech (n,) and the opening (T,) of a mouth that says it."""
    speech = read_audio(root / "assets" / "speech" / "welcome.wav")
    network = Audio2Pose.from_pretrained(root / "checkpoints" / "mini" / "audio2pose")
    frames = speech.frames(25)
    gap = network.predict(speech, 25, frames).params[:, face_animation.PARAMETERS.index("gap")]
    return speech.samples, gap


@pytest.fixture(scope="module")
def small_network() -> SyncMiniEmbedder:
    return SyncMiniEmbedder(sync_mini.shipped())


@pytest.mark.parametrize("early", [-9, -2, 0, 5, 12])
def test_the_small_network_finds_a_shifted_sound(talk, small_network, early):
    """Positive: the sound comes early."""
    samples, opening = talk
    shifted = np.roll(samples, -early * FRAME)
    found = sync_of_video(small_network, opening, shifted)
    assert found.valid.offset_frames == pytest.approx(early, abs=1)
    assert found.padded.offset_frames == pytest.approx(early, abs=1)


def test_the_small_network_tells_right_from_other_sound(talk, small_network):
    samples, opening = talk
    right = sync_of_video(small_network, opening, samples)
    other = sync_of_video(small_network, opening, samples[::-1].copy())
    still = sync_of_video(small_network, np.zeros_like(opening), samples)
    assert right.valid.confidence > 0.3 + other.valid.confidence
    assert right.valid.confidence > 0.3 + still.valid.confidence
    assert small_network.name == "sync_mini"  # never Sync-C


def placed_face() -> np.ndarray:
    """The 68 points (68, 2) in the middle of a square picture."""
    return 0.5 + 0.1 * template()


def talking_face(opening: np.ndarray, missing: slice = slice(0)) -> Keypoints:
    """A face whose lower inner lip goes down by `opening` of its height."""
    face = np.repeat(placed_face()[None], len(opening), 0)
    span = face[0, 8, 1] - face[0, 27, 1]
    face[:, 65:68, 1] = face[:, [63, 62, 61], 1] + opening[:, None] * span
    score = np.ones(face.shape[:2])
    score[missing] = 0
    return Keypoints(face, score)


def test_openings_are_read_from_points(talk):
    _, opening = talk
    face = talking_face(opening, slice(40, 44))
    read = mouth_openings(face, (400, 400))
    seen = np.r_[0:40, 44 : len(opening)]
    assert np.allclose(read[seen], opening[seen], atol=0.02)
    assert np.allclose(read[40:44], np.interp(range(40, 44), seen, read[seen]))


def test_a_clip_is_scored_by_its_points_alone(talk, small_network):
    samples, opening = talk
    face = talking_face(opening, slice(60, 64))
    figures = sync_by_points(small_network, face, (400, 400), samples)
    assert len(figures.tracks) == 1 and figures.coverage == 1
    mean = figures.mean("valid")
    assert abs(mean.offset_frames) <= 1 and mean.confidence > 0.3


def test_a_clip_without_a_face_has_no_scores(talk, small_network):
    samples, opening = talk
    face = Keypoints.missing(len(opening), 68)
    figures = sync_by_points(small_network, face, (400, 400), samples)
    assert figures.tracks == () and figures.coverage == 0 and figures.mean("valid") is None


class Planted:
    """Stands in for SyncNet: a window's point is drawn by the brightness of its first frame."""

    def embed_mouths(self, crops: np.ndarray) -> np.ndarray:
        return points(300)[crops[: len(crops) - 4].mean((1, 2, 3)).round().astype(int)]

    def embed_sounds(self, cepstra: np.ndarray) -> np.ndarray:
        return points(300)[: (len(cepstra) - 20) // 4 + 1]


def test_syncnet_gets_crops_and_sound_of_the_same_moments():
    """Frame i has the gray level i, so that only a right pairing has offset 0."""
    frames = (np.full((60, 60, 3), level, np.uint8) for level in range(80))
    face = Keypoints(np.repeat(placed_face()[None], 80, 0), np.ones((80, 68)))
    silence = np.zeros(80 * FRAME, np.float32)
    figures = sync_by_pixels(SyncNetEmbedder(Planted()), frames, face, (60, 60), silence)
    (scores,) = figures.tracks
    assert scores.valid.offset_frames == 0 and scores.valid.distance < 0.3
    assert figures.coverage == 1


def test_tracks_whose_sound_has_ended_are_left_out():
    face = Keypoints(np.repeat(placed_face()[None], 80, 0), np.ones((80, 68)))
    frames = (np.zeros((60, 60, 3), np.uint8) for _ in range(80))
    sound = np.zeros(30 * FRAME, np.float32)
    figures = sync_by_pixels(SyncNetEmbedder(Planted()), frames, face, (60, 60), sound)
    assert figures.tracks == () and figures.coverage == 0


def test_the_mean_over_tracks():
    one = lip_sync.SyncOfVideo(SyncScores(4, 8, 1), SyncScores(5, 7, 1))
    other = lip_sync.SyncOfVideo(SyncScores(6, 6, 3), SyncScores(7, 5, 3))
    figures = lip_sync.SyncFigures((one, other), 0.9)
    assert figures.mean("padded") == SyncScores(5, 7, 2)
    assert figures.mean("valid") == SyncScores(6, 6, 2)
