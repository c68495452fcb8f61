"""The browser demo: `main` reads the command line, loads the model and serves the page."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from pipeline import InputError
from pipeline.studio.messages import describe_bug, quiet_libraries

log = logging.getLogger("pipeline")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until it is stopped; return the exit code."""
    quiet_libraries()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    args = _parser().parse_args(argv)
    try:
        serve(args.model, args.host, args.port)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # a bug; nothing else catches it
        log.exception("the app failed")
        print(describe_bug(error, "the log above"), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app.py", description="APV Studio in the browser")
    parser.add_argument(
        "--model",
        default=os.environ.get("APV_MODEL", "mini"),
        help="mini or the folder of a model; also APV_MODEL",
    )
    # A Space is reached through its proxy.
    parser.add_argument("--host", default="0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    return parser


def serve(model: str, host: str, port: int | None) -> None:
    """Load the model, then serve the page; InputError where that is not possible here."""
    # `zerogpu` imports `spaces`, which has to come before torch.
    from pipeline.studio.app import zerogpu
    from pipeline.studio.app.page import build, launch_options

    os.environ["APV_MODEL"] = model
    zerogpu.prepare(model)  # now, so that the first click need not wait for it
    page = build()
    try:
        page.launch(server_name=host, server_port=port, **launch_options())
    except OSError as error:
        place = host if port is None else f"{host}:{port}"
        raise InputError(f"the page cannot be served at {place} ({error})") from error
