"""Fetch one file over HTTPS from an address outside the hub, resuming what was begun.

HF_HUB_OFFLINE acts as for files of the hub.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TIMEOUT_SECONDS = 60.0
BLOCK_BYTES = 2**20
PARTIAL_CONTENT = 206
NOTHING_LEFT = 416  # "range not satisfiable": the part on the disk is already the whole file


def fetch(address: str, path: Path, bar_class: type) -> Path:
    """Fetch a file to `path`, growing beside it as `.part`; return `path`.

    Args:
        address: of the file, https.
        path: where the whole file will lie.
        bar_class: a tqdm class that is told of each block and may raise to stop.
    """
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        raise errors.OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
    if not address.startswith("https://"):
        raise ValueError(f"{address} is no https address")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    begun = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    try:
        with urlopen(Request(address, headers=headers), timeout=TIMEOUT_SECONDS) as answer:
            _save(answer, part, begun, bar_class)
    except HTTPError as error:
        if error.code != NOTHING_LEFT:
            raise
    part.replace(path)
    return path


def _save(answer: Any, part: Path, begun: int, bar_class: type) -> None:
    """Append an answer to the part, or begin anew where the server sends the whole file."""
    if answer.status != PARTIAL_CONTENT:
        begun = 0
    length = answer.headers.get("Content-Length")
    total = None if length is None else begun + int(length)
    bar = bar_class(total=total, initial=begun)
    with part.open("ab" if begun else "wb") as file:
        while block := answer.read(BLOCK_BYTES):
            file.write(block)
            bar.update(len(block))
        done = file.tell()
    if total is not None and done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")
