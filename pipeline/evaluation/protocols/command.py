"""`python -m pipeline evaluate protocol`: cut the test sets EMTD and HDTF from downloaded videos.

The list and the videos are downloaded by the user; nothing is fetched. EMTD: segments without three
frames at both ends, 24 frames/s, a square around face and arms, 768 pixels. HDTF: the published
stretches and crops, 25 frames/s, 512 pixels. A clip that bears a segment's name is taken as cut
already. What cannot be cut is named and left out. list.tsv is for `evaluate videos`.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline import media
from pipeline.evaluation import command
from pipeline.evaluation.protocols.cut import EMTD, HDTF, cut
from pipeline.evaluation.protocols.layout import Layout
from pipeline.evaluation.protocols.segments import Segment, read_emtd, read_hdtf
from pipeline.values import InputError

CUTTINGS = {"emtd": EMTD, "hdtf": HDTF}
HDTF_SECONDS = 10.0  # its stretches last minutes; peers use 5 to 10 s of them

log = logging.getLogger(__name__)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command's arguments. Raises InputError for what makes no sense."""
    parser = command.parser("protocol", __doc__.split("`: ", 1)[1])
    add = parser.add_argument
    add("name", choices=list(CUTTINGS))
    add("--videos", type=Path, required=True, metavar="FOLDER", help="the downloaded videos")
    add(
        "--list",
        type=Path,
        required=True,
        metavar="FILE",
        help="emtd: table with video, start, end; hdtf: the published NAME.mp4 MM:SS-MM:SS ...",
    )
    add("--crops", type=Path, metavar="FILE", help="hdtf: the published NAME_0.mp4 x w y h")
    add("--output", type=Path, required=True, metavar="DIR", help="the folder to fill")
    add(
        "--references",
        type=Path,
        metavar="FOLDER",
        help="portraits, given to the clips in turn; without them a frame of the clip itself",
    )
    add("--seconds", type=float, help=f"of each clip at most; hdtf: {HDTF_SECONDS:g} by default")
    add("--limit", type=int, metavar="N", help="the first N segments alone")
    args = parser.parse_args(list(argv))
    if not args.videos.is_dir():
        raise InputError(f"--videos {args.videos} is no folder; give that of the downloads")
    if args.seconds is not None and not args.seconds >= 1:
        raise InputError(f"--seconds {args.seconds:g} is under 1")
    if args.limit is not None and args.limit < 1:
        raise InputError(f"--limit {args.limit} leaves no clip; give 1 or more")
    return args


def segments_of(args: argparse.Namespace) -> list[Segment]:
    """Return the segments of the list. Raises InputError for names that occur twice, or none."""
    is_table = args.name == "emtd"
    segments = read_emtd(args.list) if is_table else read_hdtf(args.list, args.crops)
    names = set()
    for segment in segments:
        if segment.name in names or Path(segment.name).name != segment.name:
            raise InputError(f"list {args.list} names {segment.name} twice, or it is no file name")
        names.add(segment.name)
    if not segments:
        raise InputError(f"list {args.list} names no segment")
    return segments[: args.limit]


def portraits_of(folder: Path | None) -> list[Path]:
    """Return the pictures of a folder in the order of their names."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise InputError(f"--references {folder} is no folder; give one with portraits")
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    pictures = [path for path in files if media.is_picture(path)]
    if not pictures:
        raise InputError(f"--references {folder} holds no picture")
    return pictures


def main(argv: Sequence[str]) -> int:
    """Cut all segments; return 0 where at least one is complete, else 1."""
    args = parse(argv)
    how = CUTTINGS[args.name]
    seconds = args.seconds
    if seconds is None and args.name == "hdtf":
        seconds = HDTF_SECONDS
    segments = segments_of(args)
    layout = Layout(args.output, portraits_of(args.references))
    layout.make_folders()
    for number, segment in enumerate(segments):
        log.info("segment %d of %d: %s", number + 1, len(segments), segment.name)
        try:
            cut(args.videos, segment, how, seconds, layout.clip(segment.name))
            layout.complete(segment.name)
        except InputError as error:
            layout.dropped.append(str(error))
    facts = {
        "protocol": args.name,
        "list": args.list.name,
        "segments": len(segments),
        "fps": how.fps,
        "size": how.size,
        "seconds": seconds,
    }
    layout.write_lists(facts)
    if args.json:
        print(json.dumps({**facts, "clips": layout.names, "dropped": layout.dropped}))
        return 0 if layout.names else 1
    for sentence in layout.dropped:
        print(f"left out: {sentence}")
    print(f"{len(layout.names)} of {len(segments)} clips are in {args.output}; render each row of")
    print(f"jobs.csv, then: python -m pipeline evaluate videos {args.output / 'list.tsv'}")
    return 0 if layout.names else 1
