"""Speech -> beat gestures of arms and hands, and body sway, for a person without a driving video.

Beats come with accents, the hand's stop (apex) shortly before the peak of loudness: 86 % of strokes fall on
an accented syllable (Yasinnik and others 2004), and a lead of some tens of milliseconds is natural. A
gesture is preparation, stroke, hold and retraction (Kendon 2004), each with minimum jerk (Flash, Hogan 1985):

    x(u) = a + (b - a) (10 u^3 - 15 u^4 + 6 u^5),  u in [0, 1]

Only rotations in the picture plane are applied, around the reference's own posture, so bones keep their
length. Limits, after the American Academy of Orthopaedic Surgeons' "Joint Motion" (1965), projected:

    joint      movement                                    table      used here
    shoulder   abduction, adduction across the body        180, 50    -30 (across) to 120 degrees
    elbow      flexion                                     0 to 150   0 to 150, never bent backwards
    wrist      radial and ulnar deviation                  20, 30     20 to either side of the reference's

A reference that is already outside a limit is not turned further out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.clips import VISIBLE, Keypoints, Pose
from pipeline.motion import gesture, retarget

if TYPE_CHECKING:
    from pipeline.motion.prosody import Prosody

MODES = ("still", "head", "full")
RIGHT, LEFT = (2, 3, 4, 21), (5, 6, 7, 0)  # shoulder, elbow, wrist, first hand point; the person's own sides
NECK, R_HIP, L_HIP = 1, 8, 11
UPPER = np.array([0, 1, 2, 3, 4, 5, 6, 7, 14, 15, 16, 17])  # what sways with the torso

ABDUCTION, FLEXION, WRIST = (-30.0, 120.0), 150.0, 20.0  # degrees; the table above
FORESHORTENED = 0.5  # forearm over upper arm: a shorter one points at the camera and turns little
POINTING_ELBOW = 25.0  # degrees that such an elbow may turn either way
POINTING_GAIN = 1.8  # its hand moves from the shoulder instead
UNSEEN_HAND = 0.4  # of the size: an arm whose hand is in a pocket or behind the back hardly moves
MARGIN = 0.004  # of the frame: gestures stay this far inside, or where the reference already is

WEAKEST = 0.2  # accents under this strength get no stroke
RATE, REFRACTORY = 1.0, 0.70  # strokes per second of a phrase at most, and s between two
TASTE = 0.12  # spread of the choice among accents of like strength
PAUSE = 0.30  # s of silence that end a phrase
EARLY, LATE = 0.10, 0.20  # s by which a phrase's movement may reach into the silence around it
LEAD = (0.022, 0.058)  # s from apex to accent; half a frame at 25 fps more stays within 0 to 80 ms
STROKE, PREPARATION, HOLD, RETRACTION = (0.17, 0.26), (0.26, 0.44), (0.14, 0.36), (0.42, 0.65)
LEAST_PREPARATION, LEAST_HOLD, LEAST_RETRACTION = 0.12, 0.10, 0.36
LINKED = 0.9  # s between two gestures under which the hand waits instead of going back to rest
RELAXED = 0.82  # of the apex is left at the end of the hold
SIZE, SIZE_SPREAD = (0.55, 0.60), 0.12  # amplitude = 0.55 + 0.60 strength, and its log-normal spread

SWAY, SWAY_LIMIT, CALM = 0.40, 0.9, 0.2  # degrees (deviation, most) of the torso, share left in pauses
PIVOT = 1.4  # shoulder widths under the neck where hips are not seen
SHRINK, ROUNDS = 0.75, 14  # steps by which a gesture is made smaller until it stays in the frame


@dataclass(frozen=True)
class Shape:
    """One arm's part in a stroke: degrees at its preparation and at its apex, of

    (upper arm outwards, forearm up, forearm outwards, hand up).
    """

    preparation: tuple[float, float, float, float]
    apex: tuple[float, float, float, float]


REST = Shape((0, 0, 0, 0), (0, 0, 0, 0))
BEAT = Shape((2.0, 10, 0, 5), (0.5, 2, 0, -6))
RAISE = Shape((-0.5, -1, 0, -4), (2.5, 10, 0, 5))
PALM = Shape((-1.5, 4, 0, 3), (4.0, 3, 6, -4))
FLICK = Shape((0.5, 4, 0, 7), (0, 1, 0, -8))
INWARD = Shape((2.5, 4, 0, 2), (-2.5, 7, 0, -2))
COUNTER = Shape((-0.5, 1, 0, 1), (0.5, 3, 0, 1))
# leading arm, other arm, how often
BANK = (
    (BEAT, REST, 0.22),
    (BEAT, BEAT, 0.20),
    (BEAT, COUNTER, 0.14),
    (RAISE, REST, 0.10),
    (PALM, REST, 0.08),
    (PALM, PALM, 0.10),
    (FLICK, REST, 0.08),
    (INWARD, INWARD, 0.08),
)


@dataclass(frozen=True)
class Arm:
    """An arm of the reference that may gesture: `points` in pixels as x + iy, shoulder, elbow, wrist, hand.

    side: 1 where a positive rotation turns it outwards, else -1. lift: the rotation's sign that raises the
    wrist. low, high: (3,) degrees that shoulder, elbow and wrist may turn. gain: (3,).
    """

    joints: tuple[int, int, int, int]
    points: np.ndarray
    side: float
    lift: float
    low: np.ndarray
    high: np.ndarray
    gain: np.ndarray

    def turns(self, movement: tuple[float, ...], size: float) -> np.ndarray:
        """(3,) degrees of shoulder, elbow and wrist, each against its parent, inside the limits."""
        out, up, open_, hand = np.array(movement) * size
        raw = np.array([self.side * out, self.lift * up + self.side * open_, self.lift * hand])
        return np.clip(raw * self.gain, self.low, self.high)

    def placed(self, shoulder: np.ndarray, degrees: np.ndarray) -> np.ndarray:
        """(T,23) elbow, wrist and hand for shoulders (T,) and turns (T,3)."""
        turn = np.exp(1j * np.radians(np.cumsum(degrees, axis=1)))
        own = self.points
        elbow = shoulder + (own[1] - own[0]) * turn[:, 0]
        wrist = elbow + (own[2] - own[1]) * turn[:, 1]
        hand = wrist[:, None] + (own[3:] - own[2]) * turn[:, 2:]
        return np.concatenate([elbow[:, None], wrist[:, None], hand], 1)


@dataclass(frozen=True)
class Stroke:
    """One gesture: seconds of its four moments, the accent it falls on, and the arms' turns (2,3) degrees."""

    start: float
    ready: float
    apex: float
    relax: float
    accent: float
    preparation: np.ndarray
    reached: np.ndarray


def default_mode(reference: Pose) -> str:
    """`full` where at least one forearm with its wrist is seen, else `head`."""
    return "full" if any(_arm(reference, joints) for joints in (RIGHT, LEFT)) else "head"


def pose_free(
    reference: Pose,
    face: Keypoints,
    head: gesture.HeadMotion,
    prosody: Prosody,
    rng: np.random.Generator,
    mode: str | None = None,
) -> Pose:
    """The pose of a speaker without a driving video; mode: `still`, `head`, `full` or None for the default.

    face: the speaking face (T,68,2) in the reference's own place.
    """
    mode = mode or default_mode(reference)
    if mode not in MODES:
        raise ValueError(f"gestures {mode!r} are not known; choose one of {', '.join(MODES)}")
    if mode == "still":
        return replace(retarget.hold(reference, len(face), prosody.fps), face=face)
    pose = gesture.talking_head(reference, face, head, prosody.fps)
    return pose if mode == "head" else gesturing(pose, reference, prosody, rng)


def gesturing(pose: Pose, reference: Pose, prosody: Prosody, rng: np.random.Generator) -> Pose:
    """The talking head `pose` with torso sway and beat gestures of the arms that the reference shows."""
    frames, fps = len(pose), pose.fps
    if not (reference.body.score[0, [2, 5]] > VISIBLE).all():
        return pose
    time = (np.arange(frames) + 0.5) / fps
    arms = [arm for joints in (RIGHT, LEFT) if (arm := _arm(reference, joints))]
    strokes = plan(prosody, arms, rng, frames / fps)
    active = CALM + (1 - CALM) * gesture._smooth(gesture._fitted(prosody.speech, frames), 0.5 * fps)
    sway = SWAY_LIMIT * np.tanh(SWAY / SWAY_LIMIT * gesture._waves(time, rng, 1)[:, 0] * active)
    sizes, swing = np.ones(len(strokes)), 1.0
    for round_ in range(ROUNDS + 1):
        if round_ == ROUNDS:
            sizes, swing = np.zeros(len(strokes)), 0.0
        moved = _moved(pose, reference, arms, _tracks(strokes, sizes, time), swing * sway)
        outside = _outside(moved, reference, pose)
        if not outside.any():
            break
        guilty = np.array([outside[_covers(stroke, time)].any() for stroke in strokes], bool)
        sizes = np.where(guilty, sizes * SHRINK, sizes)
        rest = outside & ~np.any([_covers(stroke, time) for stroke in strokes] or [~outside], axis=0)
        swing *= SHRINK if rest.any() or (sizes[guilty] < 0.3).any() else 1.0
    return moved


def _arm(reference: Pose, joints: tuple[int, int, int, int]) -> Arm | None:
    """The arm with its limits, or None where elbow or wrist is not seen."""
    body, hand = reference.body[:1], reference.hands[:1]
    seen, fingers = body.visible[0, list(joints[:3])], slice(joints[3], joints[3] + 21)
    pixels = np.array([reference.size[1], reference.size[0]])
    xy = np.concatenate([body.xy[0, list(joints[:3])], hand.xy[0, fingers]]) * pixels
    points = xy[:, 0] + 1j * xy[:, 1]
    upper, fore = points[1] - points[0], points[2] - points[1]
    if not seen.all() or abs(upper) < 1 or abs(fore) < 1:
        return None
    middle = body.xy[0, [2, 5], 0].mean() * pixels[0]
    side = (
        1.0 if points[0].real <= middle else -1.0
    )  # outwards is clockwise for the arm at the picture's left
    level = fore.real / abs(fore)
    lift = -side if abs(level) < 0.2 else -float(np.sign(level))
    low, high = _limits(upper, fore, side, lift)
    pointing = abs(fore) < FORESHORTENED * abs(upper)
    seen_hand = hand.visible[0, fingers].mean() > 0.5
    gain = np.array([POINTING_GAIN if pointing else 1.0, 1.0, 1.0]) * (1.0 if seen_hand else UNSEEN_HAND)
    return Arm(joints, points, side, lift, low, high, gain)


def _limits(upper: complex, fore: complex, side: float, lift: float) -> tuple[np.ndarray, np.ndarray]:
    """(3,) least and most degrees that shoulder, elbow and wrist may turn; 0 always lies between."""
    out = side * np.degrees(np.angle(upper / 1j))
    shoulder = np.sort(side * np.array([ABDUCTION[0] - out, ABDUCTION[1] - out]))
    bend = np.degrees(np.angle(fore * np.conj(upper)))
    way = np.sign(bend) if abs(bend) > 8 else lift
    elbow = np.sort(way * np.array([0.0, FLEXION]) - bend)
    if abs(fore) < FORESHORTENED * abs(upper):
        elbow = np.array([-POINTING_ELBOW, POINTING_ELBOW])
    both = np.stack([shoulder, elbow, [-WRIST, WRIST]], 1)
    return np.minimum(both[0], 0), np.maximum(both[1], 0)


def phrases(speech: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """Seconds (start, stop) of the stretches of speech between pauses of at least 0.3 s."""
    spoken = np.concatenate([[False], np.asarray(speech) > 0.5, [False]])
    starts, stops = (np.flatnonzero(e) / fps for e in (spoken[1:] & ~spoken[:-1], spoken[:-1] & ~spoken[1:]))
    found: list[tuple[float, float]] = []
    for start, stop in zip(starts, stops, strict=True):
        if found and start - found[-1][1] < PAUSE:
            start = found.pop()[0]
        found.append((float(start), float(stop)))
    return found


def _chosen(accents: np.ndarray, span: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """(n,2) the accents of a phrase that get a stroke: strong ones first, apart, not too many."""
    within = accents[(accents[:, 0] >= span[0]) & (accents[:, 0] < span[1]) & (accents[:, 1] >= WEAKEST)]
    liking = within[:, 1] + rng.normal(0, TASTE, len(within))
    most, taken = int(np.ceil((span[1] - span[0]) * RATE)), []
    first = span[0] - EARLY + LEAST_PREPARATION + STROKE[0] + LEAD[1]
    last = span[1] + LATE - LEAST_HOLD - LEAST_RETRACTION + LEAD[0]
    for k in np.argsort(-liking):
        apart = all(abs(within[k, 0] - within[j, 0]) >= REFRACTORY for j in taken)
        if len(taken) < most and apart and first <= within[k, 0] <= last:
            taken.append(k)
    return within[sorted(taken)]


def plan(prosody: Prosody, arms: list[Arm], rng: np.random.Generator, seconds: float) -> list[Stroke]:
    """The strokes of a speech, in order of time; none without accents or arms."""
    accents = np.asarray(prosody.accents, float).reshape(-1, 2)
    weights = np.array([row[2] for row in BANK])
    found: list[Stroke] = []
    leading, free = int(rng.integers(2)), 0.0
    for span in phrases(prosody.speech, prosody.fps) if arms else []:
        span = span[0], min(span[1], seconds)
        for moment, strength in _chosen(accents, span, rng):
            leading = 1 - leading if rng.random() < 0.35 else leading
            lead, other, _ = BANK[rng.choice(len(BANK), p=weights / weights.sum())]
            size = (SIZE[0] + SIZE[1] * strength) * np.exp(rng.normal(0, SIZE_SPREAD))
            apex = moment - rng.uniform(*LEAD)
            draws = [rng.uniform(*s) for s in (STROKE, PREPARATION, HOLD)]
            start = max(apex - draws[0] - draws[1], free, span[0] - EARLY)
            ready = max(apex - draws[0], start + LEAST_PREPARATION)
            relax = max(apex + LEAST_HOLD, min(apex + draws[2], span[1] + LATE - LEAST_RETRACTION))
            shapes = [lead if k == leading % len(arms) else other for k in range(len(arms))]
            turns = [
                np.array([a.turns(getattr(s, moment_), size) for a, s in zip(arms, shapes, strict=True)])
                for moment_ in ("preparation", "apex")
            ]
            found.append(Stroke(start, ready, apex, relax, float(moment), *turns))
            free = relax + 0.04
    return found


def _tracks(strokes: list[Stroke], sizes: np.ndarray, time: np.ndarray) -> np.ndarray:
    """(T, arms, 3) degrees at the frames' times: minimum jerk between the gestures' moments."""
    if not strokes:
        return np.zeros((len(time), 0, 3))
    still = np.zeros_like(strokes[0].reached)
    keys: list[tuple[float, np.ndarray]] = [(-1.0, still)]
    for k, (stroke, size) in enumerate(zip(strokes, sizes, strict=True)):
        after = strokes[k + 1].start if k + 1 < len(strokes) else np.inf
        kept = RELAXED * size * stroke.reached
        keys += [(stroke.start, keys[-1][1]), (stroke.ready, size * stroke.preparation)]
        keys += [(stroke.apex, size * stroke.reached), (stroke.relax, kept)]
        if after - stroke.relax > LINKED:
            keys.append((stroke.relax + retraction(stroke), still))
    moments, poses = np.array([key[0] for key in keys]), np.array([key[1] for key in keys])
    at = np.clip(np.searchsorted(moments, time, side="right") - 1, 0, len(keys) - 1)
    following = np.minimum(at + 1, len(keys) - 1)
    length = np.maximum(moments[following] - moments[at], 1e-9)
    u = np.clip((time - moments[at]) / length, 0, 1)[:, None, None]
    return poses[at] + (poses[following] - poses[at]) * (10 * u**3 - 15 * u**4 + 6 * u**5)


def retraction(stroke: Stroke) -> float:
    """Seconds of the way back to rest: longer after a wide gesture."""
    wide = np.clip(np.abs(stroke.reached).max() / 15, 0, 1)
    return float(LEAST_RETRACTION + (RETRACTION[1] - LEAST_RETRACTION) * wide * 0.5)


def _covers(stroke: Stroke, time: np.ndarray) -> np.ndarray:
    """(T,) bool, the frames in which the gesture moves or holds an arm."""
    return (time >= stroke.start) & (time <= stroke.relax + LINKED)


def _moved(pose: Pose, reference: Pose, arms: list[Arm], tracks: np.ndarray, sway: np.ndarray) -> Pose:
    """The pose with arms turned by `tracks` (T,arms,3) and the upper body swayed by `sway` (T,) degrees."""
    pixels = np.array([pose.size[1], pose.size[0]], float)
    body, hands, face = (
        p.xy @ np.array([pixels[0], 1j * pixels[1]]) for p in (pose.body, pose.hands, pose.face)
    )
    rest = reference.body.xy[0] @ np.array([pixels[0], 1j * pixels[1]])
    for shoulder, elbow, wrist, _ in (RIGHT, LEFT):  # the arm rises with its shoulder's breath
        body[:, [elbow, wrist]] = rest[[elbow, wrist]] + (body[:, shoulder] - rest[shoulder])[:, None]
    for k, arm in enumerate(arms):
        turns = tracks[:, k] if tracks.shape[1] else np.zeros((len(body), 3))
        placed = arm.placed(body[:, arm.joints[0]], turns)
        body[:, list(arm.joints[1:3])] = placed[:, :2]
        hands[:, arm.joints[3] : arm.joints[3] + 21] = placed[:, 2:]
    pivot = _pivot(reference, rest)
    turn = np.exp(1j * np.radians(sway))[:, None]
    body[:, UPPER] = pivot + (body[:, UPPER] - pivot) * turn
    hands, face = (pivot + (points - pivot) * turn for points in (hands, face))
    parts = [
        Keypoints(np.stack([z.real, z.imag], 2) / pixels, part.score)
        for z, part in ((body, pose.body), (hands, pose.hands), (face, pose.face))
    ]
    return Pose(*parts, pose.fps, pose.size)


def _pivot(reference: Pose, rest: np.ndarray) -> complex:
    """Where the torso sways about: between the hips, or under the neck where they are not seen."""
    if reference.body.visible[0, [R_HIP, L_HIP]].all():
        return rest[[R_HIP, L_HIP]].mean()
    return rest[[2, 5]].mean() + 1j * PIVOT * abs(rest[2] - rest[5])


def _outside(moved: Pose, reference: Pose, pose: Pose) -> np.ndarray:
    """(T,) bool: a point of body or hands is nearer the edge than the margin, its old place and `pose`."""
    bad = np.zeros(len(moved), bool)
    for name in ("body", "hands"):
        new, old, before = (getattr(p, name) for p in (moved, reference, pose))
        held = np.broadcast_to(old.xy[:1], before.xy.shape)
        low = np.minimum(np.minimum(held, before.xy), MARGIN)
        high = np.maximum(np.maximum(held, before.xy), 1 - MARGIN)
        wrong = ((new.xy < low) | (new.xy > high)).any(2) & old.visible[:1]
        bad |= wrong.any(1)
    return bad
