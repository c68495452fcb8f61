"""The command line: `python -m pipeline generate|preview|pose|models|train|evaluate|bench`.

Exit code 0 on success, 2 with one sentence on stderr for bad input. `--json` prints one JSON object last on
stdout.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger("pipeline")

INPUTS = ("reference", "audio", "driving", "input", "accents", "arms")
TRAINERS = ("audio2pose", "video", "release")
UNBUILT = {
    "--detector": {"dwpose"},
    "--model": {"controlnext-svd"},
    "--pose-free": {"network"},
}


class Parser(argparse.ArgumentParser):
    """Argument errors as one sentence, without the usage block."""

    def error(self, message: str) -> None:
        raise ValueError(f"{message}; see `{self.prog} --help`")


def number(low: float, high: float, kind: type = float):
    """An argparse type: a finite number of `kind` from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            word = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {word}") from None
        if not low <= value <= high:  # true for NaN, too
            raise argparse.ArgumentTypeError(f"{text} lies outside {low:g} to {high:g}")
        return value

    return parse


def add_inputs(parser: Parser) -> None:
    """Options that `generate` and `preview` share."""
    add = parser.add_argument
    add("--reference", required=True, metavar="IMG", help="picture of the person")
    add("--audio", required=True, metavar="WAV", help="speech, up to 10 minutes, any format FFmpeg reads")
    add("--driving", metavar="VIDEO|POSE", help="gestures: video, .npz, OpenPose JSON; none = pose-free")
    add("--model", default="mini", metavar="mini|controlnext-svd|FOLDER")
    add("--intensity", type=number(0, 2), default=1.0, help="gesture size tied to the speech, 0 = as driven")
    add("--size", type=number(-0.5, 0.5), default=0.0, help="overall gesture size, in octaves")
    for region in ("arms", "head", "torso", "hands"):
        add(f"--{region}-intensity", type=number(0, 2), default=1.0, help="factor on --intensity")
    add("--accents", metavar="FILE.json", help='list of {"time": s, "strength": 0 to 1} instead of detection')
    add("--accents-out", metavar="FILE.json", help="write the detected accents")
    add("--mouth", type=number(0, 2), default=1.0, help="mouth amplitude, 1 = as predicted")
    add("--audio-offset", type=number(-1000, 1000), default=0.0, help="ms: mouth later (+) or earlier (-)")
    add("--fps", type=number(1, 60), default=25.0)
    add("--height", type=number(64, 2048, int))
    add("--width", type=number(64, 2048, int))
    add("--seed", type=number(0, 2**63 - 1, int), default=0)
    add("--detector", default="holistic", choices=("holistic", "dwpose", "openpose"))
    add("--fda", default="rigid", choices=("paper", "rigid"), help="face box of the alignment")
    add("--splice", choices=("face", "lips"), help="default: what suits the model")
    add("--refocus", choices=("amplify", "gate", "both"), help="default: what suits the model")
    add("--pose-free", default="prior", choices=("prior", "network"))
    add("--length", default="pingpong", choices=("pingpong", "loop", "trim", "hold"))
    add("--retarget", default="bones", choices=("bones", "similar", "published"), help="body to body")
    add("--framing", default="reference", choices=("reference", "driving"), help="whose camera is followed")
    add("--person", metavar="N|x,y", help="who drives: a number from 1, or a point in the first frame")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--attention", default="auto", choices=("auto", "xformers", "sdpa"))
    add("--json", action="store_true", help="print one JSON object last on stdout")


def build_parser() -> Parser:
    parser = Parser(prog="python -m pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--verbose", action="store_true", help="log what each stage does")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    generate = commands.add_parser("generate", help="reference + speech (+ driving video) -> video")
    add_inputs(generate)
    generate.add_argument("--output", required=True, metavar="OUT.mp4")
    generate.add_argument("--steps", type=number(1, 100, int), help="default: what suits the model")
    generate.add_argument("--window", type=number(2, 128, int))
    generate.add_argument("--overlap", type=number(0, 64, int))
    generate.add_argument("--skeleton", metavar="SKEL.mp4", help="also write the skeleton that was rendered")
    preview = commands.add_parser("preview", help="the skeleton, and a draft, without the denoiser")
    add_inputs(preview)
    preview.add_argument("--output", required=True, metavar="SKEL.mp4")
    preview.add_argument("--draft", metavar="DRAFT.mp4", help="also write the warped reference image")
    preview.add_argument("--pose-out", metavar="POSE.npz", help="also write the pose that is drawn")
    add_pose(commands.add_parser("pose", help="key points of a video, picture or pose file, edited"))
    models = commands.add_parser("models", help="model sets: what, size, licence, where, installed")
    models.add_argument("--download", metavar="NAME")
    models.add_argument("--json", action="store_true")
    train = commands.add_parser("train", help="train an embedded model", add_help=False)
    train.add_argument("what", choices=TRAINERS)
    commands.add_parser("evaluate", help="metrics", add_help=False).add_argument("what", nargs="?")
    commands.add_parser("bench", help="speed and memory on this machine", add_help=False)
    return parser


def add_pose(parser: Parser) -> None:
    """Options of `pose`."""
    add = parser.add_argument
    add("input", metavar="VIDEO|IMG|POSE")
    add("--output", required=True, metavar="OUT", help=".npz, .json, .mp4, or a folder for OpenPose's files")
    add("--detector", default="holistic", choices=("holistic", "dwpose", "openpose"))
    add("--fps", type=number(1, 60), help="default: the file's own")
    add("--trim", default=":", metavar="A:B", help="seconds to keep; either may be left out")
    add("--speed", type=number(0.1, 10), default=1.0, help="2 = twice as fast")
    add("--mirror", action="store_const", const="on", default="off", help="swap left and right")
    add("--arms", metavar="OTHER", help="take arms and hands from another video or pose file")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--loop", type=number(1, 108000, int), metavar="FRAMES", help="again and again")
    length.add_argument("--pingpong", type=number(1, 108000, int), metavar="FRAMES", help="back and forth")
    add("--style", default="controlnext", choices=("controlnext", "openpose", "preview"), help="of .mp4")
    add("--json", action="store_true")


def refuse_unbuilt(args: argparse.Namespace) -> None:
    """One sentence for choices that the command line names but this version does not have."""
    for flag, values in UNBUILT.items():
        value = getattr(args, flag.strip("-").replace("-", "_"), None)
        if value in values:
            raise ValueError(f"{flag} {value} is not supported by this version; leave {flag} out")


def generate(args: argparse.Namespace) -> dict:
    """Renders a video; returns the facts that --json prints."""
    from pipeline import jobs

    check_outputs(args, "output", "skeleton", "accents_out")
    request, pipe, inputs, analysis, meter = start(args)
    motion = jobs.tune(request, pipe, analysis)
    if args.skeleton:
        keep_skeleton(motion, inputs, args.skeleton)
        meter.lap("skeleton video")
    meter.drain(jobs.generate(request, pipe, inputs, motion, args.output))
    return facts(args.output, request, pipe, inputs, analysis, meter)


def preview(args: argparse.Namespace) -> dict:
    """Writes the skeleton video, and a draft and pose file when asked."""
    from pipeline import jobs

    check_outputs(args, "output", "draft", "pose_out", "accents_out")
    request, pipe, inputs, analysis, meter = start(args)
    motion = jobs.tune(request, pipe, analysis)
    keep_skeleton(motion, inputs, args.output)
    meter.lap("skeleton video")
    if args.pose_out:
        motion.pose.save(args.pose_out)
    if args.draft:
        meter.drain(jobs.write_draft(inputs, motion, args.draft))
    return facts(args.output, request, pipe, inputs, analysis, meter)


def keep_skeleton(motion, inputs, path: str) -> None:
    """Writes the skeleton video and, beside it, the pose that `--driving` finds again."""
    from pipeline import posefiles

    note = posefiles.write_skeleton(motion.pose, path, inputs.size, audio=inputs.audio)
    if note:
        print(f"note: {note}", file=sys.stderr)


def start(args: argparse.Namespace) -> tuple:
    """Loads the model and the inputs and analyses them, saying warnings on stderr."""
    from pipeline import jobs, weights

    meter = jobs.Meter(None if args.json else lambda line: print(line, file=sys.stderr))
    request = jobs.Request.of(vars(args))
    pipe = weights.load(args.model, args.device, args.attention)
    meter.lap("load model")
    inputs = jobs.load(request, pipe)
    analysis = meter.drain(jobs.analyse(request, pipe, inputs))
    if args.accents_out:
        jobs.write_accents(analysis.prosody, args.accents_out)
    for warning in analysis.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return request, pipe, inputs, analysis, meter


def facts(output, request, pipe, inputs, analysis, meter) -> dict:
    """What --json prints about a run."""
    from pipeline import jobs

    height, width = inputs.size
    frames, report = len(analysis.motion), analysis.report
    return {
        "output": output, "frames": frames, "fps": request.fps, "seconds": frames / request.fps,
        "audio_seconds": inputs.audio.seconds, "width": width, "height": height, "model": request.model,
        "device": str(pipe.device), "attention": pipe.attention_backend, "seed": request.seed,
        "intensity": request.intensity, "timings": {k: round(v, 3) for k, v in meter.seconds.items()},
        "peak_memory": jobs.peak_memory(), "alignment": report.to_dict() if report else None,
        "warnings": list(analysis.warnings),
    }  # fmt: skip


def pose(args: argparse.Namespace) -> dict:
    """Writes the key points of the largest person in a picture, clip or pose file, after edits."""
    from pipeline import poses

    check_outputs(args, "output")
    edits = poses.Edits(poses.span(args.trim), args.speed, args.mirror, args.arms, args.loop, args.pingpong)
    done = poses.convert(args.input, args.output, edits, args.fps, args.detector, args.style)
    for warning in done["warnings"]:
        print(f"note: {warning}", file=sys.stderr)
    return done


def models(args: argparse.Namespace) -> dict:
    """Prints the table of model sets."""
    from pipeline.weights import SETS

    if args.download is not None:
        known = {row.name: row for row in SETS}
        if args.download not in known:
            raise ValueError(f"there is no model set {args.download!r}; known sets: {', '.join(known)}")
        if not known[args.download].installed:
            raise ValueError(
                f"{args.download} comes with the repository, but its folder is missing; clone again"
            )
    rows = [
        {
            "name": s.name,
            "what": s.what,
            "licence": s.licence,
            "gated": s.gated,
            "where": s.where,
            "installed": s.installed,
            "megabytes": s.megabytes,
        }  # fmt: skip
        for s in SETS
    ]
    if not args.json:
        for row in rows:
            size = f"{row['megabytes']:.0f} MB" if row["installed"] else "not installed"
            gated = "gated" if row["gated"] else "open"
            print(f"{row['name']:16} {size:>14}  {row['licence']} ({gated})  {row['where']}")
            print(f"{'':16} {row['what']}")
    return {"models": rows}


def check_outputs(args: argparse.Namespace, *names: str) -> None:
    """ValueError before hours of work, not after: each output can be written, over nothing that is needed."""
    from pipeline import posefiles

    inputs = {Path(getattr(args, name)).resolve() for name in INPUTS if getattr(args, name, None)}
    taken = set(inputs)
    for path in filter(None, (getattr(args, name) for name in names)):
        place = Path(path).resolve()
        if place in taken:
            raise ValueError(f"{path} is named twice, or is one of the inputs; give each output its own name")
        taken.add(place)
        if not place.parent.is_dir():
            raise ValueError(f"{path} cannot be written: the folder {place.parent} does not exist; make it")
        if place.with_suffix(".npz") in inputs and posefiles.is_pose(place):
            raise ValueError(f"{path} would put its pose over an input; give it another name")
        folder = place.is_dir() and (args.command != "pose" or place.suffix)
        if folder or not os.access(place.parent, os.W_OK):
            raise ValueError(f"{path} cannot be written: it is a folder, or its folder is read-only")


def delegate(command: str, what: str | None, rest: Sequence[str]) -> int:
    """Training, evaluation and the bench parse their own arguments."""
    if command == "bench":
        from pipeline.evaluation import bench

        return bench.main(rest)
    if command == "evaluate" and what == "motion":
        from pipeline.evaluation import motion_report

        return motion_report.main(rest)
    if command == "evaluate":
        raise ValueError(f"evaluate {what or ''} is not supported by this version".replace("  ", " "))
    trainer = importlib.import_module(f"pipeline.training.{what}")
    return trainer.main(list(rest))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    quiet_libraries()
    try:
        parser = build_parser()
        args, rest = parser.parse_known_args(argv)
        level = logging.INFO if args.verbose else logging.WARNING
        logging.basicConfig(level=level, format="%(name)s: %(message)s")
        if args.command in ("train", "evaluate", "bench"):
            return delegate(args.command, getattr(args, "what", None), rest)
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        refuse_unbuilt(args)
        work = {"generate": generate, "preview": preview, "pose": pose, "models": models}
        result = work[args.command](args)
        if args.json:
            print(json.dumps(result))
        return 0
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted; frames that were finished are kept in the output", file=sys.stderr)
        return 2


def quiet_libraries() -> None:
    """Silences notices that libraries print at import on machines without CUDA; see requirements.txt."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("xformers").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
