"""A render in segments: killed, cut off or out of room at any moment, it plays what is finished."""

import av
import numpy as np
import pytest

from pipeline import media
from pipeline.media.frame_folder_writer import FrameFolderWriter
from pipeline.media.segment_writer import SegmentWriter
from pipeline.media.unfinished import Extent
from pipeline.values import Audio, InputError, Video
from tests.helpers.media_files import frames_of, tone
from tests.helpers.segments import (
    ANIMATIONS,
    CLIP,
    FPS,
    SEGMENTS,
    VIDEOS,
    decode,
    growing_file,
    kill_run,
    names_in,
    open_clip,
    write_segments,
)
from tests.helpers.small_disk import Disk, PowerCut


@pytest.mark.parametrize("ending", VIDEOS + ANIMATIONS)
@pytest.mark.parametrize("segments", [1, 2, 3, 4])  # 4: killed while the output was made
def test_a_killed_run_plays_and_goes_on_to_the_same_bytes(tmp_path, ending, segments) -> None:
    whole = tmp_path / f"whole{ending}"
    with open_clip(whole) as writer:
        write_segments(writer, 0)
    path = tmp_path / f"a{ending}"
    extent = kill_run(path, segments)
    frames = SEGMENTS[segments - 1][1]
    played = decode(growing_file(path))
    assert extent.frames == frames == len(played) and not path.exists()
    loss = np.abs(played.astype(int) - CLIP[:frames]).max()
    assert loss == 0 if ending in ANIMATIONS else loss <= 8
    assert media.read_settings(growing_file(path)) == {"seed": 3, "unfinished": True}
    with open_clip(path, extent) as writer:
        assert writer.frames == frames
        write_segments(writer, segments)
    assert path.read_bytes() == whole.read_bytes()
    assert names_in(tmp_path) == [path.name, whole.name]


@pytest.mark.parametrize("ending", VIDEOS)
def test_picture_and_sound_of_a_killed_run_stay_together(tmp_path, ending) -> None:
    """A click and a flash at half a second stay within a frame of each other."""
    click = np.zeros(16000 * 2, np.float32)
    click[8000:8160] = 0.9
    clip = np.zeros((40, 96, 128, 3), np.uint8)
    clip[12:15] = 255
    path = tmp_path / f"a{ending}"
    content = media.Content(Audio(click, 16000), None)
    writer = media.open_render_writer(path, 24.0, (96, 128), content, is_resumable=True)
    writer.write(clip[:30])
    writer._growing.close()
    with av.open(str(growing_file(path))) as file:
        bright = [p.pts * p.time_base for p in file.decode(video=0) if p.to_ndarray().mean() > 128]
    with av.open(str(growing_file(path))) as file:
        blocks = list(file.decode(audio=0))
    loudest = max(blocks, key=lambda block: np.abs(block.to_ndarray()).max())
    offset = np.abs(loudest.to_ndarray()[0]).argmax() / loudest.sample_rate
    heard = float(loudest.pts * loudest.time_base) + offset
    assert abs(float(bright[0]) - heard) < 0.03


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_the_finished_file_is_as_the_plain_writer_makes_it(tmp_path, ending) -> None:
    media.write_video(tmp_path / f"plain{ending}", Video(CLIP, FPS, tone(2.4)), {"seed": 3})
    with open_clip(tmp_path / f"a{ending}") as writer:
        write_segments(writer, 0)
    plain = media.probe(tmp_path / f"plain{ending}")
    assert media.probe(tmp_path / f"a{ending}") == plain
    assert media.read_settings(tmp_path / f"a{ending}") == {"seed": 3}
    sounds = [media.read_audio(tmp_path / f"{name}{ending}").samples for name in ("a", "plain")]
    assert np.array_equal(*sounds)
    facts = []
    for name in ("a", "plain"):
        with av.open(str(tmp_path / f"{name}{ending}")) as file:
            (picture,) = file.streams.video
            codec = picture.codec_context
            colors = (codec.colorspace, codec.color_range, codec.color_trc, codec.pix_fmt)
            times = (picture.start_time, picture.time_base, picture.average_rate, file.duration)
            facts.append((codec.name, colors, times, picture.frames, picture.profile))
    assert facts[0] == facts[1]


@pytest.mark.parametrize("fps", [1.0, 12.5, 23.976, 24000 / 1001, 29.97, 59.94, 60.0])
@pytest.mark.parametrize("preset", ["medium", "ultrafast"])
def test_frames_are_shown_when_they_should_be(tmp_path, fps, preset) -> None:
    content = media.Content(tone(4))
    with SegmentWriter(tmp_path / "a.mp4", fps, CLIP.shape[1:3], content, preset=preset) as writer:
        write_segments(writer, 0, 3)
        unfinished = times_of(growing_file(tmp_path / "a.mp4"))
        write_segments(writer, 3)
    late = writer._encoder.lead_frames
    assert np.allclose(unfinished * fps, np.arange(41) + late, atol=1e-2)
    assert np.allclose(times_of(tmp_path / "a.mp4") * fps, np.arange(60), atol=1e-2)
    assert media.probe(tmp_path / "a.mp4").frames == 60


def times_of(path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.array(
            [float(picture.pts * picture.time_base) for picture in file.decode(video=0)]
        )


def test_a_finished_mp4_seeks_and_its_index_comes_first(tmp_path) -> None:
    with open_clip(tmp_path / "a.mp4") as writer:
        write_segments(writer, 0)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat") and b"moof" not in content
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.video[0]
        keys = [packet.pts for packet in file.demux(stream) if packet.is_keyframe]
        assert len(keys) == len(SEGMENTS)  # each segment begins with a picture for itself
        file.seek(keys[2], stream=stream)
        assert next(file.decode(stream)).pts == keys[2]


@pytest.mark.parametrize("written", [1, 7, 8, 9, 100, 0.5, 0.99, 1.0])
def test_a_power_cut_at_any_byte_leaves_the_segments_before(tmp_path, monkeypatch, written) -> None:
    path = tmp_path / "a.mp4"
    with open_clip(tmp_path / "whole.mp4") as whole:
        write_segments(whole, 0, 1)
        before = whole.extent.size_bytes
        write_segments(whole, 1, 3)
        fragment_bytes = whole.extent.size_bytes - before
        write_segments(whole, 3)
    disk = Disk(monkeypatch)
    writer = open_clip(path)
    write_segments(writer, 0, 1)
    extent = writer.extent
    bytes_written = int(written * fragment_bytes) if isinstance(written, float) else written
    disk.room_bytes = bytes_written
    disk.error = PowerCut()
    with pytest.raises(PowerCut):
        write_segments(writer, 1)
    monkeypatch.undo()
    writer._growing.close()
    assert len(decode(growing_file(path))) in (24, 25)
    assert growing_file(path).stat().st_size > extent.size_bytes
    with open_clip(path, extent) as writer:
        write_segments(writer, 1)
    assert path.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, GeneratorExit])
@pytest.mark.parametrize("is_resumable", [True, False])
def test_an_interrupt_publishes_the_finished_part(tmp_path, stop, is_resumable) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(stop), open_clip(path, is_resumable=is_resumable) as writer:
        write_segments(writer, 0, 2)
        extent = writer.extent
        raise stop
    assert writer.kept() == f"the 25 finished frames are kept in {path}"
    assert media.probe(path).frames == 25 and abs(media.read_audio(path).seconds - 1) < 0.05
    assert names_in(tmp_path) == (["a.mp4", "a.mp4.unfinished.mp4"] if is_resumable else ["a.mp4"])
    if is_resumable:
        with open_clip(path, extent) as writer:
            write_segments(writer, 2)
        assert media.probe(path).frames == 60 and names_in(tmp_path) == ["a.mp4"]


def test_without_a_frame_nothing_appears_and_what_was_there_stays(tmp_path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), open_clip(tmp_path / "a.mp4") as writer:
        raise KeyboardInterrupt
    assert writer.kept() == "" and names_in(tmp_path) == ["a.mp4"]


# ---- what is refused


def test_a_growing_file_that_is_not_as_it_was_is_refused(tmp_path) -> None:
    path = tmp_path / "a.mp4"
    extent = kill_run(path, 2)
    content = growing_file(path).read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    for wrong in (content[: extent.size_bytes - 1], bytes(changed), b""):
        growing_file(path).write_bytes(wrong)
        with pytest.raises(InputError, match="is damaged or another file than this output's"):
            open_clip(path, extent)
        assert growing_file(path).read_bytes() == wrong
    growing_file(path).unlink()
    with pytest.raises(InputError, match="which holds the finished frames, is missing"):
        open_clip(path, extent)


@pytest.mark.parametrize("kind", ["text", "video", "folder"])
def test_the_users_own_file_in_the_way_is_refused_and_stays(tmp_path, kind) -> None:
    place = growing_file(tmp_path / "a.mp4")
    if kind == "text":
        place.write_bytes(b"mine")
    elif kind == "video":
        media.write_video(place, Video(CLIP[:3], FPS), {"seed": 1})
    else:
        place.mkdir()
    with pytest.raises(InputError, match="is in the way"):
        open_clip(tmp_path / "a.mp4")
    assert names_in(tmp_path) == [place.name]


def test_two_runs_of_one_output_do_not_mix(tmp_path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "a.mp4"
    with open_clip(path) as first:
        second = open_clip(path)
        write_segments(first, 0, 1)
        for attempt in (lambda: open_clip(path), lambda: write_segments(second, 0, 1)):
            with pytest.raises(InputError, match="being written by another run"):
                attempt()
        write_segments(first, 1)
    assert media.probe(path).frames == 60


def test_a_run_that_starts_afresh_replaces_an_unfinished_one_with_its_first_segment(
    tmp_path,
) -> None:
    path = tmp_path / "a.mp4"
    kill_run(path, 3)
    with pytest.raises(RuntimeError), open_clip(path):
        raise RuntimeError
    assert len(decode(growing_file(path))) == 41 and media.notes_path(path).exists()
    writer = open_clip(path)
    write_segments(writer, 0, 1)
    assert len(decode(growing_file(path))) == 24 and not media.notes_path(path).exists()
    write_segments(writer, 1)
    writer.close()
    assert names_in(tmp_path) == ["a.mp4"]


# ---- folders of frames


def test_a_folder_of_frames_goes_on(tmp_path) -> None:
    folder = tmp_path / "frames"
    writer = open_clip(f"{folder}/")
    assert isinstance(writer, FrameFolderWriter)
    write_segments(writer, 0, 2)
    writer.checkpoint(b"notes")
    extent = writer.extent
    write_segments(writer, 2, 3)  # and then it is killed
    assert len(list(folder.glob(".apv-*"))) == 0
    (folder / "000030.png").write_bytes(b"")  # a power cut before it reached the disk
    with open_clip(f"{folder}/", extent) as writer:
        assert names_in(folder)[-1] == "000024.png"
        write_segments(writer, 2)
    assert np.array_equal(frames_of(folder), CLIP)
    assert media.read_settings(folder) == {"seed": 3}
    assert names_in(tmp_path) == ["frames"] and len(names_in(folder)) == 60


def test_a_folder_that_lost_a_frame_is_refused(tmp_path) -> None:
    folder = tmp_path / "frames"
    with pytest.raises(RuntimeError), open_clip(f"{folder}/") as writer:
        write_segments(writer, 0, 2)
        extent = writer.extent
        raise RuntimeError
    (folder / "000003.png").unlink()
    with pytest.raises(InputError, match="000003.png, a finished frame, is missing"):
        open_clip(f"{folder}/", extent)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"frames": -1, "fragments": 1, "size_bytes": 1, "sha256": ""},
        {"frames": True, "fragments": 1, "size_bytes": 1, "sha256": ""},
        {"frames": 1, "fragments": 1, "size_bytes": "1", "sha256": ""},
    ],
)
def test_an_extent_without_sense_is_refused(values) -> None:
    with pytest.raises(ValueError):
        Extent.of(values)
