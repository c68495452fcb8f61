"""Where the driver is missing, the reference rests and goes on speaking.

A driver may walk in late, leave, be away for a while, turn the face away or be cropped at the neck.
Then the reference is seen as it is without a driver: `rest`, a talking head over a still body. The
pose eases from one to the other,

    pose = rest + w (driver - rest),    w = 1 - (1 - s(a)) (1 - s(b)),

a and b are the times to the driver's last and next frame, s falls smoothly from 1 to 0. Within a
gap the driver goes on from that last frame to the next one. A frame that shows the driver stays as
it is. The longer the way to rest is, the longer s takes: its steps are no larger than the clip's.

A head hangs on the neck: without a face the head is the resting one, moved along with the body.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.motion.arm_ease import ease_arm, fractions, take_scores, write_points
from pipeline.motion.fda import is_missing
from pipeline.motion.gaps import Gaps
from pipeline.motion.keypoints import ARMS, HEAD_POINTS, NECK, RIGID_FACE, complex_pixels
from pipeline.values import FACE, Keypoints, Pose

EASE_SECONDS = (0.4, 1.2)  # shorter looks like a jerk, longer is still at rest when all is over
STEEPEST = 1.5  # slope of a smoothstep over that of a line
STEP_PERCENTILE = 90  # over time, of the clip's own steps
LEAST_SPREAD = 1e-6  # pixels squared: a face of one point has no turn
HEAD = list(HEAD_POINTS)


def is_absent(pose: Pose) -> np.ndarray:
    """Tell in which frames (T,) bool nothing of the person is seen."""
    body_seen = pose.body.visible.any(axis=1)
    if not body_seen.any():
        return is_missing(pose.face)
    return np.logical_not(body_seen)


def ease(driven: Pose, rest: Pose, zoom: float = 1.0) -> Pose:
    """Let the reference rest and speak where the driver, or only the driver's face, is missing.

    Args:
        driven: the driver in the reference's picture, with the talking face in place; T frames.
        rest: the reference, talking without a driver; T frames.
        zoom: how large the driver is in the picture over the reference.
    """
    here = ~is_absent(driven)
    if not here.any():
        return replace(rest, fps=driven.fps)
    faced = here & ~is_missing(driven.face)
    if faced.all():
        return driven
    gaps = Gaps.of(here)
    held = gaps.closed(driven)
    frames = _ease_frames(driven, held, rest, here)
    body = _ease_body(driven, held, rest, gaps, frames)
    head = Gaps.of(faced) if faced.any() else None
    return _ease_head(driven, body, rest, head, frames, zoom)


def _ease_frames(driven: Pose, held: Pose, rest: Pose, here: np.ndarray) -> float:
    """Return within how many frames the pose eases, by the way to rest over the clip's steps."""
    shortest, longest = EASE_SECONDS
    shortest *= driven.fps
    longest *= driven.fps
    ways = _farthest(held, rest)
    way = ways[~here].max(initial=0.0)
    both = here[1:] & here[:-1]
    steps = _farthest(driven[1:], driven[:-1])
    steps = steps[both]
    if len(steps) == 0:
        return longest
    step = np.percentile(steps, STEP_PERCENTILE)
    if STEEPEST * way >= longest * step:
        return longest if way > 0 else shortest
    needed = STEEPEST * way / step
    return float(max(shortest, needed))


def _farthest(pose: Pose, other: Pose) -> np.ndarray:
    """Measure how far apart the farthest of the body points are that both show: (T,) pixels."""
    apart = pose.body.xy - other.body.xy
    apart = apart * pose.pixel_scale
    both = pose.body.visible & other.body.visible
    lengths = np.linalg.norm(apart, axis=2)
    shared = np.where(both, lengths, 0.0)
    return shared.max(1)


# ---- the body


def _ease_body(driven: Pose, held: Pose, rest: Pose, gaps: Gaps, frames: float) -> Pose:
    """Return the pose with body and hands between rest and the driver.

    Args:
        driven: the driver, T frames with gaps.
        held: the driver with its gaps closed.
        rest: the reference.
        gaps: the driver's.
        frames: within how many frames the body eases.
    """
    weight = gaps.weight(frames)
    eased = replace(
        held,
        body=_mixed(held.body, rest.body, weight),
        hands=_mixed(held.hands, rest.hands, weight),
    )
    for arm in ARMS.values():
        ease_arm(eased, driven, rest, arm, gaps.good, frames)
    inside = weight < 1
    return replace(
        driven,
        body=_chosen(inside, eased.body, driven.body),
        hands=_chosen(inside, eased.hands, driven.hands),
    )


def _mixed(held: Keypoints, rest: Keypoints, weight: np.ndarray) -> Keypoints:
    """Mix points (T,K) by the weight (T,) of the held ones.

    Points that only one of them shows are the driver's until the body rests.
    """
    share = weight[:, None]
    moves = share > 0
    both = held.visible & rest.visible
    ways = held.xy - rest.xy
    mean = rest.xy + share[..., None] * ways
    alone = np.where(moves[..., None], held.xy, rest.xy)
    gains = held.score - rest.score
    mean_score = rest.score + share * gains
    alone_score = np.where(moves, held.score, rest.score)
    return Keypoints(
        xy=np.where(both[..., None], mean, alone),
        score=np.where(both, mean_score, alone_score),
    )


def _chosen(first: np.ndarray, one: Keypoints, other: Keypoints) -> Keypoints:
    """Return the points of `one` in the frames `first` (T,) bool, else those of `other`."""
    chosen = first[:, None]
    return Keypoints(
        xy=np.where(chosen[..., None], one.xy, other.xy),
        score=np.where(chosen, one.score, other.score),
    )


# ---- the head


def _ease_head(
    driven: Pose, body: Pose, rest: Pose, gaps: Gaps | None, frames: float, zoom: float
) -> Pose:
    """Return the eased body with the driver's head where it is known, else with the resting one.

    Args:
        driven: the driver.
        body: the driver with an eased body.
        rest: the reference.
        gaps: the frames without a face; None where no frame has one.
        frames: within how many frames the head eases.
        zoom: the driver's size over the reference's.
    """
    head = _resting_head(body, rest, zoom)
    missing = np.ones(len(driven), bool)
    if gaps is not None:
        missing = ~gaps.good
        held = _held_head(driven, rest, head, gaps)
        weight = gaps.weight(frames)
        head = head + weight[:, None] * (held - head)
    xy = fractions(head, rest.size)
    eased_face = Keypoints(xy[:, :FACE], rest.face.score)
    points = Keypoints(body.body.xy.copy(), body.body.score.copy())
    write_points(points, HEAD, xy[:, FACE:], missing)
    take_scores(points, rest.body, HEAD, missing)
    face = _chosen(missing, eased_face, driven.face)
    return replace(body, body=points, face=face)


def _head_places(pose: Pose) -> np.ndarray:
    """Return the pixels (T,73) of the face and of the body's points of the head."""
    face = complex_pixels(pose.face.xy, pose.size)
    head = complex_pixels(pose.body.xy[:, HEAD], pose.size)
    return np.concatenate([face, head], 1)


def _head_seen(pose: Pose) -> np.ndarray:
    """Return (T,73) bool: which of them are visible."""
    head = pose.body.visible[:, HEAD]
    return np.concatenate([pose.face.visible, head], 1)


def _resting_head(body: Pose, rest: Pose, zoom: float) -> np.ndarray:
    """Return the pixels (T,73) of the reference's head on the eased body's neck."""
    head = _head_places(rest)
    both = rest.body.visible[:, NECK] & body.body.visible[:, NECK]
    if not both.any():
        return head
    neck = complex_pixels(rest.body.xy[:, [NECK]], rest.size)
    goal = complex_pixels(body.body.xy[:, [NECK]], body.size)
    gaps = Gaps.of(both)
    shift = gaps.between(goal - neck)
    return neck + shift + zoom * (head - neck)


def _held_head(driven: Pose, rest: Pose, head: np.ndarray, gaps: Gaps) -> np.ndarray:
    """Return the pixels (T,73) of the driver's head, in gaps as it was before and will be after.

    The mouth speaks on: only the head's place, turn and size and its shape beside the resting
    `head` (T,73) are held.
    """
    goal = _head_places(driven)
    shared = _head_seen(driven) & _head_seen(rest)
    middle = head[:, RIGID_FACE].mean(1, keepdims=True)
    around = head - middle
    turn, shift = _fit(around[:, RIGID_FACE], goal[:, RIGID_FACE], shared[:, RIGID_FACE])
    carried = shift + turn * around
    shape = np.where(shared, goal - carried, 0.0)
    place = gaps.between(shift - middle)
    turn = gaps.between(turn)
    shape = gaps.between(shape)
    return middle + place + turn * around + shape


def _fit(
    source: np.ndarray, target: np.ndarray, shared: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit target = shift + turn * source by least squares to complex points (T,n), where `shared`.

    Return turn and shift (T,1); a turn that nothing tells is 1.
    """
    count = shared.sum(1, keepdims=True)
    weight = shared / np.maximum(count, 1)
    source_center = _sum(weight * source)
    target_center = _sum(weight * target)
    around_source = weight * (source - source_center)
    around_target = target - target_center
    product = _sum(around_target * around_source.conj())
    spread = _sum(abs(around_source * (source - source_center)))
    known = spread > LEAST_SPREAD
    divisor = np.where(known, spread, 1.0)
    turn = np.where(known, product / divisor, 1.0)
    shift = target_center - turn * source_center
    return turn, shift


def _sum(values: np.ndarray) -> np.ndarray:
    """Add up the points (T,n) of each frame: (T,1)."""
    return values.sum(1, keepdims=True)
