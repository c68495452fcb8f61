"""The command line: `python -m pipeline COMMAND`."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence

from pipeline.studio.cli.commands import generate, models, pose, preview
from pipeline.studio.cli.parser import TRAINERS, build_parser
from pipeline.studio.options import name_options
from pipeline.studio.request import FLAGS
from pipeline.values import InputError


def delegate(command: str, what: str | None, rest: Sequence[str]) -> int:
    """Training, evaluation and the bench parse their own arguments."""
    if command == "bench":
        from pipeline.evaluation import bench

        return bench.main(rest)
    if command == "evaluate" and what == "motion":
        from pipeline.evaluation import motion

        return motion.main(rest)
    if command == "evaluate" and what == "mini":
        from pipeline.evaluation import mini

        return mini.main(rest)
    if command == "evaluate":
        raise InputError(
            f"evaluate {what or ''} is not supported by this version".replace("  ", " ")
        )
    trainer = importlib.import_module(f"pipeline.training.{TRAINERS[what]}")
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
        work = {"generate": generate, "preview": preview, "pose": pose, "models": models}
        result = work[args.command](args)
        if args.json:
            print(json.dumps(result))
        return 0
    except ValueError as error:
        print(f"error: {name_options(str(error), FLAGS)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "error: interrupted; frames that were finished are kept in the output", file=sys.stderr
        )
        return 2


def quiet_libraries() -> None:
    """Silences notices that libraries print at import on machines without CUDA; see requirements.txt."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("xformers").setLevel(logging.ERROR)
