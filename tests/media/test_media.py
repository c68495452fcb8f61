"""Pictures and sound: every kind of file is read as it should be, bad input gets a sentence."""

import resource

import numpy as np
import pytest
from PIL import Image

from pipeline import media
from pipeline.values import Audio
from tests.helpers.media_files import disc, save_clip, save_sound, tone

RAMP = np.linspace(0, 65535, 96 * 80).astype(np.uint16).reshape(80, 96)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_gray_is_scaled(tmp_path, suffix):
    Image.fromarray(RAMP).save(tmp_path / f"deep.{suffix}")
    picture = media.read_image(tmp_path / f"deep.{suffix}")
    assert picture.shape == (80, 96, 3) and picture.dtype == np.uint8
    assert np.abs(picture[..., 0] - RAMP / 257).max() <= 0.51


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_color_is_scaled(tmp_path, suffix):
    cv2 = pytest.importorskip("cv2")
    deep = np.stack([RAMP // 4, RAMP // 2, RAMP], axis=-1)  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / f"deep.{suffix}"), deep)
    picture = media.read_image(tmp_path / f"deep.{suffix}")
    assert np.abs(picture[..., ::-1] - deep / 257).max() <= 1


def test_cmyk_jpeg_keeps_its_colors(tmp_path):
    colors = np.zeros((64, 128, 3), np.uint8) + np.array([200, 60, 20], np.uint8)
    Image.fromarray(colors).convert("CMYK").save(
        tmp_path / "adobe.jpg", quality=95
    )  # stored inverted
    assert np.abs(media.read_image(tmp_path / "adobe.jpg").astype(int) - colors).max() <= 4


def test_exif_turns_the_picture(tmp_path):
    image = Image.new("RGB", (128, 64), (0, 0, 0))
    image.paste(
        (255, 0, 0), (0, 0, 32, 64)
    )  # red on the left, the top once turned by a quarter clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "phone.png", exif=exif)
    picture = media.read_image(tmp_path / "phone.png")
    assert picture.shape == (128, 64, 3)
    assert (picture[:32] == (255, 0, 0)).all() and (picture[32:] == 0).all()


@pytest.mark.parametrize(
    ("hidden", "ground"),
    [
        ((0, 0, 0), (255, 255, 255)),
        ((255, 255, 255), (255, 255, 255)),
        ((10, 120, 40), (10, 120, 40)),
    ],
)
def test_alpha_goes_on_white_or_on_the_pictures_own_color(tmp_path, hidden, ground):
    rgba = np.zeros((64, 96, 4), np.uint8)
    rgba[:, :32] = (*hidden, 0)
    rgba[:, 32:64] = (100, 0, 0, 128)
    rgba[:, 64:] = (100, 0, 0, 255)
    Image.fromarray(rgba).save(tmp_path / "cut.png")
    picture = media.read_image(tmp_path / "cut.png")
    assert (picture[:, :32] == ground).all() and (picture[:, 64:] == (100, 0, 0)).all()
    half = (np.array([100, 0, 0]) * 128 + np.array(ground) * 127) / 255
    assert np.abs(picture[0, 40] - half).max() <= 0.51


def test_a_mixed_residue_under_alpha_is_not_shown():
    rgba = np.random.default_rng(0).integers(0, 255, (64, 64, 4), dtype=np.uint8)
    rgba[..., 3] = 0
    rgba[0, 0, 3] = 255
    assert (media.to_picture(rgba)[1:] == 255).all()


def test_a_picture_with_an_all_zero_alpha_channel_keeps_its_colors():
    rgba = np.random.default_rng(0).integers(0, 255, (64, 64, 4), dtype=np.uint8)
    rgba[..., 3] = 0
    np.testing.assert_array_equal(media.to_picture(rgba), rgba[..., :3])


@pytest.mark.parametrize(
    ("suffix", "mode", "slack"),
    [
        ("gif", "P", 0),
        ("bmp", "RGB", 0),
        ("webp", "RGB", 12),
        ("tif", "RGB", 0),
        ("png", "P", 0),
        ("jpg", "L", 12),
    ],
)
def test_common_formats(tmp_path, suffix, mode, slack):
    image = Image.new("RGB", (96, 64), (40, 40, 40))
    image.paste((200, 200, 200), (0, 0, 48, 64))
    (image.quantize(4) if mode == "P" else image.convert(mode)).save(tmp_path / f"p.{suffix}")
    assert (
        np.abs(media.read_image(tmp_path / f"p.{suffix}").astype(int) - np.asarray(image)).max()
        <= slack
    )


def test_the_first_frame_of_an_animation_is_the_picture(tmp_path):
    first, second = Image.new("RGB", (64, 64), (255, 0, 0)), Image.new("RGB", (64, 64), (0, 255, 0))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (media.read_image(tmp_path / "a.gif") == (255, 0, 0)).all()


@pytest.mark.parametrize(
    "scale", [np.uint8(255), np.uint16(65535), np.float32(1), np.float64(1), np.int64(255)]
)
def test_arrays_of_several_types(scale):
    half = np.zeros((64, 96, 3), scale.dtype)
    half[:, 48:] = scale
    picture = media.to_picture(half)
    assert (
        picture.dtype == np.uint8
        and (picture[:, 48:] == 255).all()
        and (picture[:, :48] == 0).all()
    )
    np.testing.assert_array_equal(media.to_picture(half[..., 0]), picture)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.zeros((64, 64, 2), np.uint8), "face has shape .64, 64, 2."),
        (np.zeros((63, 64, 3), np.uint8), "face is 64x63 pixels.*at least 64"),
        (np.full((64, 64), np.nan), "face holds numbers from nan"),
        (np.full((64, 64), 1.5), "face holds numbers from 1.5 to 1.5"),
        (np.full((64, 64), -3), "face holds int64 from -3"),
        (None, "face is a NoneType"),
    ],
)
def test_senseless_pictures_are_refused(value, sentence):
    with pytest.raises(ValueError, match=sentence):
        media.to_picture(value, "face")


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (9000, 8000)).save(tmp_path / "huge.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="huge.png has 72 megapixels; shrink it"):
        media.read_image(tmp_path / "huge.png")
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
    )  # KiB; decoded it would be 72 MB


def test_a_decompression_bomb_is_refused(tmp_path):
    Image.new("1", (13500, 13300)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="bomb.png has more than 64 megapixels"):
        media.read_image(tmp_path / "bomb.png")


def test_a_damaged_picture_gets_a_sentence(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), dtype=np.uint8)).save(
        tmp_path / "a.png"
    )
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="a.png is damaged"):
        media.read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "read", [media.read_image, media.read_audio, media.probe, media.read_settings]
)
def test_missing_empty_and_wrong_files_get_a_sentence(tmp_path, read):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello " * 99)
    for name, sentence in [
        ("none", "does not exist"),
        ("", "is a folder|holds no numbered pictures"),
        ("empty", "is empty"),
        ("text", "is not a picture|cannot be read"),
    ]:
        with pytest.raises(ValueError, match=sentence) as caught:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_sound_is_resampled_and_keeps_its_length(tmp_path, rate):
    save_sound(tmp_path / "a.wav", (tone(2.0, rate).samples[None] * 32767).astype(np.int16), rate)
    audio = media.read_audio(tmp_path / "a.wav")
    assert (
        audio.rate == 16000
        and audio.samples.dtype == np.float32
        and abs(audio.seconds - 2.0) <= 0.002
    )
    middle = slice(8000, 24000)
    assert np.abs(audio.samples[middle] - tone(2.0).samples[middle]).max() < 0.01


def test_an_mp3_named_wav_is_read(tmp_path):
    save_sound(
        tmp_path / "a.wav",
        tone(1.0, 44100).samples[None],
        44100,
        "libmp3lame",
        "fltp",
        container="mp3",
    )
    audio = media.read_audio(tmp_path / "a.wav")
    assert (
        abs(audio.seconds - 1.0) < 0.06
        and 0.3 < np.sqrt((audio.samples[4000:12000] ** 2).mean()) < 0.4
    )


def test_stereo_is_mixed_by_the_mean(tmp_path):
    left = (tone(1.0).samples * 32767).astype(np.int16)
    save_sound(tmp_path / "a.wav", np.stack([left, left]), 16000, layout="stereo")
    assert np.abs(media.read_audio(tmp_path / "a.wav").samples - left / 32767).max() < 1e-3
    save_sound(tmp_path / "b.wav", np.stack([left, 0 * left]), 16000, layout="stereo")
    assert np.abs(media.read_audio(tmp_path / "b.wav").samples - left / 32767 / 2).max() < 1e-3


def test_float_samples_over_one_are_scaled_not_clipped(tmp_path):
    loud = tone(1.0).samples[None] * 4
    save_sound(tmp_path / "a.wav", loud, 16000, "pcm_f32le", "flt")
    audio = media.read_audio(tmp_path / "a.wav")
    np.testing.assert_allclose(audio.samples, loud[0] / np.abs(loud).max(), atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_refused(tmp_path, bad):
    samples = tone(1.0).samples.copy()[None]
    samples[0, 5000] = bad
    save_sound(tmp_path / "a.wav", samples, 16000, "pcm_f32le", "flt")
    with pytest.raises(ValueError, match="a.wav holds samples that are not numbers"):
        media.read_audio(tmp_path / "a.wav")


def test_silence_is_not_an_error(tmp_path):
    save_sound(tmp_path / "a.wav", np.zeros((1, 16000), np.int16), 16000)
    assert not media.read_audio(tmp_path / "a.wav").samples.any()


def test_short_sound_is_refused(tmp_path):
    save_sound(tmp_path / "a.wav", np.zeros((1, 800), np.int16), 16000)
    with pytest.raises(ValueError, match=r"a.wav holds 0.05 s of sound; give at least 0.1 s"):
        media.read_audio(tmp_path / "a.wav")


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "container"), [("pcm_u8", "wav"), ("libmp3lame", "mp3")])
def test_sound_over_ten_minutes_is_refused_and_ten_minutes_are_not(tmp_path, codec, container):
    for seconds in (600, 602):
        save_sound(
            tmp_path / f"{seconds}",
            np.zeros((1, seconds * 8000), np.int16),
            8000,
            codec,
            container=container,
        )
    assert abs(media.read_audio(tmp_path / "600", 8000).seconds - 600) < 0.2
    with pytest.raises(ValueError, match="602 lasts .* over the limit of 600 s; cut it"):
        media.read_audio(tmp_path / "602", 8000)


def test_sound_over_ten_minutes_is_refused_by_its_header(tmp_path):
    save_sound(tmp_path / "a.wav", np.zeros((1, 602 * 8000), np.uint8), 8000, "pcm_u8", "u8")
    with pytest.raises(ValueError, match="a.wav lasts 602 s, over the limit of 600 s; cut it"):
        media.read_audio(tmp_path / "a.wav")


def test_a_video_without_sound_has_no_audio(tmp_path):
    save_clip(tmp_path / "a.mp4", disc(3))
    with pytest.raises(ValueError, match="a.mp4 has no sound in it"):
        media.read_audio(tmp_path / "a.mp4")


def test_a_playlist_cannot_reach_other_files(tmp_path):
    save_clip(tmp_path / "secret.mp4", disc(3))
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\n{tmp_path}/secret.mp4\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "list.txt").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    for name in ("list.m3u8", "list.txt"):
        with pytest.raises(ValueError, match=f"{name} cannot be read"):
            media.probe(tmp_path / name)


def test_a_still_picture_is_told_from_an_animation_and_from_sound(tmp_path) -> None:
    stills = [Image.new("RGB", (80, 80), color) for color in ("red", "blue")]
    stills[0].save(tmp_path / "still.png")
    stills[0].save(tmp_path / "moving.gif", save_all=True, append_images=stills[1:])
    (tmp_path / "text.png").write_text("no picture")
    names = ("still.png", "moving.gif", "text.png")
    assert [media.is_picture(tmp_path / name) for name in names] == [True, False, False]


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_written_sound_reads_back(tmp_path, name: str) -> None:
    sound = Audio(np.sin(np.arange(8000) / 9).astype(np.float32) * 0.5, 16000)
    media.write_audio(tmp_path / name, sound)
    assert np.abs(media.read_audio(tmp_path / name).samples - sound.samples).max() < 1e-3
    with pytest.raises(ValueError, match="cannot be written"):
        media.write_audio(tmp_path / "no" / "folder.wav", sound)
