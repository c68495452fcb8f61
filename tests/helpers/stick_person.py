"""Stick people for tests: one builder, and the people whom several tests share."""

from __future__ import annotations

import numpy as np

from pipeline.motion.keypoints import L_WRIST, R_WRIST
from pipeline.values import BODY, FACE, HANDS, Keypoints, Pose
from tests.helpers.face68 import placed

FPS = 25.0


def stick_person(
    body: np.ndarray,
    hands: np.ndarray,
    face: np.ndarray,
    size: tuple[int, int],
    *,
    unit: tuple[float, float] = (1.0, 1.0),
    frames: int = 1,
    fps: float = FPS,
    body_score: np.ndarray | float = 1.0,
    hands_score: np.ndarray | float = 1.0,
    face_score: np.ndarray | float = 1.0,
) -> Pose:
    """Assemble a pose from the places of its points.

    Args:
        body: (18,2) places that stand still for `frames`, or (T,18,2) places that move.
        hands: (42,2) or (T,42,2), the left hand first; (21,2) is one hand's shape, put on both
            wrists of a body that stands still.
        face: (68,2) or (T,68,2).
        size: the picture's height and width in pixels.
        unit: what the places are counted in, along x and y: (1, 1) is fractions of the picture, and
            the picture's (width, height) is pixels.
        body_score, hands_score, face_score: one score for all points, (K,), or (T,K).
    """
    body = np.asarray(body, float)
    hands = np.asarray(hands, float)
    if len(hands) == HANDS // 2:
        hands = np.concatenate([hands + body[L_WRIST], hands + body[R_WRIST]])

    def points(places: np.ndarray, score: np.ndarray | float) -> Keypoints:
        places = np.asarray(places, float) / np.array(unit, float)
        if places.ndim == 2:
            places = np.repeat(places[None], frames, 0)
        return Keypoints(places, np.array(np.broadcast_to(score, places.shape[:2]), float))

    parts = (points(body, body_score), points(hands, hands_score), points(face, face_score))
    return Pose(*parts, fps, size)


def without_points(count: int, missing: tuple[int, ...]) -> np.ndarray:
    """(count,) scores: 0 for the points that are missing, 1 for the others."""
    score = np.ones(count)
    score[list(missing)] = 0
    return score


# ---- small figures in fractions of the picture


def figure(frames: int = 1, fps: float = FPS, size: tuple[int, int] = (128, 96)) -> Pose:
    """A standing person, seen to the hips, whose right arm swings and whose mouth opens and
    closes."""
    body = np.zeros((18, 2))
    body[:5] = [(0.5, 0.2), (0.5, 0.38), (0.36, 0.4), (0.32, 0.58), (0.34, 0.74)]
    body[5:8] = [(0.64, 0.4), (0.68, 0.58), (0.66, 0.74)]
    body[8:14] = [(0.42, 0.8), (0.42, 0.95), (0.42, 1.2), (0.58, 0.8), (0.58, 0.95), (0.58, 1.2)]
    body[14:] = [(0.47, 0.18), (0.53, 0.18), (0.43, 0.19), (0.57, 0.19)]
    body = np.repeat(body[None], frames, 0)
    swing = 0.05 * np.sin(np.arange(frames) / 3)
    body[:, 3, 0] -= np.abs(swing)
    body[:, 4, 0] -= np.abs(swing) * 2
    around = np.linspace(0, 1, 68)
    angle = np.pi * np.linspace(0, 1, 17)
    face = np.stack(
        [0.5 + 0.08 * np.cos(2 * np.pi * around), 0.2 + 0.06 * np.sin(2 * np.pi * around)], -1
    )
    face[:17] = np.stack([0.5 - 0.09 * np.cos(angle), 0.2 + 0.1 * np.sin(angle)], -1)
    lips = 2 * np.pi * np.linspace(0, 1, 20)
    face[48:] = np.stack([0.5 - 0.035 * np.cos(lips), 0.255 + 0.008 * np.sin(lips)], -1)
    face = np.repeat(face[None], frames, 0)
    face[:, 48:, 1] += 0.01 * np.sin(lips)[None] * np.abs(np.sin(np.arange(frames) / 2))[:, None]
    wrists = np.concatenate([body[0, 7:8].repeat(21, 0), body[0, 4:5].repeat(21, 0)])
    ring = 0.02 * np.stack([np.cos(np.arange(42)), np.sin(np.arange(42))], -1)
    hands = np.repeat(wrists[None], frames, 0) + ring
    inside = body[..., 1] <= 1
    return stick_person(body, hands, face, size, fps=fps, body_score=inside)


STILL_BODY = "50 20 50 32 40 32 36 45 38 56 60 32 64 45 62 56 44 58 44 75 44 92 56 58 56 75 56 92"
STILL_BODY += " 48 18 52 18 46 19 54 19"  # hundredths of the picture


def still_person(frames: int = 1) -> Pose:
    """A made-up person in the middle of a portrait picture."""
    body = np.array(STILL_BODY.split(), float).reshape(BODY, 2) / 100
    angle = np.linspace(0, 2 * np.pi, FACE, endpoint=False)
    face = np.stack([0.5 + 0.05 * np.cos(angle), 0.2 + 0.06 * np.sin(angle)], 1)
    lips = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    face[48:60] = np.stack([0.5 + 0.02 * np.cos(lips), 0.23 + 0.012 * np.sin(lips)], 1)
    face[60:68] = 0.5 + 0.006 * np.stack([np.cos(lips[:8]), np.sin(lips[:8])], 1) - (0, 0.27)
    hands = np.concatenate([np.linspace(body[k], body[k] + (0.03, 0.05), 21) for k in (7, 4)])
    return stick_person(body, hands, face, (384, 256), frames=frames, fps=25)


# ---- a speaker, in pixels

SPEAKER_SIZE = (1000, 600)
SPEAKER_BODY = "30 40 30 55 21 56 17 73 23 85 39 56 43 73 37 85 25 92 25 99 25 99 35 92 35 99 35 99"
SPEAKER_BODY += " 28 38 32 38 26 40 34 40"


def straight_fingers(wrist: np.ndarray, towards: tuple[float, float]) -> np.ndarray:
    """(21,2) five straight fingers in pixels, from a wrist in the direction `towards`."""
    along = np.array(towards) / np.hypot(*towards)
    across = along[::-1] * [-1, 1]
    fingers = [
        wrist + along * (28 + 12 * k) + across * 7 * (finger - 2)
        for finger in range(5)
        for k in range(4)
    ]
    return np.array([wrist, *fingers])


def speaker(fps: float = FPS) -> Pose:
    """Upright, hands before the belly, hips in the picture and the legs below it."""
    height, width = SPEAKER_SIZE
    pixels = np.array((width, height), float)
    body = np.array(SPEAKER_BODY.split(), float).reshape(18, 2) * [width / 60, height / 100]
    left = straight_fingers(body[7], (-1, 1))
    right = straight_fingers(body[4], (1, 1))
    hands = np.concatenate([left, right])
    return stick_person(
        body / pixels,
        hands / pixels,
        placed(SPEAKER_SIZE, 50.0),
        SPEAKER_SIZE,
        fps=fps,
        body_score=without_points(18, (9, 10, 12, 13)),
    )


# ---- a person who beats with both arms

PLANTED_SIZE = (768, 512)  # height, width: not square, so that angles in fractions would be wrong
ARMS = {  # shoulder: (side, hanging angle, first hand point)
    2: (0.12, 0.95, 21),
    5: (-0.12, 2.19, 0),
}


def planted(
    frames: int = 250,
    seed: int = 0,
    swing: float = 0.5,
    size: tuple[int, int] = PLANTED_SIZE,
    scale: float = 170.0,
    place: tuple[float, float] = (0.5, 0.33),
) -> Pose:
    """A person with legs who beats both arms at 1.1 and 1.4 Hz, sways and nods; bone lengths are
    constant."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / FPS
    wave = [np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (0.3, 0.5, 1.1, 1.4, 0.9, 1.7)]
    body, hands, face = (np.zeros((frames, k), complex) for k in (18, 42, 68))
    hips = 0j + np.array(place[0] * size[1] + 1j * place[1] * size[0]) + 1.1j * scale
    body[:, 8], body[:, 11] = hips - 0.2 * scale, hips + 0.2 * scale
    for hip, knee, ankle in ((8, 9, 10), (11, 12, 13)):
        body[:, knee], body[:, ankle] = body[:, hip] + 0.7j * scale, body[:, hip] + 1.3j * scale
    lean = np.exp(1j * 0.06 * wave[0])
    neck = body[:, 1] = hips - 1.1j * scale * lean
    tilt = lean * np.exp(1j * 0.1 * wave[1])
    head = {0: -0.45j, 14: -0.07 - 0.52j, 15: 0.07 - 0.52j, 16: -0.15 - 0.45j, 17: 0.15 - 0.45j}
    for k, offset in head.items():
        body[:, k] = neck + scale * offset * tilt
    ring = np.exp(2j * np.pi * np.arange(68) / 68)
    talk = 1 + 0.2 * np.abs(np.sin(9 * t))[:, None] * (np.arange(68) >= 48)
    face[:] = neck[:, None] + scale * (-0.45j + 0.14 * ring * talk) * tilt[:, None]
    fingers = 0.02 * np.arange(21) * np.exp(1j * np.linspace(-0.5, 0.5, 21))
    for shoulder, (side, hang, first) in ARMS.items():
        upper, fore, palm = wave[2 if side > 0 else 3], wave[4], wave[5]
        body[:, shoulder] = neck + (-side * 2.5 * scale) * lean
        angle = np.pi - hang + swing * upper * 0.5
        for bone, (add, length) in enumerate(((0, 0.55), (swing * fore - side * 8, 0.45))):
            angle = angle + add
            body[:, shoulder + 1 + bone] = body[:, shoulder + bone] + length * scale * np.exp(
                1j * angle
            )
        hand = np.exp(1j * (angle + 0.3 * swing * palm))
        hands[:, first : first + 21] = body[:, shoulder + 2, None] + scale * fingers * hand[:, None]
    places = (np.stack([z.real, z.imag], 2) for z in (body, hands, face))
    return stick_person(*places, size, unit=(size[1], size[0]))


# ---- a small person in pixels, for the warp

WARP_SIZE = (192, 128)
WARP_BODY = [
    (64, 50), (64, 75), (44, 76), (36, 110), (40, 140), (84, 76), (92, 110), (88, 140), (52, 140), (52, 185),
    (52, 230), (76, 140), (76, 185), (76, 230), (59, 44), (69, 44), (50, 46), (78, 46),
]  # fmt: skip
HAND_FAN = np.array([(0, 0)] + [(f * 2 - 4, 3 * (j + 1)) for f in range(5) for j in range(4)])


def small_face(gap: float = 0.0, middle: tuple[float, float] = (64, 48)) -> np.ndarray:
    """(68,2) pixels of a plain face about 40 pixels high."""
    turn = np.linspace(np.pi, 0, 17)
    jaw = np.stack([-np.cos(turn) * -14, np.sin(turn) * 17], 1) * [1, 1]
    brows = [(x, -9) for x in (-11, -9, -7, -5, -3, 3, 5, 7, 9, 11)]
    nose = [(0, -6), (0, -3), (0, 0), (0, 2), (-3, 4), (-1.5, 4.5), (0, 5), (1.5, 4.5), (3, 4)]
    eye = [(-2.5, 0), (-1, -1.2), (1, -1.2), (2.5, 0), (1, 1.2), (-1, 1.2)]
    eyes = [(x + side, y - 5) for side in (-6, 6) for x, y in eye]
    outer = [(-6, 9), (-4, 8), (-2, 7.5), (0, 7.8), (2, 7.5), (4, 8), (6, 9)]
    outer += [(4, 10.5 + gap), (2, 11.2 + gap), (0, 11.4 + gap), (-2, 11.2 + gap), (-4, 10.5 + gap)]
    inner = [(-5, 9), (-2, 9), (0, 9), (2, 9), (5, 9)]
    inner += [(2, 9.2 + gap), (0, 9.2 + gap), (-2, 9.2 + gap)]
    points = np.array([*jaw, *brows, *nose, *eyes, *outer, *inner])
    points[4:13, 1] += 0.6 * gap
    return points + middle


def small_person(frames: int = 1, gap: float = 0.0) -> Pose:
    """The person of the warp's tests, whose lips are open by `gap` pixels."""
    pixels = WARP_SIZE[::-1]
    face = small_face(gap)
    return stick_person(WARP_BODY, HAND_FAN, face, WARP_SIZE, unit=pixels, frames=frames, fps=25)
