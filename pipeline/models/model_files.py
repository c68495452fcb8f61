"""One file of a model set: what is known of it, and checks against that."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.values import InputError

LFS_START = b"version https://git-lfs"
ZIP_START = b"PK"
PICKLES = (".bin", ".pt", ".pth")
COMPLETE_SHARE = 0.98  # below this share of the published, rounded size a file is incomplete
LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
AGAIN = "download it again"


@dataclass(frozen=True)
class File:
    """What is known of a file.

    Attributes:
        key: its name inside the program.
        path: in its repository, and under the set's folder on this machine.
        megabytes: as the hub's pages round it.
        size: in bytes, where known exactly.
        sha256: in hexadecimal, where known.
        repository: where it is not the set's own.
        address: on the web, of a file that lies in no repository of the hub.
    """

    key: str
    path: str
    megabytes: float | None = None
    size: int | None = None
    sha256: str | None = None
    repository: str | None = None
    address: str | None = None


def check_file(path: Path, file: File | None = None) -> None:
    """Raise InputError if a file is missing, an LFS pointer, incomplete or of another size.

    Without `file` only the content is judged. Checksums take seconds per GB: see `check_sum`.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing; put it there or download its model set")
    with path.open("rb") as handle:
        start = handle.read(64)
    size = path.stat().st_size
    if start.startswith(LFS_START):
        raise InputError(
            f"{path} is a Git LFS pointer, not the weights; run `git lfs pull` or {AGAIN}"
        )
    if file is not None:
        _check_size(path, size, file)
    if path.suffix == ".json":
        _check_json(path)
    elif path.suffix == ".safetensors" and size != safetensors_size(path):
        raise InputError(
            f"{path} is incomplete or damaged (its header does not fit its size); {AGAIN}"
        )
    elif path.suffix in PICKLES and start.startswith(ZIP_START) and not zipfile.is_zipfile(path):
        raise InputError(f"{path} is incomplete (the end of its archive is missing); {AGAIN}")
    elif size == 0:
        raise InputError(f"{path} is empty; {AGAIN}")


def check_sum(path: Path, file: File | None) -> None:
    """Raise InputError if the file's SHA-256 is known and another; takes some seconds per GB."""
    if file is None or file.sha256 is None:
        return
    with path.open("rb") as handle:
        checksum = hashlib.file_digest(handle, "sha256").hexdigest()
    if checksum != file.sha256:
        raise InputError(
            f"{path} has the SHA-256 {checksum[:12]}..., not {file.sha256[:12]}...; {AGAIN}"
        )


def safetensors_size(path: Path) -> int | None:
    """Return the size in bytes that a safetensors header promises; None if it is cut off."""
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(LENGTH_BYTES), "little")
        if length > path.stat().st_size:
            return None
        header = handle.read(length)
    end = 0
    try:
        for name, entry in json.loads(header).items():
            if name != "__metadata__":
                end = max(end, entry["data_offsets"][1])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    return LENGTH_BYTES + length + end


def _check_size(path: Path, size: int, file: File) -> None:
    if file.size is not None and size != file.size:
        raise InputError(f"{path} has {size} bytes instead of {file.size}; {AGAIN}")
    if file.megabytes and size < file.megabytes * 1e6 * COMPLETE_SHARE:
        raise InputError(
            f"{path} has {size / 1e6:.1f} MB instead of {file.megabytes:g}: incomplete; {AGAIN}"
        )


def _check_json(path: Path) -> None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of the encoding, too
        raise InputError(f"{path} is not readable as JSON ({error}); {AGAIN}") from error
