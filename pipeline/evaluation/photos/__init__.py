"""`python -m pipeline evaluate photos`: what the embedded model does to photographs.

Photographs have no truth. Every reference is moved by every speech and clip (`takes`). With
`--invariants` the warp alone is asked what holds for any photograph, without speech or clip: its
own pose returns it, arms stay whole when they swing, nothing is left where a limb was. With
`--framing` the bodies of clips are put on theirs, and the head's size and place are measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.evaluation import command, frozen_lists
from pipeline.evaluation.photos import framing, invariant_table, takes
from pipeline.values import InputError


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command's arguments."""
    parser = command.parser("photos", __doc__.split("`: ", 1)[1])
    add = parser.add_argument
    add("--model", default="mini", help="a name of `models`, or a folder")
    add("--references", nargs="+", type=Path, required=True, help="photographs")
    add("--speech", nargs="+", type=Path, default=[], help="sound files")
    add("--driving", nargs="+", type=Path, default=[], help="videos or pose files")
    add("--half", choices=frozen_lists.HALVES, help="keep those of this half of the frozen list")
    add("--sheet", type=Path, help="PNG to write: picture and frames, a row per take or arm")
    add("--invariants", action="store_true", help="the warp alone, without speech and clip")
    add("--framing", action="store_true", help="the head's size and place alone, without speech")
    args = parser.parse_args(list(argv))
    if args.framing and not args.driving:
        raise InputError("photos --framing needs --driving")
    alone = args.invariants or args.framing
    if not alone and not (args.speech and args.driving):
        raise InputError("photos needs --speech and --driving, --invariants or --framing")
    command.check_sheet(args.sheet)
    args.references = frozen_lists.keep_half(args.references, args.half, frozen_lists.PHOTOS)
    return args


def main(argv: Sequence[str]) -> int:
    """Print the figures of all photographs; return 0 when every level is reached, else 1."""
    args = parse(argv)
    if args.invariants:
        report, heading = invariant_table.report(args.references, args.sheet)
    elif args.framing:
        report, heading = framing.report(args.references, args.driving)
    else:
        inputs = takes.Inputs(args.references, args.speech, args.driving)
        report, heading = takes.report(args.model, inputs, args.sheet)
    return command.show(report, heading, args.json)
