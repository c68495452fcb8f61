"""Make training data of real videos: `python -m pipeline train data FOLDER... --output DIR`.

Videos are cut into shots and pieces of one person; poses are detected, blurred and short pieces
are left out, and the rest becomes WebDataset shards with an index. Face clips get an outpainted
reference. The same command goes on where it stopped. `report.json` and the last lines say what was
dropped and why.

Close-ups with sound (VFHQ):   train data vfhq --output data/faces --kind face --outpaint REPO
Full bodies (TikTok):          train data tiktok --output data/bodies --kind body
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.analysis import detectors
from pipeline.training.data import outpaint, placement_law
from pipeline.training.data.clip_filters import LEAST_SHARPNESS, Filters
from pipeline.training.data.clip_worker import Painting, WorkSettings
from pipeline.training.data.collect import collect
from pipeline.training.data.collect_report import printed_report, write_report
from pipeline.training.data.cut_clips import CutSettings
from pipeline.training.data.fda_sampling import PAPER
from pipeline.training.data.training_clips import KINDS
from pipeline.values import InputError

log = logging.getLogger(__name__)

SHARD_MB = 256
MOST_WORKERS = 8  # by default: each holds a piece's frames, 300 MB, and the detector
DEVICES = ("auto", "cpu", "cuda")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    options = _parser().parse_args(argv)
    settings = settings_of(options)
    shard_bytes = round(options.shard_mb * 1e6)
    if options.kind == "face":
        painter = options.outpaint or outpaint.TEXTURE_FILL
        _say(f"references are outpainted by {painter}")
    collection = collect(
        options.folders, options.output, settings, options.workers, shard_bytes, _say
    )
    report = write_report(collection, options.output)
    print(printed_report(collection))
    if options.json:
        print(json.dumps(report))
    return 0


def settings_of(options: argparse.Namespace) -> WorkSettings:
    """Return what the command line asks for; raise InputError where it makes no sense."""
    _check(options)
    sharpness = options.min_sharpness
    if sharpness is None:
        sharpness = LEAST_SHARPNESS[options.kind]
    filters = Filters(
        least_seconds=options.min_seconds,
        least_side_px=options.min_side,
        least_pose_share=options.min_poses,
        least_sharpness=sharpness,
    )
    cut = CutSettings(
        kind=options.kind,
        detector=options.detector,
        face_detector=options.face_detector or options.detector,
        most_seconds=options.max_seconds,
        most_fps=options.max_fps,
        most_side_px=options.max_side,
        filters=filters,
    )
    law = PAPER if options.law is None else placement_law.read(options.law)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    painting = Painting(
        source=options.outpaint or "",
        device=device,
        prompt=options.outpaint_prompt,
        steps=options.outpaint_steps,
        seed=options.seed,
        law=law,
        size=(options.height, options.width),
    )
    return WorkSettings(cut, painting)


def _check(options: argparse.Namespace) -> None:
    """Refuse numbers that no data can have."""
    limits = {
        "workers": (1, 256),
        "min_seconds": (0.1, 60),
        "max_seconds": (0.5, 60),
        "max_fps": (5, 60),
        "max_side": (128, 2048),
        "min_side": (64, 2048),
        "min_poses": (0, 1),
        "outpaint_steps": (1, 200),
        "shard_mb": (0.001, 10_000),
    }
    for name, (low, high) in limits.items():
        value = getattr(options, name)
        if not low <= value <= high:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag} {value:g} lies outside {low:g} to {high:g}")
    if options.min_seconds > options.max_seconds:
        raise InputError("--min-seconds is more than --max-seconds")
    if options.kind == "body" and options.outpaint:
        raise InputError("--outpaint paints references of face clips; body clips need none")
    outpaint.check_size((options.height, options.width))


def _parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folders", nargs="+", type=Path, metavar="FOLDER", help="of videos, or video files")
    add(
        "--output", type=Path, required=True, metavar="DIR", help="new folder, or one to go on with"
    )
    add("--kind", choices=KINDS, required=True, help="face: close-ups, D_f; body: full bodies, D_b")
    workers = min(MOST_WORKERS, os.cpu_count() or 1)
    add("--workers", type=int, default=workers, help="processes")
    names = tuple(detectors.CLASSES)
    add("--detector", choices=names, default=detectors.DEFAULT, help="of bodies and hands")
    face_help = "of faces, one for both kinds of clips; default: that of bodies"
    add("--face-detector", choices=names, help=face_help)
    add("--min-seconds", type=float, default=1.0, help="shorter clips are dropped")
    add("--max-seconds", type=float, default=5.0, help="longer shots are split")
    add("--max-fps", type=float, default=30.0, help="faster videos are thinned out")
    add("--max-side", type=int, default=1024, help="pixels; larger frames are shrunk")
    add("--min-side", type=int, default=256, help="pixels; smaller videos are dropped")
    add("--min-poses", type=float, default=0.5, help="share of frames with a pose")
    add("--min-sharpness", type=float, help="default .1 for faces, .05 for bodies; 0 keeps all")
    source_help = "diffusers inpainting pipeline for references; without: the texture fill"
    add("--outpaint", metavar="REPO|FOLDER", help=source_help)
    add("--outpaint-prompt", default=outpaint.PROMPT, metavar="TEXT")
    add("--outpaint-steps", type=int, default=outpaint.DIFFUSION_STEPS)
    add("--law", type=Path, metavar="FILE", help="of `train data-stats`; default: the paper's")
    height, width = outpaint.PICTURE_SIZE
    add("--height", type=int, default=height, help="of outpainted references")
    add("--width", type=int, default=width)
    add("--seed", type=int, default=0, help="of the references' frames and places")
    add("--device", choices=DEVICES, default="auto", help="of the outpainting pipeline")
    add("--shard-mb", type=float, default=SHARD_MB, help="size of a shard")
    add("--json", action="store_true", help="print the report as one JSON object last")
    return parser


def _say(line: str) -> None:
    """Print progress at once."""
    print(line, flush=True)
