"""The command line: `python -m pipeline COMMAND`."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Sequence

from pipeline import InputError
from pipeline.studio.cli.interrupts import INTERRUPTED, interrupts
from pipeline.studio.cli.parser import TRAINERS, build_parser
from pipeline.studio.messages import describe_bug, name_options, quiet_libraries
from pipeline.studio.request import FLAGS

log = logging.getLogger("pipeline")

# Each command is a module of this folder, imported when it runs: each loads only what it needs.
COMMANDS = ("generate", "preview", "pose", "models")
DONE, OUR_FAULT, USERS_FAULT = 0, 1, 2  # exit codes; an interruption counts as the user's


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    quiet_libraries()
    try:
        return run(argv)
    except InputError as error:
        complain(f"error: {name_options(str(error), FLAGS)}")
        return USERS_FAULT
    except KeyboardInterrupt as interrupt:
        reason = name_options(str(interrupt), FLAGS)
        complain(f"error: {reason or INTERRUPTED}")
        return USERS_FAULT
    except Exception as error:  # a bug; nothing else catches it
        log.exception("the command failed")
        complain(describe_bug(error, "the log above"))
        return OUR_FAULT


def run(argv: Sequence[str] | None) -> int:
    """Parse the words and run the command that they name; return its exit code."""
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    level = logging.INFO if args.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(name)s: %(message)s")
    if args.command not in COMMANDS:
        return delegate(args.command, getattr(args, "what", None), rest)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    command = importlib.import_module(f"pipeline.studio.cli.{args.command}")
    with interrupts():
        facts = command.main(args)
    if args.json:
        print(json.dumps(facts))
    return DONE


def delegate(command: str, what: str | None, rest: Sequence[str]) -> int:
    """Run training, evaluation, the bench or the page, which parse their own arguments."""
    if command == "app":
        from pipeline.studio import app

        return app.main(rest)
    if command == "bench":
        from pipeline.evaluation import bench

        return bench.main(rest)
    if command == "train":
        if what is None:
            names = ", ".join(TRAINERS)
            raise InputError(f"train needs the name of what to train: {names}; each has a --help")
        trainer = importlib.import_module(f"pipeline.training.{TRAINERS[what]}")
        return trainer.main(list(rest))
    from pipeline import evaluation

    return evaluation.run(what, rest)


def complain(sentence: str) -> None:
    """Print a sentence on stderr."""
    print(sentence, file=sys.stderr)
