"""MP4, writing: plays, lasts as long as its sound, is kept when interrupted, is never broken."""

import errno
import os
import resource

import av
import numpy as np
import pytest

from pipeline import media
from pipeline.values import Video
from tests.helpers.media_files import disc, frames_of, tone


def decoded_lengths(path) -> tuple[int, float]:
    """(pictures, seconds of sound) counted by decoding, not believed from headers."""
    with av.open(str(path)) as file:
        pictures = sum(1 for _ in file.decode(video=0))
    with av.open(str(path)) as file:
        sound = [(f.samples, f.sample_rate) for f in file.decode(audio=0)]
    return pictures, sum(n for n, _ in sound) / sound[0][1]


@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("fps", [25.0, 29.97])
def test_picture_and_sound_last_equally_long(tmp_path, seconds, fps):
    frames = round(2 * fps)
    audio = tone(seconds)
    media.write_video(tmp_path / "a.mp4", Video(disc(frames), fps, audio))
    pictures, sound = decoded_lengths(tmp_path / "a.mp4")
    assert pictures == frames and abs(sound - frames / fps) <= 1 / fps
    back = media.read_audio(tmp_path / "a.mp4").samples
    n = min(len(audio.samples), len(back), round(frames / fps * 16000)) - 1500
    assert (
        np.corrcoef(back[1000:n], audio.samples[1000:n])[0, 1] > 0.99
    )  # in step: the encoder's delay is taken off
    assert (
        np.abs(back[round(seconds * 16000) + 2000 : round(frames / fps * 16000)]).max(initial=0)
        < 0.02
    )


def test_frames_survive_writing(tmp_path):
    clip = disc(10)
    assert media.write_video(tmp_path / "a.mp4", Video(clip, 25)) == 10
    back = frames_of(tmp_path / "a.mp4")
    assert back.shape == clip.shape and np.abs(back.astype(int) - clip)[:, :, 4:60].max() <= 6
    with av.open(str(tmp_path / "a.mp4")) as file:
        codec = file.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        assert (
            file.streams.video[0].metadata.get("creation_time")
            is None
            is file.metadata.get("creation_time")
        )
    start = (tmp_path / "a.mp4").read_bytes()
    assert start.index(b"moov") < start.index(b"mdat")  # plays while it loads


def test_odd_sizes_repeat_their_edge(tmp_path):
    clip = disc(3, (95, 127))
    media.write_video(tmp_path / "a.mp4", Video(clip, 25))
    back = frames_of(tmp_path / "a.mp4")
    assert (
        back.shape == (3, 96, 128, 3) and np.abs(back[:, -1].astype(int) - back[:, -2]).max() <= 6
    )


@pytest.mark.parametrize(
    "settings", [None, {"intensity": 1.5, "name": "Zoë \n", "nested": {"list": [1, None]}}]
)
def test_settings_come_back(tmp_path, settings):
    media.write_video(tmp_path / "a.mp4", Video(disc(2), 25, tone(1)), settings)
    assert media.read_settings(tmp_path / "a.mp4") == settings


def test_a_comment_that_is_not_settings_is_none(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        out.metadata["comment"] = "made by me"
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        out.mux(stream.encode(None))
    assert media.read_settings(tmp_path / "a.mp4") is None


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
def test_the_same_frames_give_the_same_bytes(tmp_path, preset):
    clip = np.random.default_rng(0).integers(0, 255, (40, 128, 128, 3), dtype=np.uint8)
    for name in ("a.mp4", "b.mp4"):
        media.write_video(tmp_path / name, Video(clip, 25, tone(1.6)), {"seed": 0}, preset=preset)
    assert media.content_hash(tmp_path / "a.mp4") == media.content_hash(tmp_path / "b.mp4")


def test_chunking_does_not_change_the_picture(tmp_path):
    clip = disc(20)
    media.write_video(tmp_path / "a.mp4", Video(clip, 25))
    media.write_video(tmp_path / "b.mp4", Video((clip[i : i + 3] for i in range(0, 20, 3)), 25))
    assert media.content_hash(tmp_path / "a.mp4") == media.content_hash(tmp_path / "b.mp4")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, GeneratorExit])
def test_an_interrupt_keeps_the_frames_written(tmp_path, stop):
    with (
        pytest.raises(stop),
        media.VideoWriter(tmp_path / "a.mp4", 25, (96, 128), tone(4)) as writer,
    ):
        writer.write(disc(7))
        raise stop
    assert writer.frames == 7 and [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    pictures, sound = decoded_lengths(tmp_path / "a.mp4")
    assert pictures == 7 and abs(sound - 7 / 25) <= 1 / 25


def test_an_interrupt_before_the_first_frame_leaves_what_was_there(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), media.VideoWriter(tmp_path / "a.mp4", 25, (96, 128)):
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"] and (
        tmp_path / "a.mp4"
    ).read_bytes() == b"old"


def test_a_full_disk_gets_a_sentence_and_leaves_no_file(tmp_path, monkeypatch):
    def full(*_):
        raise av.error.OSError(errno.ENOSPC, "No space left on device", "part")

    writer = media.VideoWriter(tmp_path / "a.mp4", 25, (96, 128))
    writer.write(disc(3))
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ValueError, match="a.mp4 cannot be written: the disk is full"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_the_system_refuses_leaves_no_file(tmp_path):
    """A limit on the file size stands for the full disk: the real error passes through FFmpeg."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 255, (60, 256, 256, 3), dtype=np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(ValueError, match="a.mp4 cannot be written .*File too large"):
            media.write_video(tmp_path / "a.mp4", Video(noise, 25), preset="ultrafast")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "how", "sentence"),
    [
        ("none/a.mp4", {}, "none/a.mp4 cannot be written .*choose a folder"),
        ("", {}, "is a folder; give the name of a file"),
        ("a.mp4", {"fps": 0}, "fps is 0"),
        ("a.mp4", {"size": (0, 10)}, "video size is 10x0"),
        ("a.mp4", {"settings": {"x": float("nan")}}, "settings cannot be kept in a video"),
    ],
)
def test_an_output_that_cannot_be_opened_gets_a_sentence(tmp_path, path, how, sentence):
    with pytest.raises(ValueError, match=sentence):
        media.VideoWriter(tmp_path / path, **{"fps": 25, "size": (96, 128), **how})
    assert list(tmp_path.iterdir()) == []


def test_frames_of_another_shape_are_refused(tmp_path):
    with media.VideoWriter(tmp_path / "a.mp4", 25, (96, 128)) as writer:
        for frames in (disc(2, (96, 96)), disc(2)[0], disc(2).astype(np.float32)):
            with pytest.raises(ValueError, match=r"this video takes uint8 \(t, 96, 128, 3\)"):
                writer.write(frames)
        writer.write(disc(2))
    with pytest.raises(ValueError, match="already closed"):
        writer.write(disc(2))
    assert media.probe(tmp_path / "a.mp4").frames == 2


def test_a_video_without_frames_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a.mp4 would have no frame"):
        media.write_video(tmp_path / "a.mp4", Video(iter([]), 25))


def test_content_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert media.content_hash(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")
