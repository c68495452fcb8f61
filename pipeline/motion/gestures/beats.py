"""Speech -> beat gestures of arms and hands, and body sway, for a person without a driving video.

Beats come with accents, the hand's stop (apex) shortly before the peak of loudness: 86 % of strokes fall on
an accented syllable (Yasinnik and others 2004), and a lead of some tens of milliseconds is natural. A
gesture is preparation, stroke, hold and retraction (Kendon 2004), each with minimum jerk (Flash, Hogan 1985):

    x(u) = a + (b - a) (10 u^3 - 15 u^4 + 6 u^5),  u in [0, 1]

A bank of strokes says where the hand is when it is ready and when it stops; `arms` finds the turns of the
reference's own shoulder and elbow that bring it there. Between gestures that are near the hand waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.motion import timing
from pipeline.motion.gestures import arm_ik
from pipeline.motion.gestures import head as gesture
from pipeline.motion.gestures.arm_ik import LEFT, RIGHT, Arm
from pipeline.motion.keypoints import (
    L_HIP,
    L_SHOULDER,
    R_HIP,
    R_SHOULDER,
    SHOULDERS,
    complex_pixels,
)
from pipeline.values import InputError, Keypoints, Pose

if TYPE_CHECKING:
    from pipeline.motion.prosody import Prosody

MODES = ("still", "head", "full")
UPPER = np.array([0, 1, 2, 3, 4, 5, 6, 7, 14, 15, 16, 17])  # what sways with the torso

WEAKEST = 0.2  # accents under this strength get no stroke
# strokes per second of a phrase at most, and s between two
RATE = 1.3
REFRACTORY = 0.62
TASTE = 0.12  # spread of the choice among accents of like strength
PAUSE = 0.30  # s of silence that end a phrase
# s by which a phrase's gestures may reach into the silence around it
EARLY = 0.20
LATE = 0.15
LEAD = (0.022, 0.058)  # s from apex to accent; half a frame at 25 fps more stays within 0 to 80 ms
STROKE = (0.18, 0.26)
PREPARATION = (0.36, 0.52)
HOLD = (0.14, 0.36)
RETRACTION = (0.45, 0.70)
LEAST_PREPARATION = 0.26
LEAST_HOLD = 0.10
# s at rest between two gestures for which the hand goes back; else it waits where it is
LINKED = 1.2
LONG_PAUSE = 1.5  # s of silence in which a hand goes back to rest; in shorter ones it waits
RELAXED = 0.72  # of the apex is left at the end of the hold
SWITCH = 0.35  # chance that the other arm leads the next gesture
# amplitude = 0.75 + 0.40 strength, and its log-normal spread
SIZE = (0.75, 0.40)
SIZE_SPREAD = 0.12
UNSEEN_HAND = 0.2  # of the size: an arm whose hand is hidden or cut off hardly moves

# degrees (deviation, most) of the torso, share left in pauses
SWAY = 0.7
SWAY_LIMIT = 1.8
CALM = 0.15
# degrees of deviation by which shoulder, elbow and wrist are never quite still
LIFE = (0.5, 1.0, 1.2)
PIVOT = 1.4  # shoulder widths under the neck where hips are not seen
MARGIN = 0.004  # of the frame: gestures stay this far inside, or where the reference already is
# steps by which a gesture is made smaller until it stays in the frame
SHRINK = 0.75
ROUNDS = 12


@dataclass(frozen=True)
class Shape:
    """One arm's part in a stroke: shoulder widths (out, up) and degrees (hand up) when ready and at its apex.

    carry: share of the way from rest to where people gesture, on which both are added.
    """

    carry: float
    ready: tuple[float, float, float]
    apex: tuple[float, float, float]


REST = Shape(0.0, (0, 0, 0), (0, 0, 0))
BEAT = Shape(1.0, (0.03, 0.18, 10), (0.01, 0.02, -8))
RAISE = Shape(0.8, (0.0, -0.03, -5), (0.05, 0.17, 8))
PALM = Shape(1.0, (-0.05, 0.10, 6), (0.16, 0.05, -6))
FLICK = Shape(0.9, (0.0, 0.09, 14), (0.03, 0.0, -14))
INWARD = Shape(1.0, (0.13, 0.05, 4), (-0.06, 0.12, -4))
COUNTER = Shape(0.6, (0.01, 0.08, 4), (0.0, 0.02, -4))
# leading arm, other arm, how often
BANK = (
    (BEAT, REST, 0.20),
    (BEAT, BEAT, 0.20),
    (BEAT, COUNTER, 0.14),
    (RAISE, REST, 0.09),
    (PALM, REST, 0.08),
    (PALM, PALM, 0.11),
    (FLICK, COUNTER, 0.09),
    (INWARD, INWARD, 0.09),
)


@dataclass(frozen=True)
class Stroke:
    """One gesture: seconds of its moments, the accent it falls on, the arms' turns (arms,3) in degrees.

    retract, rested: when the arms go back to rest and are there; infinite where they wait for the next.
    """

    start: float
    ready: float
    apex: float
    relax: float
    accent: float
    preparation: np.ndarray
    reached: np.ndarray
    retract: float = np.inf
    rested: float = np.inf


def default_mode(reference: Pose) -> str:
    """`full` where at least one arm with its wrist is in the picture, else `head`."""
    return "full" if arm_ik.find(reference) else "head"


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
        raise InputError(f"gestures {mode!r} are not known; choose one of {', '.join(MODES)}")
    if mode == "still":
        return replace(timing.hold(reference, len(face), prosody.fps), face=face)
    pose = gesture.talking_head(reference, face, head, prosody.fps)
    return pose if mode == "head" else gesturing(pose, reference, prosody, rng)


def gesturing(pose: Pose, reference: Pose, prosody: Prosody, rng: np.random.Generator) -> Pose:
    """The talking head `pose` with torso sway and beat gestures of the arms that the reference shows.

    What would leave the frame, or bring a hand before the face, is made smaller until it does not.
    """
    if not reference.body.visible[0, [RIGHT[0], LEFT[0]]].all():
        return pose
    time = (np.arange(len(pose)) + 0.5) / pose.fps
    linkages = arm_ik.find(reference)
    strokes = plan(prosody, linkages, rng, len(pose) / pose.fps)
    speech = gesture.smooth(gesture.fitted(prosody.speech, len(pose)), 0.2 * pose.fps)
    clock = np.cumsum(CALM + (1 - CALM) * speech) / pose.fps  # it nearly stands still in pauses
    waves = gesture.waves(clock, rng, 1 + 3 * len(linkages))
    sway = SWAY_LIMIT * np.tanh(SWAY / SWAY_LIMIT * waves[:, 0])
    limits = [
        np.array([getattr(arm, end) for arm in linkages]).reshape(-1, 3) for end in ("low", "high")
    ]
    life = np.tanh(waves[:, 1:].reshape(len(time), -1, 3) / 2) * 2 * LIFE

    def moved(sizes: np.ndarray, swing: float) -> tuple[Pose, np.ndarray]:
        turns = np.clip(_tracks(strokes, sizes, time, len(linkages)) + swing * life, *limits)
        made = _moved(pose, reference, linkages, turns, swing * sway)
        return made, _forbidden(made, reference, pose)

    swing = 1.0
    nothing = np.zeros(len(strokes))
    while swing and moved(nothing, swing)[1].any():
        swing = swing * SHRINK if swing > 0.05 else 0.0
    sizes = np.ones(len(strokes))
    for round_ in range(ROUNDS):
        made, bad = moved(sizes, swing)
        if not bad.any():
            return made
        guilty = np.array([bad[_covers(strokes, k, time)].any() for k in range(len(strokes))])
        sizes = np.where(guilty, sizes * SHRINK if round_ < ROUNDS - 2 else 0, sizes)
    return moved(nothing, swing)[0]


def phrases(speech: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """Seconds (start, stop) of the stretches of speech between pauses of at least 0.3 s."""
    spoken = np.concatenate([[False], np.asarray(speech) > 0.5, [False]])
    starts, stops = (
        np.flatnonzero(e) / fps for e in (spoken[1:] & ~spoken[:-1], spoken[:-1] & ~spoken[1:])
    )
    found: list[tuple[float, float]] = []
    for start, stop in zip(starts, stops, strict=True):
        if found and start - found[-1][1] < PAUSE:
            start = found.pop()[0]
        found.append((float(start), float(stop)))
    return found


def _chosen(accents: np.ndarray, span: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """(n,2) the accents of a phrase that get a stroke: strong ones first, apart, not too many."""
    within = accents[
        (accents[:, 0] >= span[0]) & (accents[:, 0] < span[1]) & (accents[:, 1] >= WEAKEST)
    ]
    liking = within[:, 1] + rng.normal(0, TASTE, len(within))
    most = int(np.ceil((span[1] - span[0]) * RATE))
    taken = []
    first = max(span[0] - EARLY, 0) + LEAST_PREPARATION + STROKE[0] + LEAD[1]
    for k in np.argsort(-liking):
        apart = all(abs(within[k, 0] - within[j, 0]) >= REFRACTORY for j in taken)
        if len(taken) < most and apart and first <= within[k, 0]:
            taken.append(k)
    return within[sorted(taken)]


def plan(
    prosody: Prosody, linkages: list[Arm], rng: np.random.Generator, seconds: float
) -> list[Stroke]:
    """The strokes of a speech, in order of time; none without accents or arms."""
    accents = np.asarray(prosody.accents, float).reshape(-1, 2)
    chances = np.array([row[2] for row in BANK])
    able = [k for k, arm in enumerate(linkages) if arm.hand > 0.5] or list(range(len(linkages)))
    leading = int(rng.integers(max(len(able), 1)))
    free = 0.0
    found: list[Stroke] = []
    spans = (
        [(a, min(b, seconds)) for a, b in phrases(prosody.speech, prosody.fps)] if linkages else []
    )
    for span in spans:
        for moment, strength in _chosen(accents, span, rng):
            leading += int(rng.random() < SWITCH)
            lead, other, _ = BANK[rng.choice(len(BANK), p=chances / chances.sum())]
            shapes = [
                lead if k == able[leading % len(able)] else other for k in range(len(linkages))
            ]
            size = (SIZE[0] + SIZE[1] * strength) * np.exp(rng.normal(0, SIZE_SPREAD))
            apex = moment - rng.uniform(*LEAD)
            stroke, before, hold = (rng.uniform(*s) for s in (STROKE, PREPARATION, HOLD))
            start = max(apex - stroke - before, free, span[0] - EARLY)
            ready = max(apex - stroke, start + LEAST_PREPARATION)
            relax = max(apex + LEAST_HOLD, min(apex + hold, span[1] + LATE))
            hurried = min(
                1.0, (ready - start) / before
            )  # little time before an accent: a small gesture
            found.append(
                Stroke(
                    start,
                    ready,
                    apex,
                    relax,
                    float(moment),
                    *_turns(linkages, shapes, size * hurried),
                )
            )
            free = relax + 0.04
    return [_back(found, k, spans, seconds) for k in range(len(found))]


def _back(
    strokes: list[Stroke], k: int, spans: list[tuple[float, float]], seconds: float
) -> Stroke:
    """Stroke k with its way back to rest, longer after a wide stroke, while speaking or in a long pause.

    It stays where it is if there is no time for that before the next stroke or the end.
    """
    stroke = strokes[k]
    wide = min(1.0, float(np.abs(stroke.reached).max()) / 40)
    length = RETRACTION[0] + (RETRACTION[1] - RETRACTION[0]) * wide
    until = strokes[k + 1].start - LINKED if k + 1 < len(strokes) else seconds
    for (first, last), (following, _) in zip(spans, [*spans[1:], (seconds, seconds)], strict=True):
        begin = max(stroke.relax, first)
        fits = begin + length <= last + LATE or (
            begin <= last + LATE and following - last >= LONG_PAUSE
        )
        if fits and begin + length <= until:
            return replace(stroke, retract=begin, rested=begin + length)
    return stroke


def _turns(linkages: list[Arm], shapes: list[Shape], size: float) -> tuple[np.ndarray, np.ndarray]:
    """(arms,3) degrees when ready, and the same at the apex."""
    both = np.zeros((2, len(linkages), 3))
    for k, (arm, shape) in enumerate(zip(linkages, shapes, strict=True)):
        if shape is REST:
            continue
        own = size if arm.hand > 0.5 else size * UNSEEN_HAND
        places = own * np.array([shape.ready, shape.apex])
        both[:, k, :2] = arm.reach(places[:, :2] + [0, own * shape.carry * arm.carry])
        both[:, k, 2] = np.clip(arm.rise * places[:, 2], arm.low[2], arm.high[2])
    return both[0], both[1]


def _tracks(strokes: list[Stroke], sizes: np.ndarray, time: np.ndarray, count: int) -> np.ndarray:
    """(T, arms, 3) degrees at the frames' times: minimum jerk between the gestures' moments."""
    still = np.zeros((count, 3))
    keys: list[tuple[float, np.ndarray]] = [(-1.0, still)]
    for stroke, size in zip(strokes, sizes, strict=True):
        keys += [(stroke.start, keys[-1][1]), (stroke.ready, size * stroke.preparation)]
        keys += [
            (stroke.apex, size * stroke.reached),
            (stroke.relax, RELAXED * size * stroke.reached),
        ]
        if np.isfinite(stroke.rested):
            keys += [(stroke.retract, keys[-1][1]), (stroke.rested, still)]
    moments = np.array([key[0] for key in keys])
    poses = np.array([key[1] for key in keys])
    at = np.clip(np.searchsorted(moments, time, side="right") - 1, 0, len(keys) - 1)
    following = np.minimum(at + 1, len(keys) - 1)
    length = np.maximum(moments[following] - moments[at], 1e-9)
    u = np.clip((time - moments[at]) / length, 0, 1)[:, None, None]
    return poses[at] + (poses[following] - poses[at]) * (10 * u**3 - 15 * u**4 + 6 * u**5)


def _covers(strokes: list[Stroke], k: int, time: np.ndarray) -> np.ndarray:
    """(T,) bool, the frames that stroke k changes: until the arms rest or the next stroke is ready."""
    following = strokes[k + 1].ready if k + 1 < len(strokes) else np.inf
    return (time >= strokes[k].start) & (time <= min(strokes[k].rested, following))


def _moved(
    pose: Pose, reference: Pose, linkages: list[Arm], turns: np.ndarray, sway: np.ndarray
) -> Pose:
    """The pose with arms turned by `turns` (T,arms,3) and the upper body swayed by `sway` (T,) degrees."""
    body, hands, face = (
        complex_pixels(points.xy, pose.size) for points in (pose.body, pose.hands, pose.face)
    )
    rest = complex_pixels(reference.body.xy[0], pose.size)
    for shoulder, elbow, wrist, first in (RIGHT, LEFT):  # the arm rises with its shoulder's breath
        breath = (body[:, shoulder] - rest[shoulder])[:, None]
        body[:, [elbow, wrist]] = rest[[elbow, wrist]] + breath
        hands[:, first : first + 21] += breath
    for k, arm in enumerate(linkages):
        placed = arm.placed(body[:, arm.joints[0]], turns[:, k])
        body[:, list(arm.joints[1:3])] = placed[:, :2]
        hands[:, arm.joints[3] : arm.joints[3] + 21] = placed[:, 2:]
    pivot = _pivot(reference, rest)
    turn = np.exp(1j * np.radians(sway))[:, None]
    body[:, UPPER] = pivot + (body[:, UPPER] - pivot) * turn
    hands, face = (pivot + (points - pivot) * turn for points in (hands, face))
    parts = [
        Keypoints(np.stack([z.real / pose.size[1], z.imag / pose.size[0]], 2), part.score)
        for z, part in ((body, pose.body), (hands, pose.hands), (face, pose.face))
    ]
    return Pose(*parts, pose.fps, pose.size)


def _pivot(reference: Pose, rest: np.ndarray) -> complex:
    """Where the torso sways about: between the hips, or under the neck where they are not seen."""
    if reference.body.visible[0, [R_HIP, L_HIP]].all():
        return rest[[R_HIP, L_HIP]].mean()
    return rest[list(SHOULDERS)].mean() + 1j * PIVOT * abs(rest[R_SHOULDER] - rest[L_SHOULDER])


def _forbidden(made: Pose, reference: Pose, pose: Pose) -> np.ndarray:
    """(T,) bool: a point leaves the frame's margin or a hand comes before the face, unlike in `pose`."""
    bad = np.zeros(len(made), bool)
    for name in ("body", "hands", "face"):
        new = getattr(made, name)
        before = getattr(pose, name)
        held = np.broadcast_to(getattr(reference, name).xy[:1], before.xy.shape)
        low = np.minimum(np.minimum(held, before.xy), MARGIN)
        high = np.maximum(np.maximum(held, before.xy), 1 - MARGIN)
        inside = new.visible & ((before.xy >= 0) & (before.xy <= 1)).all(2)
        bad |= (((new.xy < low) | (new.xy > high)).any(2) & inside).any(1)
    known = made.face.visible[0]
    if known.any():
        first = made.face.xy[:, known].min(1)[:, None]
        last = made.face.xy[:, known].max(1)[:, None]
        over, was = (((p.hands.xy > first) & (p.hands.xy < last)).all(2) for p in (made, pose))
        bad |= (over & ~was & made.hands.visible).any(1)
    return bad
