"""Embedded color profiles: what a picture means is what is read."""

import numpy as np
import pytest
from PIL import Image

from pipeline import media
from tests.helpers import icc_profiles

SIZE = (64, 64)


def read(tmp_path, picture: Image.Image, profile: bytes | None, suffix: str = "png") -> np.ndarray:
    """Return the color in the middle of the picture, saved with a profile."""
    path = tmp_path / f"picture.{suffix}"
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    picture.save(path, icc_profile=profile, **options)
    return media.read_image(path)[32, 32].astype(int)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_a_wide_gamut_color_becomes_more_saturated_in_srgb(tmp_path, suffix) -> None:
    color = Image.new("RGB", SIZE, (180, 120, 100))
    plain = read(tmp_path, color, None, suffix)
    shown = read(tmp_path, color, icc_profiles.display_p3(), suffix)
    assert np.abs(plain - (180, 120, 100)).max() <= 4
    assert np.abs(shown - (190, 117, 95)).max() <= 5


def test_colors_outside_srgb_are_cut_not_wrapped(tmp_path) -> None:
    shown = read(tmp_path, Image.new("RGB", SIZE, (255, 0, 0)), icc_profiles.display_p3())
    assert tuple(shown) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_a_gray_profile_changes_the_tone_curve(tmp_path, mode) -> None:
    gray = Image.new("L", SIZE, 128).convert(mode, dither=Image.Dither.NONE)
    shown = read(tmp_path, gray, icc_profiles.gray(1.0))
    expected = 255 if mode == "1" else 188  # half of the light
    assert np.abs(shown - expected).max() <= 2


def test_a_deep_gray_picture_follows_its_profile(tmp_path) -> None:
    deep = Image.fromarray(np.full(SIZE, 128 * 257, np.uint16))
    assert np.abs(read(tmp_path, deep, icc_profiles.gray(1.0)) - 188).max() <= 2


@pytest.mark.parametrize(("ink", "level"), [(0, 255), (255, 0)])
def test_inks_follow_their_profile(tmp_path, ink, level) -> None:
    inks = Image.new("CMYK", SIZE, (0, ink, 0, 0))  # magenta, which this printer prints black
    assert np.abs(read(tmp_path, inks, icc_profiles.cmyk(), "jpg") - level).max() <= 3


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparency_stays(tmp_path, mode) -> None:
    color = Image.new("RGBA", SIZE, (180, 120, 100, 255))
    color.paste((0, 0, 0, 0), (0, 0, 64, 20))
    path = tmp_path / "picture.png"
    color.convert(mode).save(path, icc_profile=icc_profiles.display_p3())
    shown = media.read_image(path).astype(int)
    assert (shown[5, 32] > 250).all()
    assert np.abs(shown[50, 32] - (190, 117, 95)).max() <= 5


def test_srgb_pictures_keep_their_bytes(tmp_path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert tuple(read(tmp_path, Image.new("RGB", SIZE, (181, 77, 3)), profile)) == (181, 77, 3)


@pytest.mark.parametrize(
    "profile", [b"no profile", icc_profiles.gray(1.0), icc_profiles.display_p3()[:200]]
)
def test_a_profile_that_does_not_fit_is_left_out(tmp_path, profile) -> None:
    assert tuple(read(tmp_path, Image.new("RGB", SIZE, (9, 80, 7)), profile)) == (9, 80, 7)
