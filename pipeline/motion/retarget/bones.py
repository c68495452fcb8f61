"""Driving body -> reference body, bone by bone: joint angles are the driver's, bone lengths the reference's.

All in pixels. Every point hangs on the neck through a chain of bones, each scaled by its own ratio; the head
and the hands are scaled as one piece. Then the body is put down: where feet are seen the lower foot follows
the driver's, scaled by the ratio of leg lengths, onto the reference's ground line; otherwise the neck does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.motion.curves import bridge
from pipeline.motion.keypoints import (
    ANKLES,
    CHIN,
    EYES_NOSE,
    HEAD_POINTS,
    HIPS,
    L_ANKLE,
    L_ELBOW,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    NECK,
    NOSE_ROOT,
    R_ANKLE,
    R_ELBOW,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
    SHOULDERS,
    WRISTS_LEFT_RIGHT,
)
from pipeline.motion.retarget import proportions
from pipeline.values import BODY, InputError, Keypoints, Pose

MID_HIP = BODY  # a point of our own between the hips
# (parent, child, bone) from the neck outwards
TREE = (
    (NECK, R_SHOULDER, "shoulders"),
    (R_SHOULDER, R_ELBOW, "upper arms"),
    (R_ELBOW, R_WRIST, "forearms"),
    (NECK, L_SHOULDER, "shoulders"),
    (L_SHOULDER, L_ELBOW, "upper arms"),
    (L_ELBOW, L_WRIST, "forearms"),
    (NECK, MID_HIP, "torso"),
    (MID_HIP, R_HIP, "hips"),
    (MID_HIP, L_HIP, "hips"),
    (R_HIP, R_KNEE, "thighs"),
    (R_KNEE, R_ANKLE, "shins"),
    (L_HIP, L_KNEE, "thighs"),
    (L_KNEE, L_ANKLE, "shins"),
)
FRAMINGS = ("reference", "driving")
FEET_SHARE = 0.5  # of the frames that must show a foot for the body to stand on it
SUPPORT = (
    0.03  # of the leg's length: a foot this much higher than the other carries 1/e of its weight
)
POSTURE = (
    0.5  # of the nose's height over the chin: a head further from its place is bowed, not built so
)


@dataclass(frozen=True)
class Fit:
    """How one body was put on another. scale: of root and unknown bones, in pixels. offset: (2,) pixels.

    ratios: by bone. corrected: reference bones that were lengthened. held: ratios that were not believed.
    anchor: what places the body: "ground", "neck and hips", "neck", "joints", "face" or "" for nothing.
    """

    scale: float
    offset: np.ndarray
    ratios: dict[str, float]
    corrected: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    anchor: str = ""


def transfer(pose: Pose, reference: Pose, framing: str = "reference") -> tuple[Pose, Fit]:
    """Returns the driving pose with the reference's bone lengths in the reference's picture, and the fit."""
    if framing not in FRAMINGS:
        raise InputError(f"unknown framing {framing!r}; choose one of {', '.join(FRAMINGS)}")
    alike = proportions.same_frames(pose, reference)
    found, corrected = proportions.ratios(pose, reference, alike)
    scale = proportions.body_scale(found)
    if scale is None:
        return replace(pose, size=reference.size), Fit(1.0, np.zeros(2), {})
    ratios, held = proportions.believable(found, scale)
    unit = scale
    contain = min(reference.size[0] / pose.size[0], reference.size[1] / pose.size[1])
    if framing == "driving":  # the reference's proportions at the driver's size in its frame
        ratios = {name: value * contain / scale for name, value in ratios.items()}
        scale = contain
    source = _points(pose)
    local, base = _chain(source, ratios, scale)
    moved = _rise(source, ratios, scale, reference, scale / unit, alike)
    root, feet = _root(source, base, ratios, scale, _feet(pose, reference))
    parts = {"body": local, "face": moved["face"], "hands": _hands(source, base, ratios, scale)}
    parts["body"][:, HEAD_POINTS] = moved["body"]
    out = _pose(pose, reference.size, {name: part + root[:, None] for name, part in parts.items()})
    goal = reference if framing == "reference" else _contained(pose, reference.size, contain)
    offset, anchor = _offset(out, pose, goal, alike if framing == "reference" else alike[:0], feet)
    shifted = {name: part + root[:, None] + offset for name, part in parts.items()}
    shown = _pose(pose, reference.size, shifted)
    if not anchor:
        return replace(pose, size=reference.size), Fit(1.0, np.zeros(2), found)
    return shown, Fit(scale, offset, found, corrected, held, anchor)


# ---- the skeleton in pixels, without gaps


@dataclass(frozen=True)
class _Source:
    """Pixels: body (T,19,2) with gaps closed and the mid-hip last, face (T,68,2), hands (T,42,2)."""

    body: np.ndarray
    face: np.ndarray
    hands: np.ndarray
    known: np.ndarray  # (19,) points that the clip shows at all
    pose: Pose


def _points(pose: Pose) -> _Source:
    pixels = np.array([pose.size[1], pose.size[0]], float)
    body, seen = pose.body.xy * pixels, pose.body.visible
    hips_seen = seen[:, HIPS].all(1)
    body = np.concatenate([body, body[:, HIPS].mean(1, keepdims=True)], 1)
    seen = np.concatenate([seen, hips_seen[:, None]], 1)
    known = seen.any(0)
    for k in np.flatnonzero(known & ~seen.all(0)):
        body[:, k], _ = bridge(body[:, k], seen[:, k], len(pose))
    if not known[MID_HIP] and known[list(HIPS)].any():  # one hip alone stands for both
        body[:, MID_HIP] = body[:, R_HIP if known[R_HIP] else L_HIP]
        known[MID_HIP] = True
    face = pose.face.xy * pixels
    if not known[NECK]:
        body[:, NECK] = _stand_in(pose, body, known, face)
    for (
        parent,
        child,
        _,
    ) in TREE:  # a joint that is never seen lies on its parent: a bone of no length
        if not known[child]:
            body[:, child] = body[:, parent]
    return _Source(body, face, pose.hands.xy * pixels, known, pose)


def _stand_in(pose: Pose, body: np.ndarray, known: np.ndarray, face: np.ndarray) -> np.ndarray:
    """(T,2) what the body hangs on when no frame shows a neck: shoulders, the face, else any joint."""
    if known[list(SHOULDERS)].all():
        return body[:, SHOULDERS].mean(1)
    if pose.face.visible[:, NOSE_ROOT].any():
        return bridge(face[:, NOSE_ROOT], pose.face.visible[:, NOSE_ROOT], len(pose))[0]
    return body[:, np.flatnonzero(known)].mean(1) if known.any() else np.zeros((len(pose), 2))


# ---- bones


def _chain(
    source: _Source, ratios: dict[str, float], scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """((T,18,2) body, (T,19,2) the same with the mid-hip), relative to the neck, every bone at its length."""
    base = np.zeros_like(source.body)
    for parent, child, bone in TREE:
        gain = ratios.get(bone, scale)
        base[:, child] = base[:, parent] + gain * (source.body[:, child] - source.body[:, parent])
    return base[:, :BODY].copy(), base


def _rise(
    source: _Source,
    ratios: dict[str, float],
    scale: float,
    reference: Pose,
    zoom: float,
    frames: np.ndarray,
) -> dict[str, np.ndarray]:
    """Head points and face relative to the neck: the reference's face size at its height over the neck.

    zoom: how much smaller than in the reference the person shall be. frames: where both stand alike, if any.
    """
    gain, neck = ratios.get("face", scale), source.body[:, None, NECK]
    body, face = gain * (source.body[:, HEAD_POINTS] - neck), gain * (source.face - neck)
    pose = source.pose
    both = pose.body.visible[:, NECK] & pose.face.visible[:, NOSE_ROOT]
    alike = both & np.isin(np.arange(len(pose)), frames)
    both = alike if alike.any() else both
    if not (
        both.any() and reference.body.visible[0, NECK] and reference.face.visible[0, NOSE_ROOT]
    ):
        return {"body": body, "face": face}
    height = zoom * reference.size[0]
    wanted = (reference.face.xy[0, NOSE_ROOT, 1] - reference.body.xy[0, NECK, 1]) * height
    most = (
        POSTURE * abs(reference.face.xy[0, CHIN, 1] - reference.face.xy[0, NOSE_ROOT, 1]) * height
    )
    step = np.clip(wanted - np.median(face[both, NOSE_ROOT, 1]), -most, most)
    return {"body": body + (0.0, step), "face": face + (0.0, step)}


def _hands(source: _Source, base: np.ndarray, ratios: dict[str, float], scale: float) -> np.ndarray:
    """(T,42,2) hands on their wrists, sized between the forearm's and the face's ratio."""
    known = [ratios[name] for name in ("forearms", "face") if name in ratios]
    gain = float(np.exp(np.mean(np.log(known)))) if known else scale
    out = np.empty_like(source.hands)
    for side, wrist in enumerate(WRISTS_LEFT_RIGHT):
        rows = slice(21 * side, 21 * side + 21)
        out[:, rows] = base[:, wrist, None] + gain * (
            source.hands[:, rows] - source.body[:, wrist, None]
        )
    return out


# ---- where the body stands


def _feet(pose: Pose, reference: Pose) -> bool:
    """Whether both people show feet to stand on, in the picture."""

    def share(one: Pose) -> float:
        inside = (one.body.xy[:, ANKLES, 1] <= 1 + proportions.INSIDE) & one.body.visible[:, ANKLES]
        return float(inside.any(1).mean())

    return share(pose) >= FEET_SHARE and share(reference) == 1


def _root(
    source: _Source, base: np.ndarray, ratios: dict[str, float], scale: float, feet: bool
) -> tuple[np.ndarray, bool]:
    """((T,2) path of the neck up to a constant, whether it comes from the feet).

    On feet: the mean of both, weighted to the lower one, moves as the driver's times the leg ratio, so that
    a planted foot stays planted; where all bones have one ratio this is a plain scaling.
    """
    legs = [ratios[name] for name in ("thighs", "shins") if name in ratios]
    if not feet or not legs:
        return scale * source.body[:, NECK], False
    gain = float(np.mean(legs))
    ankles = source.body[:, ANKLES]
    seen = source.pose.body.visible[:, ANKLES]
    leg = max(
        float(np.percentile(np.abs(np.ptp(source.body[:, (NECK, *ANKLES), 1], axis=1)), 90)), 1.0
    )
    low = np.where(seen, ankles[..., 1], -np.inf)
    weight = np.exp((low - low.max(1, keepdims=True, where=seen, initial=-1e9)) / (SUPPORT * leg))
    total = weight.sum(1, keepdims=True)
    weight = np.where(seen, weight, 0.0) / np.maximum(total, 1e-9)
    stand = gain * ankles - base[:, ANKLES]
    excess = (weight[..., None] * stand).sum(1) - gain * source.body[:, NECK]
    excess, _ = bridge(excess, seen.any(1), len(excess))
    return gain * source.body[:, NECK] + excess, True


def _offset(
    out: Pose, pose: Pose, goal: Pose, frames: np.ndarray, feet: bool
) -> tuple[np.ndarray, str]:
    """((2,) pixels to move `out` by, what it was anchored on). `goal` has one frame, or as many as `out`."""
    rows = frames if len(frames) else np.arange(len(out))
    pixels = np.array([goal.size[1], goal.size[0]], float)

    def seen(k: int) -> bool:
        return bool(out.body.visible[rows, k].any() and goal.body.visible[:, k].any())

    def step(k: int) -> np.ndarray:
        return (_median(goal.body, k) - _median(out.body[rows], k)) * pixels

    trunk = [k for k in (NECK,) if seen(k)]
    hips = seen(R_HIP) and seen(L_HIP)
    if trunk and hips:
        move, anchor = (step(NECK) + (step(R_HIP) + step(L_HIP)) / 2) / 2, "neck and hips"
    elif trunk:
        move, anchor = step(NECK), "neck"
    else:
        return _loose_offset(out[rows], goal, pixels)
    if feet:
        move[1] = (_ground(goal) - _ground(out[rows])) * pixels[1]
        anchor = "ground"
    return move, anchor


def _loose_offset(out: Pose, goal: Pose, pixels: np.ndarray) -> tuple[np.ndarray, str]:
    """The offset of people without a shared neck: eyes and nose of the face, else the joints both show."""
    face = EYES_NOSE[(out.face.visible.any(0) & goal.face.visible.any(0))[EYES_NOSE]]
    body = np.flatnonzero(out.body.visible.any(0) & goal.body.visible.any(0))
    for name, ids, mine, theirs in (
        ("face", face, goal.face, out.face),
        ("joints", body, goal.body, out.body),
    ):
        if len(ids):
            steps = [(_median(mine, k) - _median(theirs, k)) * pixels for k in ids.tolist()]
            return np.mean(steps, axis=0), name
    return np.zeros(2), ""


def _ground(pose: Pose) -> float:
    """Height of the ground line as a fraction of the picture: median over time of the lower foot."""
    seen = pose.body.visible[:, ANKLES]
    low = np.where(seen, pose.body.xy[:, ANKLES, 1], -np.inf).max(1)[seen.any(1)]
    return float(np.median(low))


def _contained(pose: Pose, size: tuple[int, int], gain: float) -> Pose:
    """The driving pose with its whole frame fitted into a picture of `size`, centred."""
    pixels, frame = (
        np.array([size[1], size[0]], float),
        np.array([pose.size[1], pose.size[0]], float),
    )
    parts = {"body": pose.body, "face": pose.face, "hands": pose.hands}
    margin = (pixels - gain * frame) / 2
    return _pose(
        pose, size, {name: gain * part.xy * frame + margin for name, part in parts.items()}
    )


def _median(points: Keypoints, k: int) -> np.ndarray:
    return np.median(points.xy[points.visible[:, k], k], axis=0)


def _pose(pose: Pose, size: tuple[int, int], pixels: dict[str, np.ndarray]) -> Pose:
    """Pixels back to fractions of a picture of `size`; scores stay the driver's."""
    whole = np.array([size[1], size[0]], float)
    parts = {name: Keypoints(xy / whole, getattr(pose, name).score) for name, xy in pixels.items()}
    return replace(pose, size=size, **parts)
