"""The user's own sound in a video: its rate, its channels, its packets where the container can."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline import media
from tests.helpers.media_files import disc, save_sound

SECONDS = 1.2
FPS = 25


def tones(rate: int, channels: int) -> np.ndarray:
    """Return (channels, n): a tone of its own for each channel, with a click at 0.6 s."""
    time = np.arange(round(SECONDS * rate)) / rate
    sounds = [0.2 * np.sin(2 * np.pi * 200 * (k + 1) * time) for k in range(channels)]
    sound = np.array(sounds, np.float32)
    sound[:, round(0.6 * rate) : round(0.61 * rate)] = 0.9
    return sound


def written(path, source, frames: int = round(SECONDS * FPS)) -> tuple[str, int, int]:
    """Write frames with the track of a file; return codec, rate and channels of the result."""
    track = media.choose_track(source)
    with media.open_writer(path, FPS, (96, 128), track) as writer:
        for start in range(0, frames, 10):
            writer.write(disc(frames)[start : start + 10])
    with av.open(str(path)) as container:
        codec = container.streams.audio[0].codec_context
        return codec.name, codec.sample_rate, codec.channels


def packets(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def click_seconds(path) -> float:
    sound = media.read_audio(path, 48000)
    return float(np.abs(sound.samples).argmax() / sound.rate)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
@pytest.mark.parametrize(("rate", "layout"), [(48000, "stereo"), (44100, "mono"), (8000, "mono")])
def test_samples_keep_their_rate_and_channels(tmp_path, name, rate, layout) -> None:
    channels = 2 if layout == "stereo" else 1
    save_sound(tmp_path / "a.wav", tones(rate, channels), rate, fmt="fltp", layout=layout)
    codec, written_rate, written_channels = written(tmp_path / name, tmp_path / "a.wav")
    expected = {"a.mp4": "aac", "a.mov": "pcm_s16le", "a.mkv": "pcm_s16le", "a.webm": "opus"}
    assert codec == expected[name] and written_channels == channels
    assert written_rate == (48000 if name == "a.webm" else rate)
    assert abs(click_seconds(tmp_path / name) - 0.605) < 0.02
    block = 1024 / written_rate  # the last one is decoded whole
    assert abs(media.read_audio(tmp_path / name).seconds - SECONDS) < block + 0.03


@pytest.mark.parametrize(
    ("codec", "fmt", "container", "name"),
    [
        ("aac", "fltp", "ipod", "a.mp4"),
        ("libmp3lame", "fltp", "mp3", "a.mp4"),
        ("flac", "s16", "flac", "a.mp4"),
        ("libopus", "flt", "ogg", "a.mp4"),
        ("aac", "fltp", "ipod", "a.mkv"),
        ("libmp3lame", "fltp", "mp3", "a.mkv"),
        ("libopus", "flt", "ogg", "a.webm"),
    ],
)
def test_packets_are_copied_and_stay_in_time(tmp_path, codec, fmt, container, name) -> None:
    sound = tones(48000, 2)
    if fmt == "s16":
        sound = (sound * 32767).astype(np.int16)
    source = tmp_path / "source"
    save_sound(source, sound, 48000, codec, fmt, "stereo", container)
    assert written(tmp_path / name, source)[1:] == (48000, 2)
    given = packets(source)
    kept = packets(tmp_path / name)
    assert 0 < len(kept) <= len(given) and set(kept) <= set(given)
    assert len(given) - len(kept) <= 2
    assert abs(click_seconds(tmp_path / name) - click_seconds(source)) < 0.025


@pytest.mark.parametrize("codec", ["pcm_s16le", "libmp3lame"])
def test_sound_ends_with_the_frames_of_a_run_that_breaks_off(tmp_path, codec) -> None:
    kind = {"pcm_s16le": ("wav", "s16"), "libmp3lame": ("mp3", "s16p")}[codec]
    sound = (tones(44100, 2) * 32767).astype(np.int16)
    save_sound(tmp_path / "source", sound, 44100, codec, kind[1], "stereo", kind[0])
    written(tmp_path / "a.mp4", tmp_path / "source", frames=15)
    assert abs(media.read_audio(tmp_path / "a.mp4").seconds - 15 / FPS) < 0.06


def test_a_short_sound_is_filled_with_silence(tmp_path) -> None:
    save_sound(tmp_path / "a.wav", tones(48000, 2), 48000, fmt="fltp", layout="stereo")
    written(tmp_path / "a.mp4", tmp_path / "a.wav", frames=50)
    assert abs(media.read_audio(tmp_path / "a.mp4").seconds - 2.0) < 0.05


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
@pytest.mark.parametrize("late", [0.2, -0.2])
def test_the_sound_of_a_video_keeps_its_place_beside_the_picture(tmp_path, name, late) -> None:
    """As `read_audio` reads it: from the first picture's moment on."""
    rate = 48000
    with av.open(str(tmp_path / "video.mkv"), "w") as out:
        picture = out.add_stream("libx264", rate=FPS)
        picture.height, picture.width, picture.pix_fmt = 96, 128, "yuv444p"
        stream = out.add_stream("aac", rate=rate, layout="mono")
        for number, pixels in enumerate(disc(30)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number + 10, Fraction(1, FPS)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(tones(rate, 1), format="fltp", layout="mono")
        frame.rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round((10 / FPS + late) * rate)
        for block in av.AudioResampler("fltp", "mono", rate, 1024).resample(frame):
            out.mux(stream.encode(block))
        out.mux(stream.encode(None))
    expected = click_seconds(tmp_path / "video.mkv")
    assert abs(expected - 0.605 - late) < 0.03
    written(tmp_path / name, tmp_path / "video.mkv")
    assert abs(click_seconds(tmp_path / name) - expected) < 0.03
