"""Embedded color profiles: a picture's colors as its ICC profile means them, brought to sRGB."""

from __future__ import annotations

import io
import logging

from PIL import Image, ImageCms

log = logging.getLogger(__name__)

PROFILE_KEY = "icc_profile"  # of Pillow's `info`
PLAIN_SPACE = "sRGB"  # profiles that describe themselves so leave a picture as it is
# Modes that Little CMS takes as they are, by the profile's color space
MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}


def to_srgb(image: Image.Image) -> Image.Image:
    """Return a picture of 8 bits a channel in sRGB; one without a usable profile as it is.

    The result is RGB, or RGBA where parts are transparent.
    """
    data = image.info.get(PROFILE_KEY)
    if not data:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if PLAIN_SPACE in ImageCms.getProfileDescription(profile):
            return image
        return _converted(image, profile)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        log.warning("the picture's color profile cannot be used and is left out (%s)", error)
        return image


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    """Return the picture through its profile, with its transparency."""
    space = profile.profile.xcolor_space
    mode = MODES.get(space)
    if mode is None:
        raise ValueError(f"it is a profile for {space.strip()}")
    is_gray = image.mode in ("1", "L", "LA", "La")
    fits = is_gray if mode == "L" else image.mode == mode or (mode == "RGB" and not is_gray)
    if not fits:
        raise ValueError(f"it is a profile for {space.strip()}, the picture is {image.mode}")
    alpha = None
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
    colors = ImageCms.profileToProfile(
        image if image.mode == mode else image.convert("RGBA").convert(mode),
        profile,
        ImageCms.createProfile(PLAIN_SPACE),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if alpha is not None:
        colors.putalpha(alpha)
    return colors
