"""`models`: the table of model sets, and their download."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from pipeline.models import download, registry


def main(args: argparse.Namespace) -> dict[str, Any]:
    """Print the table of model sets, after a download where one was asked for."""
    if args.download is not None:
        fetch(args.download, args.repository)
    rows = [registry.to_dict(row) for row in registry.SETS]
    if not args.json:
        for row in rows:
            print_row(row)
    return {"models": rows}


def print_row(row: dict[str, Any]) -> None:
    """Print one model set on two lines."""
    megabytes = row["megabytes"]
    size = "size unknown" if megabytes is None else f"{megabytes:.0f} MB"
    state = "installed" if row["installed"] else "not installed"
    gate = "gated" if row["gated"] else "open"
    print(f"{row['name']:16} {size:>12}, {state:13}  {row['licence']} ({gate})  {row['where']}")
    print(f"{'':16} {row['what']}")


def fetch(name: str, repository: str | None) -> None:
    """Download what a model set lacks; print each file and each tenth of it on stderr."""
    last_line = None
    for step in download.download(name, repository):
        if step.path:
            percent = 100
        elif step.total:
            percent = step.done * 100 // step.total
        else:
            percent = 0
        tenth = (step.file, percent // 10)
        if tenth != last_line:
            last_line = tenth
            print(f"{step.file}: {step.done / 1e6:.0f} MB, {percent} %", file=sys.stderr)
