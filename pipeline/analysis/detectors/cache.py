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

import cv2
import numpy as np

from pipeline.analysis.detectors.protocol import Detector, PictureDetector
from pipeline.values import Detection, InputError, Pose, Video

MAX_BYTES = 2 * 1024**3  # beyond it the entries that were not used for longest go
MASK_LEVELS = (
    255  # masks are kept as 8-bit PNG: a step of 0.004 is below what the mask's edge shows
)

log = logging.getLogger(__name__)


def folder() -> Path:
    """Return the folder of kept detections: in APV_CACHE, or in the user's cache folder."""
    chosen = os.environ.get("APV_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "detections"
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("apv-studio")) / "detections"


def image(detector: PictureDetector, picture: np.ndarray) -> Detection:
    """Detect people in a picture (H,W,3); a new result equals a kept one bit for bit."""
    content = hashlib.sha256(repr(picture.shape).encode())
    content.update(np.ascontiguousarray(picture).data)
    entry = _entry(detector, f"picture-{content.hexdigest()}")
    kept = _read(entry)
    if kept is not None:
        return kept
    detection = detector.image(picture)
    masks = tuple(_levels(mask) / np.float32(MASK_LEVELS) for mask in detection.masks)
    detection = replace(detection, masks=masks)
    _write(entry, detection)
    return detection


def video(detector: Detector, video: Video, key: str | None) -> Generator[int, None, Detection]:
    """Detect people in a clip: yield the frames done, return the detection.

    key: names the clip's content, frame rate and size; None = the detection is not kept.
    """
    if key is None:
        return (yield from detector.video(video))
    entry = _entry(detector, f"video-{key}")
    kept = _read(entry)
    if kept is not None:
        if kept.people:
            yield len(kept.people[0])
        return kept
    detection = yield from detector.video(video)
    _write(entry, detection)
    return detection


def _entry(detector: PictureDetector, key: str) -> Path:
    """Return the folder of one detection."""
    name = f"{detector.name}/{detector.version}/{key}"
    return folder() / hashlib.sha256(name.encode()).hexdigest()


def _read(entry: Path) -> Detection | None:
    """Read a kept detection; None where there is none or it is damaged.

    A damaged one is removed.
    """
    if not entry.is_dir():
        return None
    try:
        text = (entry / "index.json").read_text(encoding="utf-8")
        index = json.loads(text)
        people = int(index["people"])
        masks = int(index["masks"])
        notes = tuple(str(note) for note in index["notes"])
        poses = tuple(Pose.load(entry / f"{i}.npz") for i in range(people))
        pictures = tuple(_read_mask(entry / f"{i}.png") for i in range(masks))
        os.utime(entry)  # used just now: it is the last to go when the folder is trimmed
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("a damaged cache entry is ignored and made anew: %s", error)
        shutil.rmtree(entry, ignore_errors=True)
        return None
    return Detection(poses, pictures, notes)


def _read_mask(path: Path) -> np.ndarray:
    """Read a mask (H,W) float32 in [0, 1]."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    levels = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    if levels is None:
        raise InputError(f"{path.name} is not a picture")
    return levels / np.float32(MASK_LEVELS)


def _levels(mask: np.ndarray) -> np.ndarray:
    """Round a mask in [0, 1] to MASK_LEVELS."""
    return np.round(mask * MASK_LEVELS).astype(np.uint8)


def _write(entry: Path, detection: Detection) -> None:
    """Keep a detection, all or nothing.

    A full or read-only disk only costs the next run its time.
    """
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".new-", dir=entry.parent))
    except OSError as error:
        log.warning("detections cannot be kept in %s: %s", entry.parent, error)
        return
    try:
        _write_files(unfinished, detection)
        unfinished.rename(entry)
    # OSError also where another process was first: its entry is as good
    except (OSError, ValueError) as error:
        log.info("a detection is not kept: %s", error)
        shutil.rmtree(unfinished, ignore_errors=True)
    _trim(entry.parent, keep=entry)


def _write_files(place: Path, detection: Detection) -> None:
    """Write poses, masks and the index into a folder."""
    for i, pose in enumerate(detection.people):
        pose.save(place / f"{i}.npz")
    for i, mask in enumerate(detection.masks):
        _, png = cv2.imencode(".png", _levels(mask))
        (place / f"{i}.png").write_bytes(png.tobytes())
    index = {
        "people": len(detection.people),
        "masks": len(detection.masks),
        "notes": list(detection.notes),
    }
    (place / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _trim(root: Path, keep: Path) -> None:
    """Remove the entries that were unused for longest until at most MAX_BYTES are left."""
    entries = []
    for entry in root.iterdir():
        try:
            size = sum(file.stat().st_size for file in entry.iterdir())
            last_use = entry.stat().st_mtime
        except OSError:  # another process removed it meanwhile
            continue
        entries.append((last_use, size, entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total <= MAX_BYTES:
            return
        if entry != keep:
            shutil.rmtree(entry, ignore_errors=True)
            total -= size
