"""Pictures: any file that Pillow reads, a Pillow image or an array -> (H, W, 3) uint8 RGB."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.media.color_profiles import to_srgb
from pipeline.media.files import checked_file
from pipeline.values import InputError

MIN_SIDE = 64
MAX_PIXELS = 64e6
FORMATS = (
    "PNG",
    "JPEG",
    "MPO",  # a JPEG with more pictures behind the first: previews, depth, the other eye
    "HEIF",  # HEIC, what an iPhone takes
    "WEBP",
    "BMP",
    "TIFF",
    "GIF",
    "AVIF",
    "JPEG2000",
    "PPM",
    "TGA",
    "ICO",
)
# Only in these further pictures are moments in time; elsewhere they are pages, previews, depths
ANIMATED_FORMATS = ("PNG", "WEBP", "GIF", "AVIF")
BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# Whatever Pillow raises for a damaged file
BROKEN = (
    *BOMB,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    struct.error,
    zlib.error,
    EOFError,
    IndexError,
    OverflowError,
    RuntimeError,  # of the AVIF decoder
)
# Words by which decoders tell of files that end too early; the rest of what they say is for them
ENDS_EARLY = ("truncated", "end of file", "not enough", "eof", "outside of file")
BLOCK_ROWS = 16
FRACTION_SLACK = 1e-3  # resampling leaves fractions a little below 0 or above 1


def read_image(path: str | Path) -> np.ndarray:
    """Return a picture file as (H, W, 3) uint8 sRGB, turned as its EXIF says, alpha on white."""
    source = checked_file(path, "picture")
    name = f"picture {path}"
    try:
        with Image.open(source, formats=_formats()) as image:
            _check_size(image.width, image.height, name)
            return _from_pillow(image, name)
    except BOMB as error:
        raise InputError(f"{name} has more than 64 megapixels; shrink it first") from error
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is not a picture; give a PNG, JPEG, HEIC, WebP, BMP, TIFF or GIF"
        ) from error
    except BROKEN as error:
        raise InputError(
            f"{name} is damaged ({damage(error)}); export it again as PNG or JPEG"
        ) from error


def is_picture(path: str | Path) -> bool:
    """Say whether a path is a still picture; animations and folders of frames are videos."""
    if Path(path).is_dir():
        return False
    source = checked_file(path, "file")
    try:
        with Image.open(source, formats=_formats()) as image:
            has_one = getattr(image, "n_frames", 1) == 1
            return has_one or image.format not in ANIMATED_FORMATS
    except BROKEN:
        return False


def damage(error: Exception) -> str:
    """Say in plain words what a decoder's error means."""
    text = str(error).lower()
    if any(word in text for word in ENDS_EARLY):
        return "a part of it is missing"
    if "not supported" in text or "unsupported" in text or "not implemented" in text:
        return "it holds something that no decoder here knows"
    return "its content makes no sense"


def to_picture(image: str | Path | Image.Image | np.ndarray, name: str = "picture") -> np.ndarray:
    """Return (H, W, 3) uint8 RGB from a path, Pillow image or array; errors call it `name`."""
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        _check_size(image.width, image.height, name)
        return _from_pillow(image, name)
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"{name} is a {type(image).__name__}; give a path, a Pillow image or a numpy array"
        )
    is_gray = image.ndim == 2
    has_channels = image.ndim == 3 and image.shape[2] in (1, 3, 4)
    if not (is_gray or has_channels):
        raise InputError(f"{name} has shape {image.shape}; give (H, W), (H, W, 3) or (H, W, 4)")
    height, width = image.shape[:2]
    _check_size(width, height, name)
    return _three_channels(_to_bytes(image, name))


def on_white(rgba: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of (H, W, 4), transparent parts on white."""
    return _blend(rgba[..., :3], rgba[..., 3:], np.uint16(255))


def _formats() -> list[str]:
    """Return the formats to read of those that this Pillow has; HEIF is an addition to it."""
    Image.init()
    if "HEIF" not in Image.OPEN:
        pillow_heif.register_heif_opener(thumbnails=False)
    return [name for name in FORMATS if name in Image.OPEN]


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{name} is {width}x{height} pixels; give one of at least {MIN_SIDE} pixels a side"
        )
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has {width * height / 1e6:.0f} megapixels; shrink it to at most 64 megapixels"
        )


def _from_pillow(image: Image.Image, name: str) -> np.ndarray:
    """Return (H, W, 3) uint8; deep modes go through numpy: Pillow would clip some to 255."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        gray = Image.fromarray(_to_bytes(np.asarray(image), name))
        gray.info = image.info
        image = gray
    image = to_srgb(image)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return _three_channels(np.asarray(image.convert(mode)))


def _to_bytes(values: np.ndarray, name: str) -> np.ndarray:
    """Return uint8 from 8 or 16 bit integers or fractions 0 to 1."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    low = values.min()
    high = values.max()
    if values.dtype.kind == "f":
        is_finite = np.isfinite(low) and np.isfinite(high)
        if not is_finite or low < -FRACTION_SLACK or high > 1 + FRACTION_SLACK:
            raise InputError(
                f"{name} holds numbers from {low:g} to {high:g}; "
                "give bytes or fractions from 0 to 1"
            )
        fractions = np.clip(values, 0, 1)
        return np.round(fractions * 255).astype(np.uint8)
    if values.dtype.kind not in "iu" or low < 0 or high > 65535:
        raise InputError(
            f"{name} holds {values.dtype} from {low} to {high}; give 8 or 16 bits a channel"
        )
    if values.dtype.itemsize == 2 or high > 255:
        return _from_16_bits(values)
    return values.astype(np.uint8)


def _from_16_bits(values: np.ndarray) -> np.ndarray:
    """Return uint8 from 0 to 65535, rounded; a few rows at a time, which stay in the cache."""
    levels = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        scaled = values[rows].astype(np.uint32)
        scaled *= 255
        scaled += 32767
        scaled //= 65535
        levels[rows] = scaled
    return levels


def _three_channels(pixels: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) from gray, RGB or RGBA bytes.

    Alpha goes on white, or on the picture's own color: the one that all fully transparent pixels
    share, if it is not black, which encoders leave there by themselves. A picture that is
    transparent everywhere has a broken alpha channel and keeps its colors.
    """
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        gray = pixels.reshape(*pixels.shape[:2], 1)
        return np.repeat(gray, 3, axis=2)
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels)
    color = pixels[..., :3]
    alpha = pixels[..., 3:]
    hidden = color[alpha[..., 0] == 0]
    if len(hidden) == alpha.size and hidden.any():
        return np.ascontiguousarray(color)
    ground = np.uint16(255)
    if len(hidden) > 0 and hidden[0].any() and (hidden == hidden[0]).all():
        ground = hidden[0].astype(np.uint16)
    return _blend(color, alpha, ground)


def _blend(color: np.ndarray, alpha: np.ndarray, ground: np.ndarray | np.uint16) -> np.ndarray:
    """Return colors (H, W, 3) with alpha (H, W, 1) on a ground color, as rounded bytes."""
    alpha = alpha.astype(np.uint16)
    mixed = color * alpha + ground * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)
