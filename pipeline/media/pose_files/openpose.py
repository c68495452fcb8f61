"""OpenPose JSON: a folder of per-frame `*_keypoints.json`, or one JSON with a list of such frames."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.media.files import checked_file
from pipeline.values import BODY, FACE, HANDS, Detection, InputError, Keypoints, Pose

POINTS = BODY + HANDS + FACE
FPS = 25.0  # of files that do not tell their frame rate
MAX_FRAMES = 10 * 60 * 60  # ten minutes at 60 fps, as long as the longest speech
MAX_PEOPLE = 8  # in one frame; bounds the memory to 1 GB
MAX_FRAME_BYTES, MAX_LIST_BYTES = (
    1 << 20,
    128 << 20,
)  # of one frame's file; of a file that holds a whole clip
MAX_SIDE = 65536
FRACTION = 2.0  # where no coordinate is larger, they are fractions of the picture, not pixels
FRAME = re.compile(r"(?!\.)(?:(.*)_)?(\d+)_keypoints\.json")

BODY_25 = [
    *range(8),
    *range(9, 15),
    15,
    16,
    17,
    18,
]  # where the 18 points stand among OpenPose's 25
COCO_17 = [
    0,
    0,
    6,
    8,
    10,
    5,
    7,
    9,
    12,
    14,
    16,
    11,
    13,
    15,
    2,
    1,
    4,
    3,
]  # and among COCO's 17, without neck
COCO_SHOULDERS = [5, 6]
EYES = (
    [*range(36, 42)],
    [*range(42, 48)],
)  # OpenPose's points 69 and 70 of the face are the pupils


def read(path: Path, fps: float | None = None) -> Detection:
    """Returns people followed from frame to frame, largest first; `fps` counts where the file tells none."""
    frames = _frames(path)
    first, found, total = None, [], 0
    for where, frame in frames:
        found.append(_frame(frame, where))
        first = first or frame
        total += 1  # noqa: SIM113
        if total > MAX_FRAMES:
            raise InputError(
                f"{path} holds over {MAX_FRAMES} frames; split it, ten minutes can be read"
            )
    if not any((people[..., 2] > 0).any() for people in found):
        raise InputError(f"{path} holds no person in any frame; check what the detector saw")
    size, notes = _canvas(first, found, path)
    rate = first.get("fps", fps)
    if rate is None:
        rate = FPS
        notes.append(
            f"{path.name} does not tell its frame rate; {FPS:g} frames a second are assumed."
        )
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate <= 1000:
        raise InputError(
            f"{path} claims {rate!r} frames a second; give a number above 0 and up to 1000"
        )
    scale = np.ones(2) if _are_fractions(found) else np.array([size[1], size[0]], float)
    people = [_pose(track, scale, float(rate), size) for track in _tracks(found)]
    return Detection(tuple(sorted(people, key=_presence, reverse=True)), notes=tuple(notes))


def _frames(path: Path) -> Iterator[tuple[str, Any]]:
    """(name for errors, frame) of a folder or file."""
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
    """The files of one clip in order of their frame numbers."""
    found = [(match, file) for file in folder.iterdir() if (match := FRAME.fullmatch(file.name))]
    if not found:
        raise InputError(
            f"folder {folder} holds no *_keypoints.json and no numbered pictures; "
            "give OpenPose's output folder, or frames as PNG or JPEG"
        )
    clips = sorted({match[1] or "" for match, _ in found})
    if len(clips) > 1:
        raise InputError(
            f"folder {folder} mixes the clips {clips[0]} and {clips[1]}; keep one in a folder"
        )
    return [file for _, file in sorted(found, key=lambda pair: int(pair[0][2]))]


def _json(path: Path, limit: int) -> Any:
    size = checked_file(path, "pose file").stat().st_size
    if size > limit:
        raise InputError(
            f"pose file {path} has {size / 1e6:.1f} MB; at most {limit / 1e6:.0f} MB are read"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not readable JSON ({error}); give OpenPose key points"
        ) from error


def _frame(frame: Any, where: str) -> np.ndarray:
    """(people, 128, 3) x, y, score of one frame, in the file's units, of those with any point."""
    people = frame.get("people") if isinstance(frame, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise InputError(f"{where} has no list of people; give OpenPose key points")
    if len(people) > MAX_PEOPLE:
        raise InputError(
            f"{where} has {len(people)} people; at most {MAX_PEOPLE} are followed, remove some"
        )
    points = [_person(person, where) for person in people]
    points = [person for person in points if (person[:, 2] > 0).any()]
    return np.stack(points) if points else np.zeros((0, POINTS, 3))


def _person(person: dict, where: str) -> np.ndarray:
    """(128, 3): body, left hand, right hand, face; parts that the file leaves out are missing."""
    body = _triples(person, "pose_keypoints_2d", (18, 25, 17), where)
    if len(body) == 25:
        body = body[BODY_25]
    elif len(body) == 17:
        shoulders = body[COCO_SHOULDERS]
        body = body[COCO_17]
        body[1] = (*shoulders[:, :2].mean(0), shoulders[:, 2].min())
    hands = [
        _triples(person, f"hand_{side}_keypoints_2d", (21,), where) for side in ("left", "right")
    ]
    face = _triples(person, "face_keypoints_2d", (70, 68), where)[:FACE]
    return np.concatenate([body, *hands, face])


def _triples(person: dict, name: str, counts: tuple[int, ...], where: str) -> np.ndarray:
    """(n, 3) x, y, score; zeros of the first count where the file leaves the part out."""
    values = person.get(name)
    if not values:
        return np.zeros((counts[0], 3))
    if not isinstance(values, list) or len(values) not in [3 * count for count in counts]:
        found = len(values) if isinstance(values, list) else type(values).__name__
        wanted = " or ".join(str(3 * count) for count in counts)
        raise InputError(f"{where}: {name} needs {wanted} numbers, got {found}")
    if not all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < 1e9 for v in values
    ):
        raise InputError(f"{where}: {name} holds something that is not a usable number")
    points = np.array(values, float).reshape(-1, 3)
    points[:, 2] = np.clip(points[:, 2], 0, 1)  # OpenPose's scores exceed 1 by a little
    return points


def _are_fractions(found: list[np.ndarray]) -> bool:
    return max(float(people[..., :2].max()) for people in found if people.size) <= FRACTION


def _canvas(first: dict, found: list[np.ndarray], path: Path) -> tuple[tuple[int, int], list[str]]:
    """(H, W) that the file tells, or one that holds every point, with a note: aligned, both give the same."""
    height, width = (first.get(f"canvas_{side}") for side in ("height", "width"))
    if height is not None or width is not None:
        if not all(isinstance(side, int) and 1 <= side <= MAX_SIDE for side in (height, width)):
            raise InputError(
                f"{path} claims a picture of {width}x{height}; give pixels from 1 to {MAX_SIDE}"
            )
        return (height, width), []
    if _are_fractions(found):
        raise InputError(
            f"{path} holds fractions of an unknown picture; add canvas_width and "
            "canvas_height to its first frame"
        )
    seen = np.concatenate([people[people[..., 2] > 0][:, :2] for people in found])
    width, height = (int(np.clip(np.ceil(side / 16) * 16, 64, MAX_SIDE)) for side in seen.max(0))
    note = f"{path.name} does not tell its picture's size; {width}x{height} holds every point and is used."
    return (height, width), [note]


def _tracks(found: list[np.ndarray]) -> list[np.ndarray]:
    """(T, 128, 3) per person: their order changes in the file, so each takes the nearest body of before."""
    tracks: list[np.ndarray] = []
    last: list[np.ndarray] = []
    for t, people in enumerate(found):
        centres = [person[person[:, 2] > 0][:, :2].mean(0) for person in people]
        old = np.array(last).reshape(-1, 1, 2)
        rows, cols = linear_sum_assignment(
            np.linalg.norm(old - np.array(centres).reshape(1, -1, 2), axis=2)
        )
        for row, col in zip(rows, cols, strict=True):
            tracks[row][t], last[row] = people[col], centres[col]
        for col in sorted(set(range(len(people))) - set(cols.tolist())):
            tracks.append(np.zeros((len(found), POINTS, 3)))
            tracks[-1][t] = people[col]
            last.append(centres[col])
    return tracks


def _pose(track: np.ndarray, scale: np.ndarray, fps: float, size: tuple[int, int]) -> Pose:
    parts = []
    for points in np.split(track, [BODY, BODY + HANDS], axis=1):
        parts.append(
            Keypoints(np.where(points[..., 2:] > 0, points[..., :2] / scale, 0.0), points[..., 2])
        )
    return Pose(*parts, fps, size)


def _presence(pose: Pose) -> float:
    """Height of all seen points summed over the frames: large people who stay come first."""
    y = np.concatenate([part.xy[..., 1] for part in (pose.body, pose.hands, pose.face)], 1)
    seen = np.concatenate([part.score > 0 for part in (pose.body, pose.hands, pose.face)], 1)
    span = np.where(seen, y, -np.inf).max(1) - np.where(seen, y, np.inf).min(1)
    return float(np.where(seen.any(1), span, 0.0).sum())


# ---- out


def frame(pose: Pose, row: int) -> dict[str, Any]:
    """One frame as OpenPose writes it (18 body points, 21 a hand, 70 of the face with the pupils), in pixels.

    `canvas_width`, `canvas_height` and `fps` are additions; other readers ignore what they do not know.
    """
    height, width = pose.size

    def numbers(xy: np.ndarray, score: np.ndarray) -> list[float]:
        table = np.column_stack([xy * (width, height), score])
        table[score <= 0] = 0
        return [round(value, 4) for value in table.ravel().tolist()]

    face, seen = pose.face.xy[row], pose.face.score[row]
    pupils, pupils_seen = [face[eye].mean(0) for eye in EYES], [seen[eye].min() for eye in EYES]
    hands, scores = pose.hands.xy[row], pose.hands.score[row]
    person = {
        "person_id": [-1],
        "pose_keypoints_2d": numbers(pose.body.xy[row], pose.body.score[row]),
        "face_keypoints_2d": numbers(np.vstack([face, *pupils]), np.append(seen, pupils_seen)),
        "hand_left_keypoints_2d": numbers(hands[:21], scores[:21]),
        "hand_right_keypoints_2d": numbers(hands[21:], scores[21:]),
    }
    canvas = {"canvas_width": int(width), "canvas_height": int(height), "fps": float(pose.fps)}
    return {"version": 1.3, "people": [person], **canvas}


def write_list(pose: Pose, path: Path) -> None:
    """Writes all frames as one JSON list."""
    _save(path, json.dumps([frame(pose, row) for row in range(len(pose))]))


def holds_frames(folder: Path) -> bool:
    """Say whether a folder holds at least one frame of OpenPose's."""
    return any(FRAME.fullmatch(file.name) for file in folder.iterdir())


def check_folder(folder: Path) -> None:
    """Raise InputError where frames would mix with another clip's, or the name is a file's."""
    if folder.is_dir() and holds_frames(folder):
        raise InputError(
            f"folder {folder} already holds *_keypoints.json; give a new or an empty folder"
        )
    if folder.is_file():
        raise InputError(f"{folder} is a file; give the name of a folder for the frames")


def write_folder(pose: Pose, folder: Path) -> None:
    """Writes NAME_000000000000_keypoints.json and on, into a new folder or one without frames."""
    check_folder(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"folder {folder} cannot be written ({error.strerror}); choose another"
        ) from error
    for row in range(len(pose)):
        _save(folder / f"{folder.name}_{row:012d}_keypoints.json", json.dumps(frame(pose, row)))


def _save(path: Path, text: str) -> None:
    part = path.with_name(f".apv-{secrets.token_hex(8)}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"pose file {path} cannot be written ({error.strerror}); choose another"
        ) from error
