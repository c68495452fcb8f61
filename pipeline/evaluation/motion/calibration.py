"""`python -m pipeline evaluate calibration`: what the constants of `refocus` do to real motion.

Every pose file is paired with every sound. The printed tables are those of
assets/refocus_calibration.md: constants that were tried, then the chosen ones over the slider.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.evaluation.command import CommandParser
from pipeline.evaluation.metrics.pairing import paired, read_pose, start_frame
from pipeline.evaluation.metrics.refocus_effect import WORST, pooled_effect
from pipeline.media import read_audio
from pipeline.motion.refocus import TUNING, Tuning
from pipeline.values import Motion

FIRST_PROPOSAL = Tuning(
    1.8, 0.35, (0.2, 0.25, 0.7, 0.6, 0.4), posture_share=1.0, posture_seconds=1.0
)
STRONGER_ARMS = replace(FIRST_PROPOSAL, exponents=TUNING.exponents)
NARROW_LIMITS_DEG = (4.0, 10.0, 35.0, 35.0, 25.0)
WIDE_LIMITS_DEG = (12.0, 20.0, 170.0, 170.0, 170.0)
TRIED = (
    ("gain 1.8 / 0.35, arms .7 .6 .4, posture like stroke, 1 s (first proposal)", FIRST_PROPOSAL),
    ("arms 1.1 1.1 .5", STRONGER_ARMS),
    ("and gain 3 / 0.25", replace(STRONGER_ARMS, loud=3.0, quiet=0.25)),
    ("and gain 4 / 0.2", replace(TUNING, posture_share=1.0, posture_seconds=1.0)),
    ("and posture share 0.5", replace(TUNING, posture_seconds=1.0)),
    ("**and low-pass 1.5 s: chosen**", TUNING),
    ("chosen with low-pass 0.5 s", replace(TUNING, posture_seconds=0.5)),
    ("chosen with low-pass 2.5 s", replace(TUNING, posture_seconds=2.5)),
    ("chosen with posture share 0", replace(TUNING, posture_share=0.0)),
    ("chosen with arms 1 1 .5", replace(TUNING, exponents=(0.2, 0.25, 1.0, 1.0, 0.5))),
    ("chosen with arms 1.3 1.3 .5", replace(TUNING, exponents=(0.2, 0.25, 1.3, 1.3, 0.5))),
    ("chosen with limits 35 35 25", replace(TUNING, limits=NARROW_LIMITS_DEG)),
    ("chosen with limits 170", replace(TUNING, limits=WIDE_LIMITS_DEG)),
    ("chosen without the foreshortening factor", replace(TUNING, foreshortened=(-0.2, 0.0))),
    ("chosen without slowing slow gestures", replace(TUNING, pace=0.0)),
    ("chosen with pace 2.5", replace(TUNING, pace=2.5)),
)
COLUMNS = ("rise", "rising", "z", "ratio", "jerk", "jerk99")
TRIED_STRENGTHS = (1.0, 2.0)
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)


def tried_table(motions: Sequence[Motion]) -> list[str]:
    """Return the lines of a markdown table: the constants tried, at strengths 1 and 2."""
    head = [f"{name} at {strength:g}" for strength in TRIED_STRENGTHS for name in COLUMNS]
    lines = [_markdown("constants", head), _rule(len(head))]
    for title, tuning in TRIED:
        cells = []
        for strength in TRIED_STRENGTHS:
            effect = pooled_effect(motions, strength, tuning)
            cells += [f"{getattr(effect, name):.2f}" for name in COLUMNS]
        lines.append(_markdown(title, cells))
    return lines


def slider_table(motions: Sequence[Motion]) -> list[str]:
    """Return the lines of a markdown table: the chosen constants over the slider."""
    names = ("r", *COLUMNS, "lag", *WORST)
    lines = [_markdown("strength", names), _rule(len(names))]
    for strength in STRENGTHS:
        effect = pooled_effect(motions, strength)
        cells = [f"{getattr(effect, name):.3g}" for name in names]
        lines.append(_markdown(f"{strength:g}", cells))
    return lines


def _markdown(title: str, cells: Sequence[str]) -> str:
    """Return one line of a markdown table."""
    return f"| {title} | " + " | ".join(cells) + " |"


def _rule(columns: int) -> str:
    """Return the line under the head of a markdown table with a title and further columns."""
    return "|---" * (1 + columns) + "|"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command's arguments."""
    description = __doc__.split("`: ", 1)[1]
    parser = CommandParser(prog="python -m pipeline evaluate calibration", description=description)
    parser.add_argument("--poses", type=Path, nargs="+", required=True, help="pose files (.npz)")
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="sound files")
    parser.add_argument(
        "--starts", type=int, default=2, help="start frames per pair, spread over the clip"
    )
    return parser.parse_args(list(argv))


def main(argv: Sequence[str]) -> int:
    """Print the tables over all pairs of the files; return 0."""
    args = parse(argv)
    sounds = [read_audio(path) for path in args.speech]
    poses = [read_pose(path) for path in args.poses]
    motions = []
    for pose in poses:
        for number, sound in enumerate(sounds):
            for turn in range(args.starts):
                motions.append(paired(pose, sound, start_frame(pose, number, turn)))
    print(f"{len(motions)} pairs of {len(poses)} poses and {len(sounds)} sounds\n")
    print("\n".join([*tried_table(motions), "", *slider_table(motions)]))
    return 0
