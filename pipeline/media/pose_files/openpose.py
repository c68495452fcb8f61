"""OpenPose JSON: a folder of `*_keypoints.json`, one a frame, or one file with a list of frames."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.media import json_text
from pipeline.media.files import checked_file
from pipeline.motion.keypoints import LEFT_EYE, LEFT_HAND, NECK, RIGHT_EYE, RIGHT_HAND
from pipeline.values import BODY, FACE, HANDS, Detection, InputError, Keypoints, Pose

POINTS = BODY + HANDS + FACE
USUAL_FPS = 25.0  # of files that do not tell their frame rate
MAX_FPS = 1000
MAX_FRAMES = 10 * 60 * 60  # ten minutes at 60 fps, as long as the longest speech
MAX_PEOPLE = 8  # in one frame; bounds the memory to 1 GB
MAX_FRAME_BYTES = 1 << 20  # of one frame's file
MAX_LIST_BYTES = 128 << 20  # of a file that holds a whole clip
MAX_SIDE_PX = 65536
MIN_CANVAS_PX = 64
CANVAS_STEP_PX = 16
AGAIN = "export the key points again"
MAX_COORDINATE = 1e9
MAX_FRACTION = 2.0  # where no coordinate is larger, they are fractions of the picture, not pixels
FRAME_NAME = re.compile(r"(?!\.)(?:(.*)_)?(\d+)_keypoints\.json")

# Where the 18 points stand among OpenPose's 25: these have a point 8 between the hips
BODY_25 = [*range(8), *range(9, 15), 15, 16, 17, 18]
# Where the 18 points stand among COCO's 17, which have no neck: 0 holds its place
COCO_17 = [0, 0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
COCO_SHOULDERS = [5, 6]
BODY_COUNTS = (18, 25, 17)
HAND_COUNTS = (21,)
FACE_COUNTS = (70, 68)  # OpenPose adds the pupils


@dataclass(frozen=True)
class _Canvas:
    """The size (H, W) of the picture that the points lie in, and a note where it is a guess."""

    size: tuple[int, int]
    notes: tuple[str, ...] = ()


def read(path: Path, fps: float | None = None) -> Detection:
    """Return people followed from frame to frame, largest first.

    `fps` counts where the file does not tell its own.
    """
    first: dict | None = None
    frames: list[np.ndarray] = []
    for where, frame in _raw_frames(path):
        frames.append(_people(frame, where))
        first = first or frame
        if len(frames) > MAX_FRAMES:
            raise InputError(
                f"{path} holds over {MAX_FRAMES} frames; split it, ten minutes can be read"
            )
    if first is None or not any((people[..., 2] > 0).any() for people in frames):
        raise InputError(f"{path} holds no person in any frame; check what the detector saw")
    canvas = _canvas(first, frames, path)
    notes = list(canvas.notes)
    rate = first.get("fps", fps)
    if rate is None:
        rate = USUAL_FPS
        notes.append(
            f"{path.name} does not tell its frame rate; {USUAL_FPS:g} frames a second are assumed."
        )
    _check_rate(rate, path)
    scale = np.ones(2)
    if not _are_fractions(frames):
        height, width = canvas.size
        scale = np.array([width, height], float)
    people = [_pose(track, scale, float(rate), canvas.size) for track in _tracks(frames)]
    people.sort(key=_presence, reverse=True)
    return Detection(tuple(people), notes=tuple(notes))


# ---- files


def _raw_frames(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (name for errors, frame) of a folder or a file."""
    if path.is_dir():
        for file in _frame_files(path):
            yield str(file), _json(file, MAX_FRAME_BYTES)
        return
    content = _json(path, MAX_LIST_BYTES)
    frames = content if isinstance(content, list) else [content]
    if not frames:
        raise InputError(f"{path} is an empty list; give a list of frames")
    for t, frame in enumerate(frames):
        yield f"{path}, frame {t}", frame


def _frame_files(folder: Path) -> list[Path]:
    """Return the files of one clip in order of their frame numbers."""
    clips = set()
    numbered = []
    for file in folder.iterdir():
        match = FRAME_NAME.fullmatch(file.name)
        if match:
            clips.add(match[1] or "")
            numbered.append((int(match[2]), file))
    if not numbered:
        raise InputError(
            f"folder {folder} holds no *_keypoints.json and no numbered pictures; "
            "give OpenPose's output folder, or frames as PNG or JPEG"
        )
    if len(clips) > 1:
        first, second, *_ = sorted(clips)
        raise InputError(
            f"folder {folder} mixes the clips {first} and {second}; keep one in a folder"
        )
    numbered.sort(key=lambda pair: pair[0])
    return [file for _, file in numbered]


def _json(path: Path, limit_bytes: int) -> Any:
    size = checked_file(path, "pose file").stat().st_size
    if size > limit_bytes:
        raise InputError(
            f"pose file {path} has {size / 1e6:.1f} MB; at most {limit_bytes / 1e6:.0f} MB are read"
        )
    try:
        return json_text.parse(path.read_bytes())
    except InputError as error:
        raise InputError(
            f"pose file {path} is not readable JSON ({error}); give OpenPose key points"
        ) from error
    except OSError as error:
        raise InputError(
            f"pose file {path} cannot be read ({error.strerror}); check its permissions"
        ) from error


# ---- one frame


def _people(frame: Any, where: str) -> np.ndarray:
    """Return (people, 128, 3) x, y, score in the file's units, of the people with any point."""
    people = frame.get("people") if isinstance(frame, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise InputError(f"{where} has no list of people; give OpenPose key points")
    if len(people) > MAX_PEOPLE:
        raise InputError(
            f"{where} has {len(people)} people; at most {MAX_PEOPLE} are followed, remove some"
        )
    seen = []
    for person in people:
        points = _person(person, where)
        if (points[:, 2] > 0).any():
            seen.append(points)
    return np.stack(seen) if seen else np.zeros((0, POINTS, 3))


def _person(person: dict, where: str) -> np.ndarray:
    """Return (128, 3): body, left hand, right hand, face; a part that the file lacks is missing."""
    body = _triples(person, "pose_keypoints_2d", BODY_COUNTS, where)
    if len(body) == 25:
        body = body[BODY_25]
    elif len(body) == 17:
        shoulders = body[COCO_SHOULDERS]
        body = body[COCO_17]
        body[NECK, :2] = shoulders[:, :2].mean(0)
        body[NECK, 2] = shoulders[:, 2].min()
    left = _triples(person, "hand_left_keypoints_2d", HAND_COUNTS, where)
    right = _triples(person, "hand_right_keypoints_2d", HAND_COUNTS, where)
    face = _triples(person, "face_keypoints_2d", FACE_COUNTS, where)
    return np.concatenate([body, left, right, face[:FACE]])


def _triples(person: dict, name: str, counts: tuple[int, ...], where: str) -> np.ndarray:
    """Return (n, 3) x, y, score; zeros of the first count where the file lacks the part.

    Args:
        person: as the file has it.
        name: of the part.
        counts: how many points the part may have.
        where: names file and frame in errors.
    """
    values = person.get(name)
    if not values:
        return np.zeros((counts[0], 3))
    if not isinstance(values, list) or len(values) not in [3 * count for count in counts]:
        received = len(values) if isinstance(values, list) else type(values).__name__
        wanted = " or ".join(str(3 * count) for count in counts)
        raise InputError(f"{where}: {name} needs {wanted} numbers, got {received}; {AGAIN}")
    if not all(_is_usable(value) for value in values):
        raise InputError(f"{where}: {name} holds something that is not a usable number; {AGAIN}")
    points = np.array(values, float).reshape(-1, 3)
    points[:, 2] = np.clip(points[:, 2], 0, 1)  # OpenPose's scores exceed 1 by a little
    return points


def _is_usable(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) < MAX_COORDINATE


# ---- the whole clip


def _check_rate(rate: Any, path: Path) -> None:
    is_number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
    if not is_number or not 0 < rate <= MAX_FPS:
        raise InputError(
            f"{path} claims {rate!r:.40} frames a second; give a number above 0 and up to {MAX_FPS}"
        )


def _are_fractions(frames: list[np.ndarray]) -> bool:
    """Say whether coordinates are fractions of the picture; else they are pixels."""
    largest = [float(people[..., :2].max()) for people in frames if people.size]
    return max(largest) <= MAX_FRACTION


def _canvas(first: dict, frames: list[np.ndarray], path: Path) -> _Canvas:
    """Return the size that the file tells, or one that holds every point, with a note.

    Once a pose is aligned to a reference image, both give the same.
    """
    height = first.get("canvas_height")
    width = first.get("canvas_width")
    if height is not None or width is not None:
        if height is None or width is None:
            raise InputError(f"{path} tells one side of its picture; give width and height")
        for side in (height, width):
            if not isinstance(side, int) or not 1 <= side <= MAX_SIDE_PX:
                raise InputError(
                    f"{path} claims a picture of {width!r:.20}x{height!r:.20}; "
                    f"give whole numbers of pixels from 1 to {MAX_SIDE_PX}"
                )
        return _Canvas((height, width))
    if _are_fractions(frames):
        raise InputError(
            f"{path} holds fractions of an unknown picture; add canvas_width and "
            "canvas_height to its first frame"
        )
    seen = np.concatenate([people[people[..., 2] > 0][:, :2] for people in frames])
    right, bottom = seen.max(0)
    width = _canvas_side(right)
    height = _canvas_side(bottom)
    note = (
        f"{path.name} does not tell its picture's size; "
        f"{width}x{height} holds every point and is used."
    )
    return _Canvas((height, width), (note,))


def _canvas_side(furthest_px: float) -> int:
    """Return a side of the picture, in whole steps, that holds a point."""
    side = np.ceil(furthest_px / CANVAS_STEP_PX) * CANVAS_STEP_PX
    return int(np.clip(side, MIN_CANVAS_PX, MAX_SIDE_PX))


def _tracks(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Return (T, 128, 3) per person.

    The order of people changes in the file: each track takes the body nearest to its last one.
    """
    tracks: list[np.ndarray] = []
    last: list[np.ndarray] = []
    for t, people in enumerate(frames):
        centers = [person[person[:, 2] > 0][:, :2].mean(0) for person in people]
        old = np.array(last).reshape(-1, 1, 2)
        new = np.array(centers).reshape(1, -1, 2)
        distance = np.linalg.norm(old - new, axis=2)
        rows, cols = linear_sum_assignment(distance)
        for row, col in zip(rows, cols, strict=True):
            tracks[row][t] = people[col]
            last[row] = centers[col]
        newcomers = set(range(len(people))) - set(cols.tolist())
        for col in sorted(newcomers):
            track = np.zeros((len(frames), POINTS, 3))
            track[t] = people[col]
            tracks.append(track)
            last.append(centers[col])
    return tracks


def _pose(track: np.ndarray, scale: np.ndarray, fps: float, size: tuple[int, int]) -> Pose:
    """Return a track (T, 128, 3) as a pose; `scale` is what one picture measures in its units."""
    parts = []
    for points in np.split(track, [BODY, BODY + HANDS], axis=1):
        score = points[..., 2]
        xy = np.where(points[..., 2:] > 0, points[..., :2] / scale, 0.0)
        parts.append(Keypoints(xy, score))
    body, hands, face = parts
    return Pose(body, hands, face, fps, size)


def _presence(pose: Pose) -> float:
    """Return the height of all seen points summed over the frames: large people who stay lead."""
    parts = (pose.body, pose.hands, pose.face)
    y = np.concatenate([part.xy[..., 1] for part in parts], 1)
    seen = np.concatenate([part.score > 0 for part in parts], 1)
    bottom = np.where(seen, y, -np.inf).max(1)
    top = np.where(seen, y, np.inf).min(1)
    heights = np.where(seen.any(1), bottom - top, 0.0)
    return float(heights.sum())


# ---- writing


def frame(pose: Pose, row: int) -> dict[str, Any]:
    """Return one frame as OpenPose writes it, in pixels.

    It has 18 body points, 21 a hand and 70 of the face, pupils included. `canvas_width`,
    `canvas_height` and `fps` are additions; other readers ignore what they do not know.
    """
    height, width = pose.size

    def numbers(xy: np.ndarray, score: np.ndarray) -> list[float]:
        pixels = xy * (width, height)
        table = np.column_stack([pixels, score])
        table[score <= 0] = 0
        return [round(value, 4) for value in table.ravel().tolist()]

    face = pose.face.xy[row]
    face_score = pose.face.score[row]
    pupils = [face[eye].mean(0) for eye in (RIGHT_EYE, LEFT_EYE)]
    pupil_scores = [face_score[eye].min() for eye in (RIGHT_EYE, LEFT_EYE)]
    hands = pose.hands.xy[row]
    hand_score = pose.hands.score[row]
    person = {
        "person_id": [-1],
        "pose_keypoints_2d": numbers(pose.body.xy[row], pose.body.score[row]),
        "face_keypoints_2d": numbers(
            np.vstack([face, *pupils]), np.append(face_score, pupil_scores)
        ),
        "hand_left_keypoints_2d": numbers(hands[LEFT_HAND], hand_score[LEFT_HAND]),
        "hand_right_keypoints_2d": numbers(hands[RIGHT_HAND], hand_score[RIGHT_HAND]),
    }
    canvas = {"canvas_width": int(width), "canvas_height": int(height), "fps": float(pose.fps)}
    return {"version": 1.3, "people": [person], **canvas}


def write_list(pose: Pose, path: Path) -> None:
    """Write all frames as one JSON list."""
    frames = [frame(pose, row) for row in range(len(pose))]
    _save(path, frames)


def holds_frames(folder: Path) -> bool:
    """Say whether a folder holds at least one frame of OpenPose's."""
    return any(FRAME_NAME.fullmatch(file.name) for file in folder.iterdir())


def check_folder(folder: Path) -> None:
    """Raise InputError where frames would mix with another clip's, or the name is a file's."""
    if folder.is_dir() and holds_frames(folder):
        raise InputError(
            f"folder {folder} already holds *_keypoints.json; give a new or an empty folder"
        )
    if folder.is_file():
        raise InputError(f"{folder} is a file; give the name of a folder for the frames")


def write_folder(pose: Pose, folder: Path) -> None:
    """Write NAME_000000000000_keypoints.json and on, into a new folder or one without frames."""
    check_folder(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"folder {folder} cannot be written ({error.strerror}); choose another"
        ) from error
    for row in range(len(pose)):
        file = folder / f"{folder.name}_{row:012d}_keypoints.json"
        _save(file, frame(pose, row))


def _save(path: Path, content: list | dict) -> None:
    """Write JSON so that a broken run leaves no half file."""
    part = path.with_name(f".apv-{secrets.token_hex(8)}.part")
    try:
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"pose file {path} cannot be written ({error.strerror}); choose another"
        ) from error
