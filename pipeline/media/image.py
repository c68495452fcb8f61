"""Pictures: any file that Pillow reads, a Pillow image or an array -> (H, W, 3) uint8 RGB."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.media.files import checked_file
from pipeline.values import InputError

MIN_SIDE, MAX_PIXELS = 64, 64e6
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "TGA", "ICO")
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    struct.error,
    zlib.error,
    EOFError,
    OverflowError,
)


def read_image(path: str | Path) -> np.ndarray:
    """Returns a picture file as (H, W, 3) uint8 RGB, turned as its EXIF says, alpha on white."""
    source = checked_file(path, "picture")
    Image.init()
    try:
        with Image.open(source, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            _check_size(image.width, image.height, f"picture {path}")
            return _from_pillow(image, f"picture {path}")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"picture {path} has more than 64 megapixels; shrink it first") from error
    except _Refused:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"picture {path} is not a picture; give a PNG, JPEG, WebP, BMP, TIFF or GIF"
        ) from error
    except BROKEN as error:
        raise InputError(
            f"picture {path} is damaged ({error}); export it again as PNG or JPEG"
        ) from error


def is_picture(path: str | Path) -> bool:
    """Whether a file is a still picture; False for an animation, which is read as a video."""
    source = checked_file(path, "file")
    Image.init()
    try:
        with Image.open(source, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            return getattr(image, "n_frames", 1) == 1
    except (*BROKEN, UnidentifiedImageError, Image.DecompressionBombError):
        return False


def to_picture(image: str | Path | Image.Image | np.ndarray, name: str = "picture") -> np.ndarray:
    """Returns (H, W, 3) uint8 RGB from a path, Pillow image or array; errors call it `name`."""
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        _check_size(image.width, image.height, name)
        return _from_pillow(image, name)
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"{name} is a {type(image).__name__}; give a path, a Pillow image or a numpy array"
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise InputError(f"{name} has shape {image.shape}; give (H, W), (H, W, 3) or (H, W, 4)")
    _check_size(image.shape[1], image.shape[0], name)
    return _three_channels(_to_bytes(image, name))


class _Refused(ValueError):
    """A finished sentence, told apart from the ValueErrors that Pillow raises."""


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise _Refused(
            f"{name} is {width}x{height} pixels; give one of at least {MIN_SIDE} pixels a side"
        )
    if width * height > MAX_PIXELS:
        raise _Refused(
            f"{name} has {width * height / 1e6:.0f} megapixels; shrink it to at most 64 megapixels"
        )


def _from_pillow(image: Image.Image, name: str) -> np.ndarray:
    """Returns (H, W, 3) uint8. Deep modes go through numpy: Pillow's conversion clips some to 255."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _three_channels(_to_bytes(np.asarray(image), name))
    return _three_channels(
        np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    )


def _to_bytes(values: np.ndarray, name: str) -> np.ndarray:
    """Returns uint8 from 8 or 16 bit integers or fractions 0 to 1."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        if not (np.isfinite(low) and np.isfinite(high)) or low < -1e-3 or high > 1 + 1e-3:
            raise _Refused(
                f"{name} holds numbers from {low:g} to {high:g}; give bytes or fractions from 0 to 1"
            )
        return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if values.dtype.kind not in "iu" or low < 0 or high > 65535:
        raise _Refused(
            f"{name} holds {values.dtype} from {low} to {high}; give 8 or 16 bits a channel"
        )
    deep = values.dtype.itemsize == 2 or high > 255
    return ((values.astype(np.uint32) * 255 + 32767) // 65535 if deep else values).astype(np.uint8)


def _three_channels(pixels: np.ndarray) -> np.ndarray:
    """Returns (H, W, 3) from grey, RGB or RGBA bytes.

    Alpha goes on white, or on the picture's own colour: the one that all fully transparent pixels share, if
    it is not black, which encoders leave there by themselves. A picture that is transparent everywhere has a
    broken alpha channel and keeps its colours.
    """
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels)
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    hidden = colour[alpha[..., 0] == 0]
    if len(hidden) == alpha.size and hidden.any():
        return np.ascontiguousarray(colour)
    own = len(hidden) > 0 and bool((hidden == hidden[0]).all()) and bool(hidden[0].any())
    ground = hidden[0].astype(np.uint16) if own else np.uint16(255)
    alpha = alpha.astype(np.uint16)
    return ((colour * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)
