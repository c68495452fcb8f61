"""Measure where faces lie in full-body clips: `python -m pipeline train data-stats FOLDER...`.

The means are the law by which FDA places face clips (APV-Gen, eq. 2-5). Folders hold videos, or
shards of `train data`. `--faces` names face clips, whose framing counts; without it that of usual
portraits is taken. `--output` writes the file that `--law` of the trainer takes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline import media
from pipeline.analysis import detectors
from pipeline.analysis.progress import finish
from pipeline.training.data import placement_law, video_files
from pipeline.training.data.fda_sampling import PAPER
from pipeline.training.data.placement_law import MeasuredLaw, face_boxes
from pipeline.training.data.shard_index import FILE
from pipeline.training.data.training_clips import Kind
from pipeline.training.data.video_shards import ShardFolder
from pipeline.values import InputError

MEASURED_FPS = 4.0  # frames a second that are looked at in videos
MEASURED_SECONDS = 30.0  # of each video
MEASURED_SIDE_PX = 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    options = _parser().parse_args(argv)
    left_out: dict[str, str] = {}
    body = list(_boxes(options.folders, "body", options.detector, left_out))
    face = list(_boxes(options.faces, "face", options.detector, left_out))
    measured = placement_law.measure(body, face)
    if options.output is not None:
        placement_law.write(options.output, measured)
    print(_printed(measured, left_out, bool(face)))
    if options.json:
        print(json.dumps({**measured.to_dict(), "left_out": left_out}))
    return 0


def _boxes(
    folders: Sequence[Path], kind: Kind, detector: str, left_out: dict[str, str]
) -> Iterator[np.ndarray]:
    """Yield the face boxes (n,3) of each clip of folders; what shows none is left out by name."""
    for folder in folders:
        if (folder / FILE).is_file():
            yield from _shard_boxes(folder, kind, left_out)
        else:
            yield from _video_boxes(folder, detector, left_out)


def _shard_boxes(folder: Path, kind: Kind, left_out: dict[str, str]) -> Iterator[np.ndarray]:
    """Yield the face boxes of the clips of a folder of shards; their poses alone are decoded."""
    source = ShardFolder(folder, kind)
    for number in range(len(source)):
        name = source.index.clips[number].key
        try:
            boxes = face_boxes(source.pose(number))
        except InputError as error:
            left_out[name] = str(error)
            continue
        if not len(boxes):
            left_out[name] = "no face"
        yield boxes


def _video_boxes(folder: Path, detector: str, left_out: dict[str, str]) -> Iterator[np.ndarray]:
    """Yield the face boxes of the largest person of each video of a folder."""
    network = detectors.load(detector)
    for video in video_files.find([folder]).videos:
        try:
            frames = media.read_video(video.path, MEASURED_FPS, MEASURED_SIDE_PX, MEASURED_SECONDS)
            people = finish(network.video(frames)).people
        except InputError as error:
            left_out[video.name] = str(error)
            continue
        boxes = face_boxes(people[0]) if people else np.empty((0, 3))
        if not len(boxes):
            left_out[video.name] = "no face"
        yield boxes


def _printed(measured: MeasuredLaw, left_out: dict[str, str], has_faces: bool) -> str:
    """Return the law and its figures as lines for people."""
    law = measured.law
    spread = measured.spread
    rows = (
        ("a_x, width", law.width_share, spread[0], PAPER.width_share),
        ("a_y, height", law.height_share, spread[1], PAPER.height_share),
        ("b_y, top", law.top, spread[2], PAPER.top),
    )
    lines = [f"{measured.clips} body clips with a face, {measured.frames} frames"]
    for name, mean, deviation, paper in rows:
        lines.append(f"{name:12s} {mean:.3f}  spread {deviation:.3f}  (the paper's {paper:g})")
    lines.append(f"delta        {law.delta:g}")
    body = measured.body
    face = measured.face
    whose = "of the face clips" if has_faces else "assumed of portraits; --faces measures it"
    lines.append(
        f"face points: {body.width:.3f} of the width, {body.height:.3f} of the height, "
        f"from {body.top:.3f} down"
    )
    lines.append(f"framing {whose}: {face.width:.3f}, {face.height:.3f}, {face.top:.3f}")
    lines += measured.notes
    for name, reason in left_out.items():
        lines.append(f"left out: {name}, {reason}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train data-stats",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    folders_help = "of full-body videos, or of their shards"
    add("folders", nargs="+", type=Path, metavar="FOLDER", help=folders_help)
    faces_help = "folders of face clips, whose framing counts"
    add("--faces", nargs="+", type=Path, default=[], metavar="FOLDER", help=faces_help)
    names = tuple(detectors.CLASSES)
    add("--detector", choices=names, default=detectors.DEFAULT, help="of videos' faces")
    add("--output", type=Path, metavar="FILE", help="JSON for --law")
    add("--json", action="store_true", help="print one JSON object last on stdout")
    return parser
