"""What phones and messengers make of a picture: HEIC, MPO, animated WebP, endings that lie."""

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pipeline import media
from pipeline.studio import pose_tool
from pipeline.values import Detection, InputError
from tests.helpers.icc_profiles import display_p3
from tests.helpers.stick_person import figure

QUARTER_TURN = 6  # Exif's number for a picture that is to be turned to the right
ORIENTATION = 0x0112


def halves(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Return a picture (width, height) with a red upper and a blue lower half."""
    picture = Image.new("RGB", size, (200, 30, 30))
    picture.paste((30, 30, 200), (0, size[1] // 2, size[0], size[1]))
    return picture


def save_heic(path, picture: Image.Image, **options) -> None:
    pillow_heif.from_pillow(picture).save(path, quality=95, **options)


@pytest.mark.parametrize("name", ["photo.heic", "photo.HEIF", "photo.jpg", "photo.png", "photo"])
def test_heic_is_read_whatever_its_name(tmp_path, name) -> None:
    save_heic(tmp_path / name, halves(), format="HEIF")
    assert media.is_picture(tmp_path / name)
    picture = media.read_image(tmp_path / name).astype(int)
    assert picture.shape == (64, 96, 3)
    assert np.abs(picture[10, 48] - (200, 30, 30)).max() < 12
    assert np.abs(picture[54, 48] - (30, 30, 200)).max() < 12


def test_heic_is_turned_once_and_follows_its_profile(tmp_path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = QUARTER_TURN
    save_heic(tmp_path / "turned.heic", halves(), exif=exif.tobytes(), icc_profile=display_p3())
    picture = media.read_image(tmp_path / "turned.heic").astype(int)
    assert picture.shape == (96, 64, 3)
    assert picture[48, 54, 0] > 205 and picture[48, 10, 2] > 205


def test_several_pictures_in_one_heic_are_no_video(tmp_path) -> None:
    several = pillow_heif.from_pillow(halves())
    several.add_from_pillow(halves().rotate(180))
    several.save(tmp_path / "burst.heic", quality=95)
    assert media.is_picture(tmp_path / "burst.heic")
    assert media.read_image(tmp_path / "burst.heic")[10, 48, 0] > 150


def test_a_heic_is_no_driving_video(tmp_path) -> None:
    save_heic(tmp_path / "photo.mp4", halves(), format="HEIF")
    with pytest.raises(InputError, match="still picture"):
        media.probe(tmp_path / "photo.mp4")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_damaged_heic_gets_a_sentence(tmp_path, share) -> None:
    save_heic(tmp_path / "whole.heic", halves())
    whole = (tmp_path / "whole.heic").read_bytes()
    (tmp_path / "cut.heic").write_bytes(whole[: round(share * len(whole))])
    with pytest.raises(InputError, match=r"cut\.heic"):
        media.read_image(tmp_path / "cut.heic")


def test_a_large_heic_is_refused_before_it_is_decoded(tmp_path, monkeypatch) -> None:
    save_heic(tmp_path / "large.heic", halves())
    monkeypatch.setattr("pipeline.media.image.MAX_PIXELS", 1000)
    with pytest.raises(InputError, match="megapixels"):
        media.read_image(tmp_path / "large.heic")


@pytest.mark.parametrize("name", ["phone.jpg", "phone.mpo", "phone.png"])
def test_a_jpeg_with_more_pictures_behind_it_is_a_picture(tmp_path, name) -> None:
    preview = halves((48, 32))
    halves().save(tmp_path / name, format="MPO", save_all=True, append_images=[preview])
    assert media.is_picture(tmp_path / name)
    assert media.read_image(tmp_path / name).shape == (64, 96, 3)


def test_a_tiff_of_several_pages_is_a_picture(tmp_path) -> None:
    halves().save(tmp_path / "pages.tif", save_all=True, append_images=[halves((80, 80))])
    assert media.is_picture(tmp_path / "pages.tif")


@pytest.mark.parametrize("name", ["moves.webp", "moves.jpg", "moves.png"])
@pytest.mark.parametrize("kind", ["WEBP", "PNG", "GIF", "AVIF"])
def test_an_animation_is_read_as_a_clip_whatever_its_name(
    tmp_path, monkeypatch, kind, name
) -> None:
    pages = [halves().rotate(180 * turn) for turn in range(4)]
    pages[0].save(
        tmp_path / name, format=kind, save_all=True, append_images=pages[1:], duration=100
    )
    assert not media.is_picture(tmp_path / name)
    frames = media.probe(tmp_path / name).frames
    seen: list[int] = []
    monkeypatch.setenv("APV_CACHE", str(tmp_path / "cache"))

    class Counting:
        name = "counting"
        version = "1"

        def video(self, video):
            seen.append(sum(len(chunk) for chunk in video.chunks()))
            yield seen[-1]
            return Detection((figure(4),))

    monkeypatch.setattr(pose_tool.detectors, "load", lambda name: Counting())
    pose_tool.read(str(tmp_path / name))
    assert frames == 4 and seen[-1] == 4
