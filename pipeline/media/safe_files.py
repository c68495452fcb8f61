"""Files that survive: hidden until they are whole, on the disk before anything relies on them.

A run that is killed leaves its hidden files. The next run of the same output deletes them; a lock
says which of them belong to a run that goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, which does not delete files that are open
    fcntl = None  # type: ignore[assignment]

LONGEST_NAME_BYTES = 200  # file systems take 255; the rest is for endings of our own
SHORTENED_CHARACTERS = 40


class HiddenPart:
    """A hidden file beside an output until it is whole.

    Args:
        output: the output; the hidden file's name tells which one it belongs to.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self.path = output.parent / f"{_prefix(output)}{secrets.token_hex(8)}.part"
        self._lock: io.FileIO | None = None

    def __enter__(self) -> HiddenPart:
        self.create()
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()  # what was published has another name by now

    def create(self) -> None:
        """Create the file, empty; delete those that killed runs of the same output left."""
        clean_strays(self._output)
        handle = io.FileIO(self.path, "xb")
        if fcntl is None:
            handle.close()
            return
        is_free(handle)
        self._lock = handle

    def publish(self, place: Path, is_durable: bool = False) -> None:
        """Put the file at `place`; `is_durable`: it is on the disk when this returns."""
        if is_durable:
            sync_file(self.path)
        os.replace(self.path, place)
        if is_durable:
            sync_folder(place.parent)
        self._release()

    def discard(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def clean_strays(output: Path) -> None:
    """Delete the hidden files of this output that no running program holds and that are ours."""
    for stray in output.parent.glob(f"{_prefix(output)}*.part"):
        with contextlib.suppress(OSError):
            if is_own_file(stray) and not is_in_use(stray):
                stray.unlink()


def is_own_file(path: Path) -> bool:
    """Say whether a path is a plain file of the user who runs this."""
    if path.is_symlink() or not path.is_file():
        return False
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def is_in_use(path: Path) -> bool:
    """Say whether a running program holds the lock of a file."""
    with io.FileIO(path, "r") as handle:
        return not is_free(handle)


def is_free(handle: io.FileIO) -> bool:
    """Take the lock of an open file until it is closed; False where another program holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # file systems without locks
        return True
    return True


def write_durably(path: Path, content: bytes, output: Path) -> None:
    """Replace a file by new content; a power cut leaves the old or the new one, whole.

    Args:
        path: the file.
        content: its bytes.
        output: the output that it belongs to.
    """
    with HiddenPart(output) as part:
        with io.FileIO(part.path, "r+b") as handle:
            write_all(handle, content)
        part.publish(path, is_durable=True)


def write_all(handle: io.FileIO, content: bytes) -> None:
    """Write all bytes, or raise OSError; an unbuffered file may take only some at once."""
    rest = memoryview(content)
    while rest:
        written = handle.write(rest)
        rest = rest[written:]


def sync_file(path: Path) -> None:
    """Bring a file's content to the disk."""
    with io.FileIO(path, "r+b") as handle:
        os.fsync(handle)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):  # not every file system takes this
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def beside(output: Path, ending: str) -> Path:
    """Return the name of a file that belongs to an output: its own with another ending."""
    name = output.name
    if len(name.encode()) > LONGEST_NAME_BYTES:
        name = f"{name[:SHORTENED_CHARACTERS]}~{_digest(output)}"
    return output.parent / f"{name}{ending}"


def _prefix(output: Path) -> str:
    """Return how the names of an output's hidden files begin."""
    return f".apv-{_digest(output)}-"


def _digest(output: Path) -> str:
    return hashlib.sha256(os.fsencode(output.name)).hexdigest()[:16]
