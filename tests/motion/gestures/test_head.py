"""Generated head motion, blinks and brows, and the pose of a talking head."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from pipeline.motion import face_animation
from pipeline.motion.gestures.head import HeadMotion, draw_head_motion, talking_head
from pipeline.values import Keypoints, Pose
from tests.helpers.face68 import placed

SIZE, FPS = (600, 400), 25.0


@dataclass(frozen=True)
class Spoken:
    """What `head_motion` reads of a Prosody."""

    speech: np.ndarray
    accents: np.ndarray


def spoken(seconds: float = 60.0, accents: bool = True) -> Spoken:
    """Two seconds of speech, one of silence, and so on, with an accent every second of speech."""
    time = np.arange(int(seconds * FPS)) / FPS
    moments = np.array([(t, 0.8) for t in np.arange(0.5, seconds, 1.0) if t % 3 < 2])
    return Spoken(((time % 3) < 2).astype(float), moments if accents else np.zeros((0, 2)))


def motion(seed: int = 0, seconds: float = 60.0, **kind) -> HeadMotion:
    voice = spoken(seconds, **kind)
    return draw_head_motion(voice, len(voice.speech), FPS, np.random.default_rng(seed))


def reference() -> Pose:
    body = np.zeros((1, 18, 2))
    score = np.zeros((1, 18))
    points = placed(SIZE)
    body[0, [0, 14, 15, 16, 17]] = points[[30, 37, 44, 1, 15]]
    body[0, [1, 2, 5, 3, 6]] = [(0.5, 0.72), (0.25, 0.72), (0.75, 0.72), (0.22, 0.95), (0.78, 0.95)]
    score[0, [0, 1, 2, 3, 5, 6, 14, 15, 16, 17]] = 1
    hands = Keypoints.missing(1, 42)
    return Pose(Keypoints(body, score), hands, Keypoints(points[None], np.ones((1, 68))), FPS, SIZE)


def talking(head: HeadMotion) -> Pose:
    n = len(head.blink)
    still = face_animation.animate(
        reference().face.xy[0], SIZE, np.zeros((n, 10)), head.blink, head.brow
    )
    return talking_head(reference(), still, head, FPS)


def test_the_seed_decides() -> None:
    a, b, c = motion(1), motion(1), motion(2)
    for name in ("angles", "shift", "blink", "brow"):
        assert np.array_equal(getattr(a, name), getattr(b, name))
        assert not np.array_equal(getattr(a, name), getattr(c, name))


def test_size_and_speed_lie_where_real_heads_are() -> None:
    many = [motion(seed) for seed in range(8)]
    spread = np.mean([m.angles.std(0) for m in many], axis=0)
    assert (spread > 1.0).all() and (spread < 4.0).all()
    speed = np.median([np.linalg.norm(np.diff(m.angles, axis=0), axis=1) * FPS for m in many])
    assert 4 < speed < 41
    assert max(np.abs(m.angles).max() for m in many) < 15


def test_heads_move_more_while_speaking() -> None:
    ratios, voice = [], spoken().speech[1:] > 0.5
    for seed in range(8):
        speed = np.linalg.norm(np.diff(motion(seed).angles, axis=0), axis=1)
        ratios.append(speed[voice].mean() / speed[~voice].mean())
    assert 1.15 < np.mean(ratios) < 2.5


def test_an_accent_nods_the_head_down() -> None:
    voice = Spoken(np.ones(100), np.array([[2.0, 1.0]]))
    plain = Spoken(np.ones(100), np.zeros((0, 2)))
    heads = [draw_head_motion(v, 100, FPS, np.random.default_rng(4)) for v in (voice, plain)]
    nod = heads[0].angles[:, 1] - heads[1].angles[:, 1]
    assert 1.0 < nod.max() < 3.0 and abs(np.argmax(nod) / FPS - 2.0) < 0.08
    assert np.abs(nod[:40]).max() < 1e-9


def test_blinks_have_a_human_rate_and_length() -> None:
    blink = motion(3, seconds=300).blink
    shut = blink > 0.5
    starts = np.count_nonzero(shut[1:] & ~shut[:-1])
    assert 12 < starts / 5 < 35
    assert 0.06 < shut.sum() / FPS / starts < 0.25
    assert blink.max() == 1.0 and blink.min() == 0.0


def test_brows_rise_only_at_accents() -> None:
    assert motion(accents=False).brow.max() == 0
    assert 0.2 < motion().brow.max() <= 1


def test_frames_beyond_the_prosody_are_filled() -> None:
    head = draw_head_motion(spoken(2), 80, FPS, np.random.default_rng(0))
    assert len(head.angles) == 80 and np.isfinite(head.angles).all()


def test_the_body_is_held_and_the_head_moves_with_the_face() -> None:
    pose, still = talking(motion(seconds=8)), reference()
    assert len(pose) == 200 and pose.fps == FPS
    assert (pose.body.xy[:, 1] == still.body.xy[0, 1]).all(), "the neck stays"
    nose, tip = pose.body.xy[:, 0], pose.face.xy[:, 30]
    assert np.abs((nose - nose[0]) - (tip - tip[0])).max() < 2e-3, (
        "nose of body and of face move as one"
    )
    assert np.ptp(nose[:, 0]) > 0.005
    shoulders = pose.body.xy[:, [2, 5], 1]
    assert 0 < np.ptp(shoulders) < 0.02, "breathing is slight"
    assert (pose.body.score == still.body.score[0]).all() and not pose.hands.visible.any()


def test_lips_keep_their_distance_when_the_head_only_shifts_and_rolls() -> None:
    head = motion(seconds=8)
    level = HeadMotion(head.angles * [0, 0, 1], head.shift, 0 * head.blink, 0 * head.brow)
    params = np.zeros((200, 10))
    params[:, face_animation.PARAMETERS.index("gap")] = 0.7
    spoken_face = face_animation.animate(
        reference().face.xy[0], SIZE, params, level.blink, level.brow
    )
    pose = talking_head(reference(), spoken_face, level, FPS)
    lips = [
        np.linalg.norm((k.xy[:, 62] - k.xy[:, 66]) * SIZE[::-1], axis=1)
        for k in (spoken_face, pose.face)
    ]
    assert np.abs(lips[0] - lips[1]).max() < 1e-6


def test_missing_face_points_do_not_change_the_size_of_the_shift() -> None:
    head = motion(seconds=2)
    whole = reference()
    xy, score = whole.face.xy.copy(), whole.face.score.copy()
    xy[:, 5], score[:, 5] = (
        -3.0,
        0.0,
    )  # one of the jaw, between ear and chin: no other point rests on it
    torn = replace(whole, face=Keypoints(xy, score))
    still = face_animation.animate(
        whole.face.xy[0], SIZE, np.zeros((len(head.angles), 10)), head.blink, head.brow
    )
    moved = [talking_head(pose, still, head, FPS).face.xy[:, 30] for pose in (whole, torn)]
    assert np.array_equal(*moved)


def test_bad_input_is_refused_in_a_sentence() -> None:
    head = motion(seconds=2)
    still = Keypoints(np.repeat(placed(SIZE)[None], 50, 0), np.ones((50, 68)))
    with pytest.raises(ValueError, match="no face"):
        talking_head(Pose.empty(1, FPS, SIZE), still, head, FPS)
    with pytest.raises(ValueError, match="frames"):
        talking_head(reference(), still[:10], head, FPS)
    with pytest.raises(ValueError, match="fps"):
        draw_head_motion(spoken(2), 10, 0, np.random.default_rng(0))
