"""`python -m tests.helpers.fuzz`: run any number of cases of any seed, print one JSON object."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.helpers.fuzz.watcher import Summary, watch


def main() -> int:
    """Run the cases; return 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.helpers.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of all of them (0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one (0)")
    parser.add_argument("--keep", type=Path, help="folder for the files of failing inputs")
    parser.add_argument("--rows", type=Path, help="also write every outcome as a line of JSON")
    args = parser.parse_args()
    summary = Summary(args.seed, args.first)
    with tempfile.TemporaryDirectory(prefix="apv-fuzz-") as folder:
        keep = None if args.keep is None else args.keep.resolve()
        for row in watch(args.seed, args.first, args.inputs, Path(folder), keep):
            summary.add(row)
            if args.rows is not None:
                with args.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            if row["outcome"] == "failed":
                print(f"{row['index']}: {row['kind']}: {row['sentence']}", file=sys.stderr)
    print(json.dumps(summary.to_dict(), indent=1))
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
