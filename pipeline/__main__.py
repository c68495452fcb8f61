"""The command line: `python -m pipeline generate|preview|pose|models|train|evaluate|bench`.

Exit code 0 on success, 2 with one sentence on stderr for bad input. `--json` prints one JSON object
last on stdout.
"""

from __future__ import annotations

import sys

from pipeline.studio.cli import main

if __name__ == "__main__":
    sys.exit(main())
