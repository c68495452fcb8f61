"""Brings a driving pose into the reference's picture: person, gaps, frame rate, length, alignment.

`retarget` is the robust default: one scale in pixels from the bones both people show, the neck (and hips) put
on the reference's, the head sized and placed as the reference's. `published_fit` is ControlNeXt's line fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from pipeline.clips import VISIBLE, Keypoints, Pose
from pipeline.motion.fda import EYES_NOSE, bridge, is_missing

FACE_GAP, JOINT_GAP = 0.5, 0.2  # seconds over which missing points are interpolated
LENGTHS = ("pingpong", "loop", "trim", "hold")
TURN = 0.2  # seconds of slowing down before and after a turning point of the ping-pong
BLEND = 0.24  # seconds of cross-fade where a loop starts anew
FIT_IDS = np.array([0, 1, 2, 5, *range(8, 18)])  # the published fit leaves elbows and wrists out
HEAD = np.array([0, 14, 15, 16, 17])  # nose, eyes, ears
NECK, HIPS, SHOULDERS = 1, (8, 11), (2, 5)
NOSE_ROOT, CHIN = 27, 8  # of the 68 face points
READABLE_FACE = 60  # pixels of face height; below it lips are a few pixels and cannot be read
NOMINAL_AREA = 512 * 768  # picture area for which face heights are reported
FULL_LENGTH = 75  # percentile over time taken as a bone's length: shorter ones are foreshortened


@dataclass(frozen=True)
class Report:
    """How the driving pose was aligned, in numbers, with the sentences a user should read.

    scale: of heights as fractions of the picture, 1 = unchanged. offset: (x, y) fractions. bone_ratios:
    reference over driving length in pixels, by bone. faceless, handless: shares of frames. face_height:
    pixels at 512x768. people: how many were found; chosen: index of the one taken.
    """

    scale: float
    offset: tuple[float, float]
    bone_ratios: dict[str, float]
    faceless: float
    handless: float
    face_height: float
    people: int
    chosen: int
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Returns plain values for JSON."""
        return asdict(self) | {"offset": list(self.offset), "warnings": list(self.warnings)}


# ---- time


def fill_gaps(pose: Pose) -> Pose:
    """Returns the pose with short gaps filled linearly, per point: face up to 0.5 s, body and hands 0.2 s.

    A point counts as missing where its score does not pass `VISIBLE`. Gaps at either end are left: there is
    nothing on the other side to interpolate to.
    """
    limits = {"body": JOINT_GAP, "hands": JOINT_GAP, "face": FACE_GAP}
    return replace(pose, **{n: _fill(getattr(pose, n), int(round(s * pose.fps))) for n, s in limits.items()})


def _fill(points: Keypoints, limit: int) -> Keypoints:
    seen = points.visible
    xy, score = points.xy.copy(), points.score.copy()
    for k in np.flatnonzero(seen.any(0) & ~seen.all(0)):
        ids = np.flatnonzero(seen[:, k])
        inner = slice(ids[0], ids[-1] + 1)
        values = np.column_stack([xy[inner, k], score[inner, k]])
        values, _ = bridge(values, seen[inner, k], limit)
        xy[inner, k], score[inner, k] = values[:, :2], values[:, 2]
    return Keypoints(xy, score)


def resample(pose: Pose, fps: float) -> Pose:
    """Returns the pose at another frame rate, by time: as long to half a frame, points in between linear."""
    if not 0 < fps <= 1000:
        raise ValueError(f"a frame rate of {fps} makes no sense; give one between 1 and 1000")
    if fps == pose.fps or len(pose) == 0:
        return replace(pose, fps=fps)
    ratio = pose.fps / fps
    frames = max(1, round(len(pose) / ratio))
    return replace(_at(pose, (np.arange(frames) + 0.5) * ratio - 0.5), fps=fps)


def fit_length(pose: Pose, frames: int, how: str = "pingpong") -> Pose:
    """Returns the pose cut or continued to `frames` frames.

    "pingpong" goes back and forth and slows down at the turning points, "loop" starts anew with a short
    cross-fade, "hold" repeats the last frame, "trim" only cuts and refuses a clip that is too short.
    """
    if how not in LENGTHS:
        raise ValueError(f"unknown way {how!r} to fit the length; choose one of {', '.join(LENGTHS)}")
    if frames < 1 or len(pose) < 1:
        raise ValueError(f"cannot make {frames} frames from a pose of {len(pose)}; both must be 1 or more")
    if frames <= len(pose):
        return pose[:frames]
    if how == "trim":
        raise ValueError(
            f"the driving clip has {len(pose)} frames and {frames} are needed; give a longer clip or choose "
            "pingpong, loop or hold"
        )
    if how == "hold" or len(pose) == 1:
        return pose[np.minimum(np.arange(frames), len(pose) - 1)]
    return _at(pose, _pingpong(len(pose), frames, pose.fps)) if how == "pingpong" else _loop(pose, frames)


def hold(reference: Pose, frames: int, fps: float) -> Pose:
    """Returns the reference's own pose, standing still for `frames` frames."""
    if len(reference) < 1 or frames < 1:
        raise ValueError(f"cannot hold {len(reference)} frames of a reference pose for {frames} frames")
    return replace(reference[np.zeros(frames, int)], fps=fps)


def _at(pose: Pose, times: np.ndarray) -> Pose:
    """The pose at fractional frame positions, held at the ends."""
    low = np.clip(np.floor(times).astype(int), 0, len(pose) - 1)
    high = np.minimum(low + 1, len(pose) - 1)
    return _mix(pose[low], pose[high], np.clip(times - low, 0, 1))


def _mix(one: Pose, other: Pose, weight: np.ndarray) -> Pose:
    """Between two poses, weight (T,) towards the other; where one lacks a point, the nearer one decides."""
    parts = {}
    for name in ("body", "hands", "face"):
        a, b = getattr(one, name), getattr(other, name)
        w = np.broadcast_to(weight[:, None], a.score.shape)
        w = np.where(a.visible == b.visible, w, (w > 0.5).astype(float))
        xy = a.xy * (1 - w[..., None]) + b.xy * w[..., None]
        parts[name] = Keypoints(xy, a.score * (1 - w) + b.score * w)
    return replace(one, **parts)


def _pingpong(length: int, frames: int, fps: float) -> np.ndarray:
    """Positions (frames,) of a triangle wave from 0 whose corners are rounded by a parabola."""
    last = length - 1
    t = np.arange(frames, dtype=float)
    corner = last * np.round(t / last)  # the nearest turning point in time
    away = np.abs(t - corner)
    reach = min(TURN * fps, last / 2)
    rounded = np.where(away < reach, (away**2 + reach**2) / (2 * reach), away)
    away = np.where(corner > 0, rounded, away)  # the clip's beginning is no turning point
    return np.where((corner / last).astype(int) % 2 == 0, away, last - away)


def _loop(pose: Pose, frames: int) -> Pose:
    fade = max(1, min(round(BLEND * pose.fps), len(pose) // 3))
    period = len(pose) - fade
    t = np.arange(frames)
    phase, again = t % period, t >= period
    weight = np.where(again & (phase < fade), (phase + 1) / (fade + 1), 1.0)
    tail = np.minimum(phase + period, len(pose) - 1)  # what the clip would have gone on with
    return _mix(pose[tail], pose[phase], weight)


# ---- alignment


def retarget(people: Sequence[Pose], reference: Pose) -> tuple[Pose, Report]:
    """Returns the main person's pose in the reference's picture, and the report on how well it fits.

    The map is a similarity in pixels; the head is scaled about the neck to the reference's face height and
    put at its height over the neck. Driving scores are kept.
    """
    if not people or len(reference) < 1:
        raise ValueError("alignment needs at least one driving person and a reference pose")
    reference = reference[:1]
    chosen = int(np.argmax([_presence(pose) for pose in people]))
    pose, notes = people[chosen], []
    if len(people) > 1:
        notes.append(
            f"{len(people)} people were found in the driving clip; the largest, number {chosen + 1}, is used."
        )
    ratios = _ratios(pose, reference)
    scale, offset = _similarity(pose, reference, ratios)
    if scale is None:
        notes.append("The driving clip and the reference share no visible joints, so nothing was aligned.")
        out, gain = replace(pose, size=reference.size), np.ones(2)
    else:
        gain = scale * np.array([pose.size[1] / reference.size[1], pose.size[0] / reference.size[0]])
        out = _size_head(
            apply_fit(pose, gain, offset, reference.size), reference, ratios.get("face", 0) / scale
        )
    out = _blank_missing(out)
    return out, _report(out, reference, float(gain[1]), offset, ratios, (len(people), chosen), notes)


def published_fit(people: Sequence[Pose], reference: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Returns a (2,) and b (2,) of x' = a x + b for a whole clip, as ControlNeXt-SVD-v2 aligns poses.

    A least-squares line over all frames with exactly one person; x keeps the pixel aspect of y's scale.
    """
    present = (
        np.stack([(pose.body.score > 0).any(1) for pose in people]) if people else np.zeros((0, 0), bool)
    )
    alone = np.flatnonzero(present.sum(0) == 1)
    ids = FIT_IDS[reference.body.visible[0, FIT_IDS]]
    if not len(alone) or not len(ids):
        raise ValueError(
            "the published alignment needs a frame with exactly one person and visible joints in the "
            "reference; use the default alignment"
        )
    found = np.stack([people[int(present[:, t].argmax())].body.xy[t, ids] for t in alone])
    wanted = np.broadcast_to(reference.body.xy[0, ids], found.shape)
    ay, by = np.polyfit(found[..., 1].ravel(), wanted[..., 1].ravel(), 1)
    (frame_h, frame_w), (height, width) = people[0].size, reference.size
    ax = ay * (frame_w / frame_h) * (height / width)
    return np.array([ax, ay]), np.array([np.mean(wanted[..., 0] - ax * found[..., 0]), by])


def apply_fit(pose: Pose, a: np.ndarray, b: np.ndarray, size: tuple[int, int]) -> Pose:
    """Returns the pose with all points mapped to a x + b, in a picture of the given (H,W)."""
    parts = {n: getattr(pose, n) for n in ("body", "hands", "face")}
    return replace(pose, size=size, **{n: Keypoints(p.xy * a + b, p.score) for n, p in parts.items()})


def _blank_missing(pose: Pose) -> Pose:
    parts = {n: getattr(pose, n) for n in ("body", "hands", "face")}
    return replace(
        pose, **{n: Keypoints(np.where(p.score[..., None] > 0, p.xy, 0.0), p.score) for n, p in parts.items()}
    )


def _presence(pose: Pose) -> float:
    """Height of the visible body in pixels, summed over the frames: large people who stay win."""
    y = pose.body.xy[..., 1] * pose.size[0]
    seen = pose.body.visible
    span = np.where(seen, y, -np.inf).max(1, initial=-np.inf) - np.where(seen, y, np.inf).min(
        1, initial=np.inf
    )
    return float(np.where(seen.any(1), span, 0.0).sum())


def _ratios(pose: Pose, reference: Pose) -> dict[str, float]:
    """Reference over driving length in pixels, for every bone that both show."""
    mine, theirs = _lengths(reference), _lengths(pose)
    return {name: mine[name] / theirs[name] for name in mine if name in theirs}


def _lengths(pose: Pose) -> dict[str, float]:
    """Bone lengths in pixels; over time a high percentile, as a turned bone looks shorter than it is."""
    scale = np.array([pose.size[1], pose.size[0]], float)
    body, seen = pose.body.xy * scale, pose.body.visible
    face, face_seen = pose.face.xy * scale, pose.face.visible
    hips, hips_seen = body[:, HIPS].mean(1), seen[:, HIPS].all(1)
    pairs = {
        "shoulders": (body[:, 2], body[:, 5], seen[:, SHOULDERS].all(1)),
        "torso": (body[:, NECK], hips, seen[:, NECK] & hips_seen),
        "face": (face[:, NOSE_ROOT], face[:, CHIN], face_seen[:, [NOSE_ROOT, CHIN]].all(1)),
    }
    names = {"upper arms": ((2, 3), (5, 6)), "forearms": ((3, 4), (6, 7)), "thighs": ((8, 9), (11, 12))}
    for name, sides in names.items():
        (i, j), (k, m) = sides
        pairs[name] = (body[:, [i, k]], body[:, [j, m]], seen[:, [i, k]] & seen[:, [j, m]])
    out = {}
    for name, (start, stop, both) in pairs.items():
        length = np.linalg.norm(start - stop, axis=-1)[both]
        if len(length) and (full := np.percentile(length, 50 if name == "face" else FULL_LENGTH)) > 1.0:
            out[name] = float(full)
    return out


def _similarity(pose: Pose, reference: Pose, ratios: dict[str, float]) -> tuple[float | None, np.ndarray]:
    """Scale in pixels and offset (2,) in fractions; None when the two share nothing to align by."""
    anchors = _anchors(pose, reference)
    if not ratios or not anchors:
        return None, np.zeros(2)
    # The trunk decides; the head is sized by itself and only breaks a tie of the two trunk bones.
    trunk = [ratios[name] for name in ("shoulders", "torso") if name in ratios] * 2
    face = [ratios["face"]] if "face" in ratios else []
    scale = float(np.median(trunk + face or list(ratios.values())))
    gain = scale * np.array([pose.size[1] / reference.size[1], pose.size[0] / reference.size[0]])
    return scale, np.mean([wanted - gain * found for found, wanted in anchors], axis=0)


def _anchors(pose: Pose, reference: Pose) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of driving (median over time) and reference places: neck and hips, or what else both show."""
    shared = (pose.body.visible.any(0) & reference.body.visible[0]).nonzero()[0].tolist()
    pairs = {k: (_median(pose.body, k), reference.body.xy[0, k]) for k in shared}
    if NECK in pairs and set(HIPS) <= set(pairs):
        (right, right_wanted), (left, left_wanted) = (pairs[k] for k in HIPS)
        return [pairs[NECK], ((right + left) / 2, (right_wanted + left_wanted) / 2)]
    if NECK in pairs:
        return [pairs[NECK]]
    face = (pose.face.visible.any(0) & reference.face.visible[0])[EYES_NOSE]
    return list(pairs.values()) or [
        (_median(pose.face, k), reference.face.xy[0, k]) for k in EYES_NOSE[face].tolist()
    ]


def _median(points: Keypoints, k: int) -> np.ndarray:
    return np.median(points.xy[points.visible[:, k], k], axis=0)


def _size_head(pose: Pose, reference: Pose, gain: float) -> Pose:
    """The head scaled by `gain` about the neck, then moved to the reference's height over the neck."""
    neck, _ = bridge(pose.body.xy[:, NECK], pose.body.visible[:, NECK], len(pose))
    if not gain or not pose.body.visible[:, NECK].any():
        return pose
    body, face = pose.body.xy.copy(), pose.face.xy.copy()
    body[:, HEAD] = neck[:, None] + gain * (body[:, HEAD] - neck[:, None])
    face = neck[:, None] + gain * (face - neck[:, None])
    both = pose.body.visible[:, NECK] & pose.face.visible[:, NOSE_ROOT]
    if both.any() and reference.body.visible[0, NECK] and reference.face.visible[0, NOSE_ROOT]:
        wanted = reference.face.xy[0, NOSE_ROOT, 1] - reference.body.xy[0, NECK, 1]
        found = np.median((face[:, NOSE_ROOT, 1] - neck[:, 1])[both])
        most = 0.5 * abs(reference.face.xy[0, CHIN, 1] - reference.face.xy[0, NOSE_ROOT, 1])
        step = np.clip(wanted - found, -most, most)  # more than that is posture, not anatomy
        body[:, HEAD, 1] += step
        face[..., 1] += step
    return replace(pose, body=Keypoints(body, pose.body.score), face=Keypoints(face, pose.face.score))


# ---- report


def _report(
    pose: Pose,
    reference: Pose,
    scale: float,
    offset: np.ndarray,
    ratios: dict[str, float],
    choice: tuple[int, int],
    notes: list[str],
) -> Report:
    frames = max(1, len(pose))
    faceless = float(is_missing(pose.face).sum() / frames)
    handless = float((~pose.hands.visible.any(1)).sum() / frames)
    nominal = (NOMINAL_AREA / (reference.size[0] * reference.size[1])) ** 0.5
    face_height = _face_height(pose) * nominal
    if not pose.body.visible.any():
        notes = [*notes, "The driving clip shows no person, so its skeleton is black."]
    else:
        notes = [*notes, *_sentences(pose, reference, scale, faceless, handless, face_height)]
    place = (float(offset[0]), float(offset[1]))
    return Report(scale, place, ratios, faceless, handless, face_height, *choice, tuple(notes))


def _sentences(
    pose: Pose, reference: Pose, scale: float, faceless: float, handless: float, face_height: float
) -> list[str]:
    notes = []
    if faceless >= 0.01:
        notes.append(f"The driving face is missing in {faceless:.0%} of the frames; lips stay still there.")
    if handless >= 0.05:
        notes.append(f"No hands were found in {handless:.0%} of the frames.")
    if 0 < face_height < READABLE_FACE:
        notes.append(
            f"The face will be about {face_height:.0f} pixels high at 512x768, too small for readable lips "
            f"({READABLE_FACE} or more); use a reference image taken from closer."
        )
    if not 0.5 <= scale <= 2:
        notes.append(
            f"The driving person was scaled by {scale:.2f} to fit the reference; pose errors grow or details "
            "vanish, a clip framed like the reference works better."
        )
    outside = _outside(pose, reference)
    if outside >= 0.05:
        notes.append(f"Part of the skeleton is outside the frame in {outside:.0%} of the frames.")
    return notes


def _face_height(pose: Pose) -> float:
    """Median height in pixels of the box around a complete face, 0 without any."""
    whole = pose.face.visible.mean(1) > 0.8
    y = np.where(pose.face.visible, pose.face.xy[..., 1], np.nan)[whole]
    return float(np.median(np.nanmax(y, 1) - np.nanmin(y, 1)) * pose.size[0]) if len(y) else 0.0


def _outside(pose: Pose, reference: Pose) -> float:
    """Share of frames in which a visible joint that the reference shows lies outside the picture."""
    shown = reference.body.visible[0] & ((reference.body.xy[0] >= 0) & (reference.body.xy[0] <= 1)).all(1)
    away = ((pose.body.xy < 0) | (pose.body.xy > 1)).any(2) & (pose.body.score > VISIBLE)
    return float(away[:, shown].any(1).mean()) if len(pose) else 0.0
