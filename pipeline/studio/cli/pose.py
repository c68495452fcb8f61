"""`pose`: key points of a video, picture or pose file, edited."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pipeline import media
from pipeline.studio import pose_tool
from pipeline.studio.cli.output_files import check_outputs


def main(args: argparse.Namespace) -> dict[str, Any]:
    """Write the edited key points of the largest person; return the facts that `--json` prints."""
    check_outputs(
        outputs=(args.output,), inputs=(args.input, args.arms), may_be_folder=_may_be_folder
    )
    edits = pose_tool.Edits(
        trim=pose_tool.span(args.trim),
        speed=args.speed,
        mirror=args.mirror,
        arms=args.arms,
        loop=args.loop,
        pingpong=args.pingpong,
    )
    facts = pose_tool.convert(
        args.input, args.output, edits, fps=args.fps, detector=args.detector, style=args.style
    )
    for warning in facts["warnings"]:
        print(f"note: {warning}", file=sys.stderr)
    return facts


def _may_be_folder(path: str) -> bool:
    """Say whether the output may be a folder: one of frames, or one of OpenPose's files."""
    return media.names_folder(path) or not Path(path).suffix
