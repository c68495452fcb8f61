"""The command line: `python -m pipeline generate|preview|pose|models|train|evaluate|bench|app`.

An installed wheel has it as `apv-studio`, too.

Exit code 0 on success, 2 with one sentence on stderr for bad input. `--json` prints one JSON object
last on stdout.
"""

import sys

from pipeline import check_interpreter

check_interpreter()  # before anything that an old Python cannot read

from pipeline.studio.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
