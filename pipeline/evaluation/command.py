"""What all evaluation commands share: the parser of their arguments and the printed report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipeline.evaluation.report import Report, table
from pipeline.values import InputError


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are InputErrors, which the command line prints as one sentence."""

    def error(self, message: str) -> None:
        """Raise the parser's complaint as an InputError."""
        raise InputError(f"{message}; see `{self.prog} --help`")


def parser(name: str, description: str) -> CommandParser:
    """Make the parser of `evaluate NAME` with the option `--json`."""
    made = CommandParser(prog=f"python -m pipeline evaluate {name}", description=description)
    made.add_argument("--json", action="store_true", help="print one JSON object last on stdout")
    return made


def check_sheet(path: Path | None) -> None:
    """Raise InputError where a contact sheet could not be written after the work."""
    if path is None:
        return
    if path.suffix.lower() != ".png":
        raise InputError(f"--sheet {path} is not the name of a PNG file; end it with .png")
    if not path.resolve().parent.is_dir():
        raise InputError(f"--sheet {path} cannot be written: its folder does not exist; make it")


def show(report: Report, heading: str, as_json: bool) -> int:
    """Print a report as JSON or as a table and return the exit code: 0 if it passes, else 1."""
    print(json.dumps(report.to_dict()) if as_json else table(report, heading))
    return 0 if report.passed else 1
