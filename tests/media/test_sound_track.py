"""Which of a file's sound tracks is heard, and which of its channels."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline import ROOT, media
from pipeline.values import InputError
from tests.helpers.media_files import disc, save_clip, save_sound
from tests.helpers.voices import applause

RATE = 16000


def speech() -> np.ndarray:
    return media.read_audio(ROOT / "assets/speech/question.wav").samples[: 2 * RATE]


def level(path) -> float:
    return float(np.sqrt(np.square(media.read_audio(path).samples).mean()))


def save_tracks(path, tracks: list[np.ndarray], titles: list[str] | None = None) -> None:
    """Write sounds (n,) as the tracks of one file, the first one the default."""
    with av.open(str(path), "w") as out:
        streams = []
        for number, _ in enumerate(tracks):
            stream = out.add_stream("aac", rate=RATE, layout="mono")
            stream.metadata["title"] = (titles or ["", "", ""])[number]
            is_default = number == 0
            stream.disposition = av.stream.Disposition.default if is_default else 0
            streams.append(stream)
        for sound, stream in zip(tracks, streams, strict=True):
            frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.rate = RATE
            frame.time_base = Fraction(1, RATE)
            for block in av.AudioResampler("fltp", "mono", RATE, 1024).resample(frame):
                out.mux(stream.encode(block))
            out.mux(stream.encode(None))


@pytest.mark.parametrize("scale", [-1.0, -0.9, -1.1])
def test_of_channels_that_cancel_one_is_heard(tmp_path, scale) -> None:
    sound = 0.5 * speech()
    save_sound(
        tmp_path / "a.wav", np.stack([sound, scale * sound]), RATE, fmt="fltp", layout="stereo"
    )
    track = media.choose_track(tmp_path / "a.wav")
    assert track.channel == int(abs(scale) > 1) and "cancel" in track.notes[0]
    assert level(tmp_path / "a.wav") > 0.9 * np.sqrt(np.square(sound).mean())


def test_like_unlike_and_missing_channels_are_mixed(tmp_path) -> None:
    sound = speech()
    noise = 0.1 * np.random.default_rng(0).normal(size=len(sound)).astype(np.float32)
    for other in (sound, noise, 0 * sound):
        save_sound(tmp_path / "a.wav", np.stack([sound, other]), RATE, fmt="fltp", layout="stereo")
        assert media.choose_track(tmp_path / "a.wav").channel is None
        assert media.choose_track(tmp_path / "a.wav").notes == ()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mka"])
@pytest.mark.parametrize("first", ["silence", "applause"])
def test_the_track_with_speech_is_used_and_named(tmp_path, name, first) -> None:
    other = applause(2.0, 20) if first == "applause" else np.zeros(2 * RATE, np.float32)
    save_tracks(tmp_path / name, [other, speech()])
    track = media.choose_track(tmp_path / name)
    assert track.index == 1 and "track 2" in track.notes[0] and "with speech" in track.notes[0]
    assert level(tmp_path / name) == pytest.approx(np.sqrt(np.square(speech()).mean()), rel=0.1)


def test_among_tracks_with_speech_the_default_is_used_and_named(tmp_path) -> None:
    save_tracks(tmp_path / "a.mkv", [speech(), speech()[::-1].copy()], ["original", "dubbed"])
    track = media.choose_track(tmp_path / "a.mkv")
    assert track.index == 0 and "track 1 (original)" in track.notes[0]


def test_a_sound_that_is_not_silent_is_used_before_silence(tmp_path) -> None:
    save_tracks(tmp_path / "a.mkv", [np.zeros(2 * RATE, np.float32), applause(2.0, 20)])
    track = media.choose_track(tmp_path / "a.mkv")
    assert track.index == 1 and "not silent" in track.notes[0]


def test_a_file_without_sound_gets_a_sentence(tmp_path) -> None:
    save_clip(tmp_path / "a.mp4", disc(3))
    with pytest.raises(InputError, match="no sound"):
        media.choose_track(tmp_path / "a.mp4")
