"""The browser demo: `main` reads the command line, loads the model and serves the page."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pipeline.studio.cli import quiet_libraries


def main(argv: Sequence[str] | None = None) -> int:
    """Start the browser demo; return the exit code."""
    quiet_libraries()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from pipeline.studio.app import (
        zerogpu,
    )  # first: it imports `spaces`, which must come before torch
    from pipeline.studio.app.page import build, launch_options

    parser = argparse.ArgumentParser(prog="app.py", description="APV Studio in the browser")
    parser.add_argument(
        "--model",
        default=zerogpu.model_name(),
        help="mini or the folder of a model; also APV_MODEL",
    )
    # a Space is reached through its proxy
    parser.add_argument("--host", default="0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    args = parser.parse_args(argv)
    os.environ["APV_MODEL"] = args.model
    try:
        zerogpu.model(args.model)  # the first click need not wait for it
        build().launch(server_name=args.host, server_port=args.port, **launch_options())
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
