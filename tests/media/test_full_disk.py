"""A disk that fills up while a render is written: finished segments stay, the sentence says where."""

import numpy as np
import pytest

from pipeline import media
from pipeline.values import InputError
from tests.helpers.media_files import tone
from tests.helpers.segments import (
    FPS,
    decode,
    growing_file,
    names_in,
    open_clip,
    write_segments,
)
from tests.helpers.small_disk import Disk, small_file_system


@pytest.mark.parametrize("room", [0, 1, 3])
def test_a_disk_that_fills_up_keeps_finished_segments(tmp_path, monkeypatch, room) -> None:
    path = tmp_path / "a.mp4"
    disk = Disk(monkeypatch)
    writer = open_clip(path)
    write_segments(writer, 0, room)
    extent = writer.extent
    if room:
        writer.checkpoint(b"notes")
    disk.room_bytes = 100  # half a fragment
    sentence = "the disk is full; free some space"
    if room:
        kept = f"the {extent.frames} finished frames are kept in {growing_file(path)}"
        sentence = f"the disk is full; {kept}; free some space and go on with `resume`"
    with pytest.raises(InputError) as error, writer:
        write_segments(writer, room)
    assert sentence in str(error.value)
    monkeypatch.undo()
    if not room:
        return
    assert len(decode(growing_file(path))) == extent.frames
    assert growing_file(path).stat().st_size == extent.size_bytes and not path.exists()
    with open_clip(path, extent) as writer:
        write_segments(writer, room)
    assert media.probe(path).frames == 60


def test_a_disk_without_room_for_the_notes_keeps_the_segment(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.mp4"
    writer = open_clip(path)
    write_segments(writer, 0, 1)
    writer.checkpoint(b"first notes")
    write_segments(writer, 1, 2)
    Disk(monkeypatch).room_bytes = 3
    with pytest.raises(InputError, match="full; the 25 finished frames are kept in .*unfinished"):
        writer.checkpoint(b"second notes")
    monkeypatch.undo()
    assert media.notes_path(path).read_bytes() == b"first notes"
    assert len(decode(growing_file(path))) == 25
    assert names_in(tmp_path) == ["a.mp4.unfinished.mp4", "a.mp4.unfinished.safetensors"]


def test_without_room_for_the_first_notes_nobody_is_told_to_go_on(tmp_path, monkeypatch) -> None:
    writer = open_clip(tmp_path / "a.mp4")
    write_segments(writer, 0, 1)
    Disk(monkeypatch).room_bytes = 3
    with pytest.raises(
        InputError, match="full; the 24 finished frames are kept in .*; free some"
    ) as error:
        writer.checkpoint(b"first notes")
    assert str(error.value).endswith("; free some space") and not writer.can_go_on
    assert names_in(tmp_path) == ["a.mp4.unfinished.mp4"]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".gif"])
def test_a_disk_without_room_for_the_output_keeps_all_frames(tmp_path, monkeypatch, ending) -> None:
    path = tmp_path / f"a{ending}"
    writer = open_clip(path)
    write_segments(writer, 0)
    extent = writer.extent

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(InputError, match="full; the 60 finished frames are kept in .*unfin"):
            writer.close()
    assert names_in(tmp_path) == [growing_file(path).name]
    with open_clip(path, extent):
        pass
    assert len(decode(path)) == 60 and names_in(tmp_path) == [path.name]


def test_without_notes_a_full_disk_leaves_the_playable_part_as_the_output(
    tmp_path, monkeypatch
) -> None:
    """What the app does: its visitors download the output, and cannot go on."""
    path = tmp_path / "a.mp4"
    disk = Disk(monkeypatch)
    writer = open_clip(path, is_resumable=False)
    write_segments(writer, 0, 3)
    disk.room_bytes = 100
    with pytest.raises(InputError, match=rf"the 41 finished frames are kept in {path}; free some"):
        write_segments(writer, 3)
    assert len(decode(path)) == 41 and names_in(tmp_path) == ["a.mp4"]


def test_a_real_small_file_system_keeps_finished_segments(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (10, 128, 128, 3), dtype=np.uint8)
    with small_file_system(tmp_path / "disk", 1_000_000) as disk:
        path = disk / "a.mp4"
        content = media.Content(tone(20), {"seed": 3})
        writer = media.open_render_writer(path, FPS, (128, 128), content, is_resumable=True)
        with pytest.raises(InputError, match="the disk is full; the .* finished frames are kept"):
            while True:
                writer.write(noise)
                writer.checkpoint(bytes(20_000))
        assert writer.frames >= 20 and len(decode(growing_file(path))) >= writer.frames
        assert set(names_in(disk)) == {growing_file(path).name, media.notes_path(path).name}


def test_a_real_small_file_system_without_room_for_the_output(tmp_path) -> None:
    """Growing file and output do not fit beside each other."""
    noise = np.random.default_rng(0).integers(0, 255, (10, 128, 128, 3), dtype=np.uint8)
    with small_file_system(tmp_path / "disk", 1_000_000) as disk:
        path = disk / "a.mp4"
        content = media.Content(tone(1), None)
        writer = media.open_render_writer(path, FPS, (128, 128), content, is_resumable=True)
        while writer.extent.size_bytes < 550_000:
            writer.write(noise)
        with pytest.raises(InputError, match="the disk is full; the .* finished frames are kept"):
            writer.close()
        assert names_in(disk) == [growing_file(path).name]
        assert len(decode(growing_file(path))) == writer.frames
