"""A training clip as the members of a WebDataset sample, and back.

Every member is decoded by its ending: `.mp4` and `.flac` by FFmpeg, `.png` by Pillow, `.pose.npz`
by numpy without pickles, `.json` as text. A member of any other kind is refused.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline import media
from pipeline.training.data.fda_sampling import Placement
from pipeline.training.data.training_clips import (
    KINDS,
    SAMPLE_RATE_HZ,
    Kind,
    Outpainted,
    TrainingClip,
)
from pipeline.values import Audio, InputError, Pose

FORMAT = 1  # of the JSON member
FRAMES = "mp4"
SOUND = "flac"
POSE = "pose.npz"
PICTURE = "outpainted.png"
FACTS = "json"
ENDINGS = (FRAMES, SOUND, POSE, PICTURE, FACTS)
CRF = 14  # of x264: compression must not become what a network learns
MAX_FRAMES = 3000  # of a clip; 100 seconds at 30 frames a second
MAX_PIXELS = 2_000_000_000  # of all its frames: 6 GB in memory

Members = dict[str, bytes]  # ending -> content


def to_members(clip: TrainingClip, start_seconds: float, scratch: Path | None = None) -> Members:
    """Return the members of a clip.

    Frames need even sides: H.264 halves its colors' resolution.

    Args:
        clip: what is encoded.
        start_seconds: where it begins in its source.
        scratch: folder for files that are gone when this returns; None = the system's.
    """
    members = {}
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        frames = folder / f"clip.{FRAMES}"
        with media.VideoWriter(frames, clip.pose.fps, clip.size, crf=CRF) as writer:
            writer.write(clip.frames)
        members[FRAMES] = frames.read_bytes()
        pose = folder / f"clip.{POSE}"
        clip.pose.save(pose)
        members[POSE] = pose.read_bytes()
        if clip.samples is not None:
            sound = folder / f"clip.{SOUND}"
            media.write_audio(sound, Audio(clip.samples, SAMPLE_RATE_HZ))
            members[SOUND] = sound.read_bytes()
        if clip.outpainted is not None:
            picture = folder / f"clip.{PICTURE}"
            Image.fromarray(clip.outpainted.picture).save(picture)
            members[PICTURE] = picture.read_bytes()
    facts = _facts(clip, start_seconds)
    members[FACTS] = json.dumps(facts).encode()
    return members


def pose_from(members: Mapping[str, bytes]) -> Pose:
    """Return the clip's pose alone."""
    if POSE not in members:
        raise InputError(f"it lacks the member .{POSE}")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"clip.{POSE}"
        path.write_bytes(members[POSE])
        return Pose.load(path)


def from_members(members: Mapping[str, bytes]) -> TrainingClip:
    """Return the clip; raise InputError where a member is missing, unknown or damaged."""
    unknown = sorted(set(members) - set(ENDINGS))
    if unknown:
        raise InputError(f"it holds a member .{unknown[0]}, which no decoder here reads")
    for ending in (FRAMES, POSE, FACTS):
        if ending not in members:
            raise InputError(f"it lacks the member .{ending}")
    facts = _read_facts(members[FACTS])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ending, content in members.items():
            (folder / f"clip.{ending}").write_bytes(content)
        frames = _read_frames(folder / f"clip.{FRAMES}")
        pose = Pose.load(folder / f"clip.{POSE}")
        samples = None
        if SOUND in members:
            samples = media.read_audio(folder / f"clip.{SOUND}", SAMPLE_RATE_HZ).samples
        picture = None
        if PICTURE in members:
            picture = media.read_image(folder / f"clip.{PICTURE}")
    outpainted = None
    if picture is not None:
        outpainted = _read_outpainted(picture, facts)
    try:
        kind = _read_kind(facts)
        return TrainingClip(kind, frames, pose, samples, outpainted, str(facts["source"]))
    except (KeyError, ValueError) as error:
        raise InputError(f"its members do not fit together ({error})") from error


def _facts(clip: TrainingClip, start_seconds: float) -> dict[str, Any]:
    """Return what the JSON member says."""
    height, width = clip.size
    facts: dict[str, Any] = {
        "format": FORMAT,
        "kind": clip.kind,
        "source": clip.source,
        "start_seconds": round(start_seconds, 3),
        "frames": len(clip),
        "fps": clip.pose.fps,
        "width": width,
        "height": height,
    }
    if clip.outpainted is not None:
        facts["outpainted"] = {
            "scale": clip.outpainted.placement.scale.tolist(),
            "offset": clip.outpainted.placement.offset.tolist(),
            "frame": clip.outpainted.frame,
            "method": clip.outpainted.method,
        }
    return facts


def _read_facts(content: bytes) -> dict[str, Any]:
    """Parse the JSON member."""
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError("its JSON is damaged") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError("it is of another format; make the shards anew with `train data`")
    return facts


def _read_kind(facts: Mapping[str, Any]) -> Kind:
    for kind in KINDS:
        if facts["kind"] == kind:
            return kind
    raise ValueError(f"kind {facts['kind']!r:.20}")


def _read_frames(path: Path) -> np.ndarray:
    """Decode the frames (T,H,W,3) uint8 after a look at how many there are."""
    facts = media.probe(path)
    pixels = facts.frames * facts.width * facts.height
    if facts.frames > MAX_FRAMES or pixels > MAX_PIXELS:
        raise InputError(
            f"it holds {facts.frames} frames of {facts.width}x{facts.height} pixels; "
            "shards of this project hold shorter clips"
        )
    seconds = (facts.frames + 0.5) / facts.fps
    video = media.read_video(path, seconds=seconds)
    return np.concatenate(list(video.chunks()))


def _read_outpainted(picture: np.ndarray, facts: Mapping[str, Any]) -> Outpainted:
    """Join the picture and what the JSON member says of it."""
    try:
        place = facts["outpainted"]
        scale = np.array(place["scale"], float)
        offset = np.array(place["offset"], float)
        placement = Placement(scale, offset)
        return Outpainted(picture, placement, int(place["frame"]), str(place["method"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"its JSON tells nothing sound of the outpainted picture ({error})") from (
            error
        )


def sound_of(samples: np.ndarray, start_seconds: float, seconds: float) -> np.ndarray:
    """Cut a clip's sound (n,) from its video's; silence follows where that ends sooner."""
    start = round(start_seconds * SAMPLE_RATE_HZ)
    count = math.ceil(seconds * SAMPLE_RATE_HZ)
    part = samples[start : start + count]
    missing = count - len(part)
    return np.pad(part, (0, missing))
