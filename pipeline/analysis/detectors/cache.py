"""Detections kept on disk by file content and detector version: a second run costs nothing."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipeline.values import Detection, InputError, Pose, Video

if TYPE_CHECKING:
    from pipeline.analysis.detectors import Detector

MAX_BYTES = 2 * 1024**3  # oldest entries go first beyond this
MASK_LEVELS = 255  # masks are kept as 8-bit PNG: a step of 0.004 is below what the cut-out shows

log = logging.getLogger(__name__)


def folder() -> Path:
    """Where detections are kept: APV_CACHE, or the user's cache folder."""
    own = os.environ.get("APV_CACHE")
    if own:
        return Path(own).expanduser() / "detections"
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("apv-studio")) / "detections"


def image(detector: Detector, picture: np.ndarray) -> Detection:
    """The detector's answer for a picture (H, W, 3), the same bit for bit whether it was kept or is new."""
    content = hashlib.sha256(repr(picture.shape).encode())
    content.update(np.ascontiguousarray(picture))
    entry = _entry(detector, f"image-{content.hexdigest()}")
    kept = _read(entry)
    if kept is None:
        found = detector.image(picture)
        kept = replace(
            found, masks=tuple(_rounded(mask) / np.float32(MASK_LEVELS) for mask in found.masks)
        )
        _write(entry, kept)
    return kept


def video(detector: Detector, video: Video, key: str | None) -> Generator[int, None, Detection]:
    """Yields frames done and returns the detection; `key` names content, fps and size; None = not kept."""
    entry = None if key is None else _entry(detector, f"video-{key}")
    kept = None if entry is None else _read(entry)
    if kept is not None:
        if kept.people:
            yield len(kept.people[0])
        return kept
    found = yield from detector.video(video)
    if entry is not None:
        _write(entry, found)
    return found


def _entry(detector: Detector, key: str) -> Path:
    name = hashlib.sha256(f"{detector.name}/{detector.version}/{key}".encode()).hexdigest()
    return folder() / name


def _read(entry: Path) -> Detection | None:
    """The kept detection, or None where there is none or it is damaged; a damaged one is removed."""
    if not entry.is_dir():
        return None
    try:
        index = json.loads((entry / "index.json").read_text(encoding="utf-8"))
        people, masks = int(index["people"]), int(index["masks"])
        notes = tuple(str(note) for note in index["notes"])
        poses = tuple(Pose.load(entry / f"{i}.npz") for i in range(people))
        pictures = tuple(_read_mask(entry / f"{i}.png") for i in range(masks))
        os.utime(entry)  # used just now: goes last when the folder is trimmed
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("a damaged cache entry is ignored and made anew: %s", error)
        shutil.rmtree(entry, ignore_errors=True)
        return None
    return Detection(poses, pictures, notes)


def _read_mask(path: Path) -> np.ndarray:
    mask = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise InputError(f"{path.name} is not a picture")
    return mask / np.float32(MASK_LEVELS)


def _rounded(mask: np.ndarray) -> np.ndarray:
    return np.round(mask * MASK_LEVELS).astype(np.uint8)


def _write(entry: Path, found: Detection) -> None:
    """Keeps a detection, all or nothing; a full or read-only disk only costs the next run its time."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".new-", dir=entry.parent))
    except OSError as error:
        log.warning("detections cannot be kept in %s: %s", entry.parent, error)
        return
    try:
        for i, pose in enumerate(found.people):
            pose.save(work / f"{i}.npz")
        for i, mask in enumerate(found.masks):
            (work / f"{i}.png").write_bytes(cv2.imencode(".png", _rounded(mask))[1].tobytes())
        index = {"people": len(found.people), "masks": len(found.masks), "notes": list(found.notes)}
        (work / "index.json").write_text(json.dumps(index), encoding="utf-8")
        work.rename(entry)
    except (
        OSError,
        ValueError,
    ) as error:  # also where another process was first: its entry is as good
        log.info("a detection is not kept: %s", error)
        shutil.rmtree(work, ignore_errors=True)
    _trim(entry.parent, keep=entry)


def _trim(root: Path, keep: Path) -> None:
    """Removes the entries that were not used for longest until the folder holds at most MAX_BYTES."""
    entries = []
    for entry in root.iterdir():
        try:
            size = sum(file.stat().st_size for file in entry.iterdir())
            entries.append((entry.stat().st_mtime, size, entry))
        except OSError:  # another process removed it meanwhile
            continue
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total <= MAX_BYTES:
            return
        if entry != keep:
            shutil.rmtree(entry, ignore_errors=True)
            total -= size
