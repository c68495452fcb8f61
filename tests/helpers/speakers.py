"""Edits of a speaker, and speech with accents where a test wants them."""

import numpy as np

from pipeline.motion.keypoints import MIRROR_BODY, MIRROR_HANDS
from pipeline.motion.prosody import Prosody
from pipeline.values import Keypoints, Motion, Pose


def mirrored(pose: Pose) -> Pose:
    """The same person in a mirror: left and right change names, so that right stays at the
    picture's left."""
    body, hands = pose.body, pose.hands
    flip = np.array([-1.0, 1.0]), np.array([1.0, 0.0])
    return Pose(
        Keypoints(body.xy[:, MIRROR_BODY] * flip[0] + flip[1], body.score[:, MIRROR_BODY]),
        Keypoints(hands.xy[:, MIRROR_HANDS] * flip[0] + flip[1], hands.score[:, MIRROR_HANDS]),
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
    """Speech throughout but for `pauses`, with an accent of strength 0.8 `every` so many
    seconds."""
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
