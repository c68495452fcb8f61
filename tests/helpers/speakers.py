"""A drawn-up person with arms and hands, and speech with accents where a test wants them."""

import numpy as np

from pipeline.motion.prosody import Prosody
from pipeline.values import Keypoints, Motion, Pose
from tests.helpers.face68 import placed

SIZE = (1000, 600)
BODY = "30 40 30 55 21 56 17 73 23 85 39 56 43 73 37 85 25 92 25 99 25 99 35 92 35 99 35 99"
BODY += " 28 38 32 38 26 40 34 40"


def hand(wrist: np.ndarray, towards: tuple[float, float]) -> np.ndarray:
    """(21,2) five straight fingers in pixels, from a wrist in the direction `towards`."""
    along = np.array(towards) / np.hypot(*towards)
    across = along[::-1] * [-1, 1]
    fingers = [
        wrist + along * (28 + 12 * k) + across * 7 * (finger - 2)
        for finger in range(5)
        for k in range(4)
    ]
    return np.array([wrist, *fingers])


def speaker(fps: float = 25.0) -> Pose:
    """Upright, hands before the belly, hips in the picture and the legs below it."""
    body = np.array(BODY.split(), float).reshape(18, 2) * [SIZE[1] / 60, SIZE[0] / 100]
    hands = np.concatenate([hand(body[7], (-1, 1)), hand(body[4], (1, 1))])
    seen = np.ones((1, 18))
    seen[0, [9, 10, 12, 13]] = 0
    scale = np.array(SIZE[::-1], float)
    return Pose(
        Keypoints((body / scale)[None], seen),
        Keypoints((hands / scale)[None], np.ones((1, 42))),
        Keypoints(placed(SIZE, 50.0)[None], np.ones((1, 68))),
        fps,
        SIZE,
    )


def mirrored(pose: Pose) -> Pose:
    """The same person in a mirror: left and right change names, so that right stays at the picture's left."""
    order = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
    body, hands = pose.body, pose.hands
    sides = np.r_[21:42, 0:21]
    flip = np.array([-1.0, 1.0]), np.array([1.0, 0.0])
    return Pose(
        Keypoints(body.xy[:, order] * flip[0] + flip[1], body.score[:, order]),
        Keypoints(hands.xy[:, sides] * flip[0] + flip[1], hands.score[:, sides]),
        pose.face,
        pose.fps,
        pose.size,
    )


def without(pose: Pose, body: tuple[int, ...] = (), hands: slice = slice(0)) -> Pose:
    """The pose with some points missing."""
    scores = pose.body.score.copy(), pose.hands.score.copy()
    scores[0][:, list(body)] = 0
    scores[1][:, hands] = 0
    parts = Keypoints(pose.body.xy, scores[0]), Keypoints(pose.hands.xy, scores[1])
    return Pose(*parts, pose.face, pose.fps, pose.size)


def spoken(
    seconds: float,
    fps: float = 25.0,
    every: float = 1.0,
    pauses: tuple[tuple[float, float], ...] = (),
) -> Prosody:
    """Speech throughout but for `pauses`, with an accent of strength 0.8 `every` so many seconds."""
    time = (np.arange(max(1, round(seconds * fps))) + 0.5) / fps
    quiet = np.zeros(len(time), bool)
    for start, stop in pauses:
        quiet |= (time > start) & (time < stop)
    moments = np.arange(every, seconds - 0.2, every) if every else np.zeros(0)
    moments = np.array([m for m in moments if not any(a - 0.1 < m < b + 0.2 for a, b in pauses)])
    intensity = np.where(quiet, 0.0, 0.4)
    for moment in moments:
        intensity = np.maximum(intensity, np.exp(-(((time - moment) / 0.12) ** 2)))
    excitation = np.where(quiet, -1.0, (intensity - 0.4) / 0.6)
    accents = np.stack([moments, np.full(len(moments), 0.8)], 1)
    return Prosody(intensity, excitation, accents, (~quiet).astype(float), fps)


def motion(pose: Pose, reference: Pose, speech: Prosody) -> Motion:
    """A motion for the slider."""
    curves = (
        speech.intensity,
        speech.excitation,
        np.ones(len(pose)),
        np.zeros((len(pose), 1, 1), np.float32),
    )
    return Motion(pose, reference, None, None, *curves)
