"""Kinds of damage that fuzzing has found: each ends in a value or in one plain sentence."""

import io
import json
import struct
import zipfile

import av
import numpy as np
import pytest
from PIL import Image

from pipeline import media
from pipeline.media import json_text, pose_files
from pipeline.media.files import packets_of
from pipeline.media.pose_files import openpose
from pipeline.media.sound_track import HIGHEST_HZ, LOWEST_HZ
from pipeline.values import InputError, Pose
from tests.helpers.media_files import disc, save_clip, save_sound, tone
from tests.helpers.stick_person import figure

INTERNALS = ("Errno", "b'", "allow_pickle", "codec can't", "plugin", "\n")


def sentence_of(read, path) -> str:
    """Return the sentence with which a file is refused; it names the file and no internals."""
    with pytest.raises(InputError) as caught:
        read(path)
    sentence = str(caught.value)
    assert path.name in sentence
    assert not any(word in sentence for word in INTERNALS), sentence
    return sentence


# ---- pictures


BMP_OF_A_STRANGE_KIND = b"BM" + struct.pack(
    "<IHHI IiiHHI IiiII", 154, 0, 0, 54, 40, 128, 128, 1, 24, 99, 0, 0, 0, 0, 0
)


def test_an_avif_with_broken_pixels_is_damaged(tmp_path) -> None:
    """Pillow's decoder raises RuntimeError."""
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    path = tmp_path / "a.avif"
    Image.fromarray(pixels).save(path, quality=90)
    head, _, coded = path.read_bytes().partition(b"mdat")
    path.write_bytes(head + b"mdat" + b"\xff" * 50 + coded[50:])
    with pytest.raises(RuntimeError), Image.open(path) as image:
        image.load()
    assert "is damaged" in sentence_of(media.read_image, path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.ppm", b"P6 " + b"9" * 5000 + b" 128 255\n", "its content makes no sense"),
        ("b.ppm", b"P3 128 128 255\n" + b"1 " * 1000, "a part of it is missing"),
        ("c.bmp", BMP_OF_A_STRANGE_KIND, "no decoder here knows"),
    ],
)
def test_what_decoders_say_is_put_in_plain_words(tmp_path, name, content, reason) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert reason in sentence_of(media.read_image, path)


def test_an_animation_of_garbage_is_damaged(tmp_path) -> None:
    """imageio says that an unknown error occurred while initializing its plugin."""
    frames = [Image.new("RGB", (96, 96), (40 * t, 90, 90)) for t in range(3)]
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    data = path.read_bytes()
    place = data.index(b"ANMF") + 32  # behind the headers of the frame and of its picture
    path.write_bytes(data[:place] + bytes(20) + data[place + 20 :])
    sentence = sentence_of(lambda file: list(media.read_video(file).chunks()), path)
    assert "export it again" in sentence


# ---- sounds


def test_a_track_of_an_unknown_codec_is_refused(tmp_path) -> None:
    path = tmp_path / "a.caf"
    save_sound(path, tone(0.5).samples[None], 16000, fmt="fltp", container="caf")
    path.write_bytes(path.read_bytes().replace(b"lpcm", b"zzzz"))
    assert "sound of an unknown kind" in sentence_of(media.read_audio, path)


def test_a_clip_of_an_unknown_codec_is_refused(tmp_path) -> None:
    path = tmp_path / "a.mp4"
    save_clip(path, disc(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))
    assert "no moving picture that can be decoded" in sentence_of(media.probe, path)


@pytest.mark.parametrize("channels", [8, 9, 16, 64])
def test_many_channels_are_mixed(tmp_path, channels: int) -> None:
    """PyAV crashes the process where it hands over planes of more than 8 channels."""
    sound = np.repeat(tone(0.5).samples[None], channels, axis=0)
    sound *= np.linspace(0, 1, channels)[:, None]
    path = tmp_path / "a.wav"
    path.write_bytes(wav(sound, 16000))
    heard = media.read_audio(path)
    assert np.abs(heard.samples - 0.5 * tone(0.5).samples).max() < 1e-3


def wav(sound: np.ndarray, rate: int) -> bytes:
    """Return a 16-bit WAV file of samples (channels, n)."""
    channels = len(sound)
    samples = np.round(sound.T * 32767).astype("<i2").tobytes()
    numbers = [(1, 2), (channels, 2), (rate, 4), (rate * channels * 2, 4), (channels * 2, 2)]
    head = b"".join((value % 256**size).to_bytes(size, "little") for value, size in numbers)
    body = b"WAVEfmt \x10\0\0\0" + head + b"\x10\0data" + len(samples).to_bytes(4, "little")
    return b"RIFF" + (len(body) + len(samples)).to_bytes(4, "little") + body + samples


@pytest.mark.parametrize("rate", [20, LOWEST_HZ - 1, HIGHEST_HZ + 1, 2**31 - 1])
def test_absurd_rates_are_refused_at_once(tmp_path, rate: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(0.5).samples[None], rate))
    assert f"claims {rate} samples a second" in sentence_of(media.read_audio, path)


def test_a_sound_with_wild_samples_is_written(tmp_path) -> None:
    """The AAC encoder refuses samples of 1e30, and the output's folder was blamed."""
    samples = tone(0.5).samples.copy()
    samples[::100] = 1e30
    save_sound(tmp_path / "a.wav", samples[None], 16000, "pcm_f32le", "fltp")
    track = media.choose_track(tmp_path / "a.wav")
    with media.open_writer(tmp_path / "a.mp4", 25, (96, 128), track) as writer:
        writer.write(disc(12))
    assert abs(media.read_audio(tmp_path / "a.mp4").seconds - 0.48) < 0.1


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_packets_that_cannot_be_copied_are_encoded(tmp_path, name: str) -> None:
    """An AAC file with something else at its end plays, but no container takes that end."""
    source = tmp_path / "a.aac"
    save_sound(source, tone(0.5, 48000).samples[None], 48000, "aac", "fltp", container="adts")
    with source.open("ab") as file:
        file.write(np.random.default_rng(0).bytes(2000))
    track = media.choose_track(source)
    with media.open_writer(tmp_path / name, 25, (96, 128), track) as writer:
        writer.write(disc(12))
    sound = media.read_audio(tmp_path / name)
    assert abs(sound.seconds - 0.48) < 0.1 and np.abs(sound.samples).max() > 0.4


def test_endless_samples_are_refused_without_a_warning_of_numpy(tmp_path, recwarn) -> None:
    sound = np.stack([tone(0.5).samples, tone(0.5).samples])
    sound[:, 100] = [np.inf, -np.inf]
    path = tmp_path / "a.wav"
    save_sound(path, sound, 16000, "pcm_f32le", "fltp", "stereo")
    assert "not numbers" in sentence_of(media.read_audio, path)
    assert [str(warning.message) for warning in recwarn] == []


# ---- clips


def test_packets_end_where_a_file_breaks_off() -> None:
    class Packet:
        size = 1

    class Container:
        def demux(self):
            yield Packet()
            raise av.error.PatchWelcomeError(1, "patches welcome")

    assert len(list(packets_of(Container()))) == 1


# ---- key points


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_of_any_encoding_is_read(tmp_path, codec: str) -> None:
    frames = [openpose.frame(figure(3), row) for row in range(3)]
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(frames).encode(codec))
    assert len(pose_files.read(path).people[0]) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\xfa", "it is not text"),
        (b"[" * 100_000, "lists in lists go too deep"),
        (b"[" + b"9" * 9999 + b"]", "a number is too long"),
        (b'{"a": 1', "Expecting ',' delimiter in line 1, column 8"),
    ],
)
def test_json_that_is_none_gets_a_reason(tmp_path, content: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        json_text.parse(content)
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert reason in sentence_of(pose_files.read, path)


def archive(**members: bytes) -> bytes:
    """Return a zip of members as they are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, content in members.items():
            written.writestr(f"{name}.npy", content)
    return file.getvalue()


def array_file(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


BROKEN_HEADER = array_file(np.zeros((3, 18, 2))).replace(b"(3, 18, 2), }", b"(3, 18, 2\0    ")


@pytest.mark.parametrize("name", ["body_xy", "candidate"])
@pytest.mark.parametrize("content", [b"no array", BROKEN_HEADER, BROKEN_HEADER[:40], b""])
def test_an_archive_of_other_things_is_refused(tmp_path, name: str, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(archive(**{name: content, "body_score": array_file(np.ones((3, 18)))}))
    assert "pose" in sentence_of(pose_files.read, path)


def test_an_archive_of_a_future_version_is_refused(tmp_path) -> None:
    """zipfile raises NotImplementedError."""
    figure(3).save(tmp_path / "a.npz")
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 255
    (tmp_path / "a.npz").write_bytes(data)
    assert "it is damaged" in sentence_of(pose_files.read, tmp_path / "a.npz")


@pytest.mark.parametrize("fps", [1e-300, 1e-6, 0.0005])
def test_a_pose_that_its_rate_makes_endless_is_refused(tmp_path, fps: float) -> None:
    pose = figure(12)
    path = tmp_path / "a.npz"
    Pose(pose.body, pose.hands, pose.face, fps, pose.size).save(path)
    assert "correct its frame rate" in sentence_of(pose_files.read, path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"canvas_width": None}, "tells one side of its picture; give width and height"),
        ({"canvas_width": "w" * 9999}, "give whole numbers of pixels"),
        ({"fps": ["f" * 9999]}, "frames a second; give a number"),
        ({"fps": float("nan")}, "claims nan frames a second; give a number"),
    ],
)
def test_odd_facts_of_a_clip_get_a_short_sentence(tmp_path, change: dict, reason: str) -> None:
    frame = openpose.frame(figure(1), 0) | change
    path = tmp_path / "a.json"
    path.write_text(json.dumps([frame]))
    sentence = sentence_of(pose_files.read, path)
    assert reason in sentence and len(sentence) < 300


@pytest.mark.parametrize("numbers", [[1.0] * 5, ["x"] * 63, [float("nan")] * 63, {"x": 1}])
def test_odd_points_of_a_person_say_what_to_do(tmp_path, numbers: object) -> None:
    frame = openpose.frame(figure(1), 0)
    frame["people"][0]["hand_left_keypoints_2d"] = numbers
    path = tmp_path / "a.json"
    path.write_text(json.dumps([frame]))
    assert "export the key points again" in sentence_of(pose_files.read, path)
