"""Files that survive: strays of killed runs go, files of running ones and of others stay."""

import os
import subprocess
import sys

import pytest

from pipeline import ROOT, media
from pipeline.media import safe_files
from pipeline.media.safe_files import HiddenPart, beside, clean_strays, write_durably
from pipeline.values import Video
from tests.helpers.media_files import disc
from tests.helpers.small_disk import Disk

KILLED = """
import os, pathlib, signal, sys
from pipeline.media.safe_files import HiddenPart
HiddenPart(pathlib.Path(sys.argv[1])).create()
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_stray(output) -> None:
    """Let a run of an output be killed."""
    subprocess.run([sys.executable, "-c", KILLED, str(output)], cwd=ROOT, check=False)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_the_next_run_of_an_output_cleans_its_strays_only(tmp_path, name) -> None:
    output = tmp_path / name
    leave_stray(output)
    leave_stray(tmp_path / "other.mp4")
    (tmp_path / ".apv-mine.part").write_bytes(b"the user's")
    stray, other = sorted(names(tmp_path), key=lambda one: safe_files._prefix(output) not in one)[
        :2
    ]
    media.write_video(output, Video(disc(3), 25))
    assert names(tmp_path) == sorted([".apv-mine.part", other, name])
    assert stray not in names(tmp_path)


def test_a_running_program_keeps_its_hidden_file(tmp_path) -> None:
    part = HiddenPart(tmp_path / "a.mp4")
    part.create()
    clean_strays(tmp_path / "a.mp4")
    assert part.path.exists()
    part.discard()
    assert names(tmp_path) == []


def test_links_and_files_of_others_are_not_deleted(tmp_path, monkeypatch) -> None:
    leave_stray(tmp_path / "a.mp4")
    (stray,) = tmp_path.iterdir()
    link = stray.with_name(stray.name.replace(".part", "0.part"))
    (tmp_path / "precious").write_bytes(b"x")
    link.symlink_to(tmp_path / "precious")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    clean_strays(tmp_path / "a.mp4")
    assert names(tmp_path) == sorted([stray.name, link.name, "precious"])
    monkeypatch.undo()
    clean_strays(tmp_path / "a.mp4")
    assert names(tmp_path) == sorted([link.name, "precious"])


def test_a_replaced_file_is_the_old_or_the_new_one(tmp_path, monkeypatch) -> None:
    path = tmp_path / "notes"
    write_durably(path, b"old", tmp_path / "a.mp4")
    Disk(monkeypatch).room_bytes = 2
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new", tmp_path / "a.mp4")
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and names(tmp_path) == ["notes"]


@pytest.mark.parametrize("name", ["a.mp4", "ä" * 120 + ".mp4", "x" * 251 + ".mp4"])
def test_a_name_beside_an_output_is_never_too_long(tmp_path, name) -> None:
    path = beside(tmp_path / name, ".unfinished.safetensors")
    path.write_bytes(b"")
    assert path.name.endswith(".unfinished.safetensors")
    assert path != beside(tmp_path / f"b{name[1:]}", ".unfinished.safetensors")
