"""media, video in: by time, turned, shrunk, streamed; broken and senseless clips get a sentence."""

import logging
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from pipeline import media
from pipeline.media import ffmpeg_video
from pipeline.media.ffmpeg_video import timed_frames
from tests.helpers.media_files import disc, frames_of, save_clip


@pytest.mark.parametrize(
    ("codec", "size"), [("libx264", (96, 128)), ("libx264", (95, 127)), ("libx265", (96, 128))]
)
def test_frames_come_back_in_small_chunks(tmp_path, codec, size):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    clip = disc(20, size)
    save_clip(tmp_path / "a.mp4", clip, codec=codec)
    video = media.read_video(tmp_path / "a.mp4")
    chunks = list(video.chunks())
    assert [len(c) for c in chunks] == [16, 4] and video.fps == 25 and video.audio is None
    assert np.abs(np.concatenate(chunks).astype(int) - clip)[:, 4:-4, 4:50].mean() < 4
    facts = media.probe(tmp_path / "a.mp4")
    assert (facts.width, facts.height, facts.frames, facts.has_audio) == (
        size[1],
        size[0],
        20,
        False,
    )


def levels(clip: np.ndarray) -> list[int]:
    """The frame numbers that `disc` drew, from the green channel."""
    return np.round(clip[:, 20:-20, 20:-20, 1].mean(axis=(1, 2)) / 8).astype(int).tolist()


def test_a_variable_frame_rate_is_resampled_by_time(tmp_path):
    times = [0, 4, 8, 40, 44, 80]  # hundredths of a second: gaps of 0.32 and 0.36 s
    save_clip(tmp_path / "a.mp4", disc(6), times=times)
    clip = frames_of(tmp_path / "a.mp4", fps=25)
    shown = [max(k for k, t in enumerate(times) if t <= 4 * i + 2) for i in range(len(clip))]
    assert (
        levels(clip) == shown and 20 <= len(clip) <= 21 + 9
    )  # the last frame's own length is the muxer's


@pytest.mark.parametrize(("fps", "count"), [(12.5, 10), (25, 20), (50, 40), (30, 24)])
def test_the_length_in_seconds_stays_at_any_rate(tmp_path, fps, count):
    save_clip(tmp_path / "a.mp4", disc(20))
    shown = levels(frames_of(tmp_path / "a.mp4", fps=fps))
    assert shown == [int((i + 0.5) / fps * 25) for i in range(count)]


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_the_rotation_tag_turns_the_frames(tmp_path, rotation):
    clip = disc(3)
    save_clip(tmp_path / "a.mp4", clip, rotation=rotation)
    turned = np.rot90(clip, rotation // 90, axes=(1, 2))  # FFmpeg counts counterclockwise
    read = frames_of(tmp_path / "a.mp4")
    assert read.shape == turned.shape and np.abs(read.astype(int) - turned).mean() < 6
    facts = media.probe(tmp_path / "a.mp4")
    assert (facts.height, facts.width) == turned.shape[1:3]


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turn_is_known_where_the_frame_carries_data_without_a_name(tmp_path, rotation):
    save_clip(tmp_path / "a.mp4", disc(1), rotation=rotation)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))

    class PhotoFrame:  # as FFmpeg decodes a JPEG with Exif
        rotation = frame.rotation

        @property
        def side_data(self):
            raise ValueError("31 is not a valid Type")

    assert ffmpeg_video._display_turn(PhotoFrame()) == ffmpeg_video._display_turn(frame)


def save_streams(path, clips: list[np.ndarray], default: int | None = None) -> None:
    """Write clips as the streams of one file; a clip of one frame stands for a thumbnail."""
    with av.open(str(path), "w") as out:
        streams = []
        for number, clip in enumerate(clips):
            stream = out.add_stream("mjpeg" if len(clip) == 1 else "libx264", rate=25)
            stream.height, stream.width = clip.shape[1:3]
            stream.pix_fmt = "yuvj444p" if len(clip) == 1 else "yuv444p"
            stream.disposition = (
                av.stream.Disposition.default if number == default else av.stream.Disposition(0)
            )
            streams.append(stream)
        for clip, stream in zip(clips, streams, strict=True):
            for picture in clip:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov"])
@pytest.mark.parametrize("default", [None, 0, 1])
def test_a_thumbnail_before_the_moving_picture_is_not_taken(tmp_path, name, default):
    save_streams(tmp_path / name, [disc(1, (200, 200)), disc(9)], default)
    assert media.probe(tmp_path / name).height == 96
    assert len(frames_of(tmp_path / name)) == 9


@pytest.mark.parametrize(("default", "height"), [(0, 64), (1, 96), (None, 96)])
def test_of_two_moving_pictures_the_default_or_the_larger_is_taken(tmp_path, default, height):
    save_streams(tmp_path / "a.mkv", [disc(9, (64, 64)), disc(9)], default)
    assert media.probe(tmp_path / "a.mkv").height == height


def test_pixels_are_made_square(tmp_path):
    save_clip(tmp_path / "a.mp4", disc(3), aspect=Fraction(3, 2))
    assert frames_of(tmp_path / "a.mp4").shape == (3, 96, 192, 3)


@pytest.mark.parametrize("sizes", [((96, 128), (128, 96)), ((128, 96), (96, 128))])
def test_frames_of_another_shape_keep_their_aspect_between_bars(tmp_path, sizes):
    parts = []
    for size in sizes:
        save_clip(tmp_path / "part.ts", disc(5, size), container="mpegts")
        parts.append((tmp_path / "part.ts").read_bytes())
    (tmp_path / "turned.ts").write_bytes(b"".join(parts))
    frames = frames_of(tmp_path / "turned.ts", fps=25)
    assert frames.shape[1:3] == sizes[0] and len(frames) > 6
    last = frames[-1].astype(int)
    shown = last.sum(-1) > 60
    rows = np.flatnonzero(shown.any(1))
    columns = np.flatnonzero(shown.any(0))
    height = np.ptp(rows) + 1
    width = np.ptp(columns) + 1
    assert abs(height / width - sizes[1][0] / sizes[1][1]) < 0.06
    assert max(height / sizes[0][0], width / sizes[0][1]) > 0.97


def test_frames_of_another_size_and_the_same_shape_fill_the_picture(tmp_path):
    parts = []
    for size in ((96, 128), (192, 256)):
        save_clip(tmp_path / "part.ts", disc(5, size), container="mpegts")
        parts.append((tmp_path / "part.ts").read_bytes())
    (tmp_path / "grown.ts").write_bytes(b"".join(parts))
    last = frames_of(tmp_path / "grown.ts", fps=25)[-1]
    assert last.shape == (96, 128, 3) and (last.astype(int).sum(-1) > 60).mean() > 0.98


def test_frames_are_shrunk_by_area(tmp_path):
    clip = np.zeros((2, 128, 256, 3), np.uint8)
    clip[:, :, ::2] = 255  # one pixel stripes: their mean, not one of the two
    save_clip(tmp_path / "a.mp4", clip)
    small = frames_of(tmp_path / "a.mp4", max_side=64)
    assert small.shape == (2, 32, 64, 3) and np.abs(small.astype(int) - 128).max() < 12
    assert frames_of(tmp_path / "a.mp4", max_side=999).shape == clip.shape


def test_seconds_cuts_the_clip(tmp_path):
    save_clip(tmp_path / "a.mp4", disc(20))
    assert levels(frames_of(tmp_path / "a.mp4", seconds=0.2)) == [0, 1, 2, 3, 4]


def test_a_cut_off_file_gives_what_can_be_decoded(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (30, 96, 128, 3), dtype=np.uint8)
    save_clip(tmp_path / "a.mkv", noise, container="matroska")
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) // 2])
    assert 5 <= len(frames_of(tmp_path / "a.mkv")) < 30


def test_frames_that_do_not_decode_are_left_out_with_a_warning(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (30, 96, 128, 3), dtype=np.uint8)
    save_clip(tmp_path / "a.mp4", noise)
    whole = bytearray((tmp_path / "a.mp4").read_bytes())
    start, stop = whole.index(b"mdat") + 4, whole.index(b"moov") - 4
    whole[(start + stop) // 2 : stop] = bytes(stop - (start + stop) // 2)
    (tmp_path / "a.mp4").write_bytes(whole)
    with caplog.at_level(logging.WARNING):
        assert 5 <= len(frames_of(tmp_path / "a.mp4")) < 30
    assert any("a.mp4 is damaged" in record.getMessage() for record in caplog.records)


def test_a_clock_that_jumps_back_goes_on():
    class Frame:
        duration, time_base = None, None

        def __init__(self, time):
            self.time = time

    times = [10.0, 10.04, None, 2.0, 2.04]
    starts = [item.start for item in timed_frames(map(Frame, times), 0.04)]
    np.testing.assert_allclose(starts, [0, 0.04, 0.08, 0.12, 0.16])


def test_a_clip_without_one_good_frame_is_refused(tmp_path):
    save_clip(
        tmp_path / "a.mp4",
        np.random.default_rng(0).integers(0, 255, (5, 96, 128, 3), dtype=np.uint8),
    )
    whole = bytearray((tmp_path / "a.mp4").read_bytes())
    start, stop = whole.index(b"mdat") + 4, whole.index(b"moov") - 4
    whole[start:stop] = bytes(stop - start)
    (tmp_path / "a.mp4").write_bytes(whole)
    with pytest.raises(ValueError, match="a.mp4 has no frame that can be decoded"):
        media.read_video(tmp_path / "a.mp4")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
def test_a_still_picture_is_not_a_video(tmp_path, suffix):
    Image.new("RGB", (96, 96), (9, 99, 9)).save(tmp_path / f"a.{suffix}")
    with pytest.raises(ValueError, match="is a still picture; give a video|cannot be read"):
        media.read_video(tmp_path / f"a.{suffix}")


def test_an_animated_gif_is_a_video(tmp_path):
    pages = [Image.new("RGB", (64, 64), (20 * i, 0, 0)) for i in range(8)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=100)
    clip = frames_of(tmp_path / "a.gif", fps=10)
    assert np.abs(clip[:, 0, 0, 0].astype(int) - 20 * np.arange(8)).max() <= 1


def test_a_recording_that_does_not_state_its_length(tmp_path):
    save_clip(tmp_path / "a.h264", disc(20), container="h264")
    assert media.probe(tmp_path / "a.h264").frames == 20
    assert levels(frames_of(tmp_path / "a.h264")) == list(range(20))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"fps": 0}, "fps is 0; give a number above 0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"seconds": -1}, "seconds is -1"),
        ({"max_side": 0}, "max_side is 0"),
    ],
)
def test_senseless_options_are_refused(tmp_path, how, sentence):
    save_clip(tmp_path / "a.mp4", disc(3))
    with pytest.raises(ValueError, match=sentence):
        media.read_video(tmp_path / "a.mp4", **how)


def test_a_video_over_ten_minutes_is_refused_unless_cut(tmp_path):
    save_clip(tmp_path / "a.mp4", disc(3), times=[0, 100, 70000])
    with pytest.raises(ValueError, match="a.mp4 lasts over 600 s"):
        media.read_video(tmp_path / "a.mp4")
    assert levels(frames_of(tmp_path / "a.mp4", fps=1, seconds=4)) == [0, 1, 1, 1]
    with pytest.raises(ValueError, match="lasts over 600 s"):
        media.read_video(tmp_path / "a.mp4", seconds=601)
