"""Small files that claim absurd things: huge pictures, endless sounds, impossible clips."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.fuzz.damage import join_png, png_chunks
from tests.helpers.fuzz.originals import Originals

HUGE_PX = 60000
ALLOWED_PX = 7900  # the largest square under 64 megapixels, nearly
Bomb = Callable[[Originals], bytes]


# ---- pictures


def _png(width: int, height: int, content: bytes, depth: int = 8, color: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return join_png([(b"IHDR", header), (b"IDAT", zlib.compress(content)), (b"IEND", b"")])


def _with_png_chunk(originals: Originals, name: bytes, content: bytes) -> bytes:
    chunks = png_chunks(originals.named("plain.png").read_bytes())
    return join_png([chunks[0], (name, content), *chunks[1:]])


def _resized_jpeg(originals: Originals, height: int, width: int) -> bytes:
    """Return the photograph with another size in its header."""
    data = originals.named("photo.jpg").read_bytes()
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def _animated_webp(width: int, height: int) -> bytes:
    """Return an animated WebP of a canvas with one frame and no picture in it."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides
    loop = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    frame = b"ANMF" + struct.pack("<I", 16) + bytes(6) + sides + b"\x28\0\0\0"
    body = b"WEBP" + canvas + loop + frame + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _huge_gif(frames: int, delay: int, screen: int, picture: int) -> bytes:
    """Return a GIF of frames of one color on a screen, `delay` hundredths of a second each."""
    head = b"GIF89a" + struct.pack("<HHBBB", screen, screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    timing = b"\x21\xf9\x04\x00" + struct.pack("<H", delay) + b"\0\0"
    one = timing + b"\x2c" + struct.pack("<HHHHB", 0, 0, picture, picture, 0)
    one += b"\x02\x02\x44\x01\x00"  # a clear code, one pixel, the end
    return head + one * frames + b"\x3b"


def _saved(kind: str, size: tuple[int, int], mode: str = "L") -> bytes:
    """Return a plain picture of (width, height)."""
    file = io.BytesIO()
    options = {"compression": "tiff_deflate"} if kind == "TIFF" else {}
    Image.new(mode, size, 128).save(file, kind, **options)
    return file.getvalue()


def _bmp(width: int, height: int, bits: int = 24) -> bytes:
    head = b"BM" + struct.pack("<IHHI", 154, 0, 0, 54)
    return (
        head
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
        + bytes(100)
    )


PICTURE_BOMBS: dict[str, Bomb] = {
    "huge.png": lambda _: _png(HUGE_PX, HUGE_PX, bytes(1000)),
    "largest.png": lambda _: _png(2**31 - 1, 2**31 - 1, b""),
    "empty.png": lambda _: _png(0, 0, b""),
    "line.png": lambda _: _png(64, 900000, bytes(1000)),
    "allowed.png": lambda _: _png(ALLOWED_PX, ALLOWED_PX, bytes(1000), 8, 0),
    "allowed_clear.png": lambda _: _saved("PNG", (ALLOWED_PX, ALLOWED_PX), "RGBA"),
    "allowed_deep.png": lambda _: _saved("PNG", (ALLOWED_PX, ALLOWED_PX), "I;16"),
    "allowed_plain.tiff": lambda _: _saved("TIFF", (ALLOWED_PX, ALLOWED_PX)),
    "float.tiff": lambda _: _saved("TIFF", (128, 128), "F"),
    "odd_depth.png": lambda _: _png(128, 128, bytes(1000), 3, 6),
    "text_bomb.png": lambda o: _with_png_chunk(
        o, b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000))
    ),
    "profile_bomb.png": lambda o: _with_png_chunk(
        o, b"iCCP", b"icc\0\0" + zlib.compress(bytes(200_000_000))
    ),
    "not_finite.png": lambda o: _with_png_chunk(o, b"gAMA", b"\0\0\0\0"),
    "animation_claim.png": lambda o: _with_png_chunk(o, b"acTL", struct.pack(">II", 10**9, 0)),
    "huge.jpg": lambda o: _resized_jpeg(o, 65000, 65000),
    "flat.jpg": lambda o: _resized_jpeg(o, 0, 128),
    "tall.jpg": lambda o: _resized_jpeg(o, 7900, 7900),
    "canvas.webp": lambda _: _animated_webp(16384, 16384),
    "screen.gif": lambda _: _huge_gif(1, 4, 65535, 65535),
    "huge.bmp": lambda _: _bmp(HUGE_PX, HUGE_PX),
    "upside_down.bmp": lambda _: _bmp(128, -128),
    "negative.bmp": lambda _: _bmp(-128, 128),
    "huge.ppm": lambda _: b"P6 60000 60000 255\n" + bytes(1000),
    "claim.ppm": lambda _: b"P6 " + b"9" * 5000 + b" 128 255\n",
    "plain.ppm": lambda _: b"P3 128 128 255\n" + b"1 " * 1000,
    "shallow.ppm": lambda _: b"P6 128 128 0\n" + bytes(50000),
    "tiny.png": lambda _: _saved("PNG", (1, 1)),
    "wide.png": lambda _: _saved("PNG", (64000, 64)),
    "tall.png": lambda _: _saved("PNG", (64, 64000)),
    "white.png": lambda _: _saved("PNG", (128, 128)),
}


# ---- sounds


def _wav(
    samples: bytes,
    rate: int = 16000,
    channels: int = 1,
    bits: int = 16,
    kind: int = 1,
    claim: int | None = None,
) -> bytes:
    """Return a WAV file.

    Args:
        samples: its data.
        rate, channels, bits, kind: what its header says.
        claim: how many bytes of data it says; None = as many as there are.
    """
    claim = len(samples) if claim is None else claim
    block = channels * bits // 8 & 0xFFFF
    per_second = rate * block & 0xFFFFFFFF
    head = struct.pack("<HHIIHH", kind, channels, rate, per_second, block, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", claim) + samples
    return b"RIFF" + struct.pack("<I", len(body) & 0xFFFFFFFF) + body


def _floats(values: np.ndarray) -> bytes:
    return _wav(values.astype("<f4").tobytes(), bits=32, kind=3)


def _buzz(count: int = 8000) -> np.ndarray:
    return np.sin(np.arange(count) / 9)


def _pcm(count: int = 8000) -> bytes:
    return (8000 * _buzz(count)).astype("<i2").tobytes()


def _speckled(value: float) -> bytes:
    """Return a WAV of fractions in which every hundredth sample is `value`."""
    samples = _buzz()
    samples[::100] = value
    return _floats(samples)


SOUND_BOMBS: dict[str, Bomb] = {
    "hours.wav": lambda _: _wav(_pcm(), claim=2**31),
    "endless.wav": lambda _: _wav(_pcm(), claim=2**32 - 1),
    "slow.wav": lambda _: _wav(_pcm(), rate=1),
    "slower.wav": lambda _: _wav(_pcm(40), rate=1, bits=8),
    "frozen.wav": lambda _: _wav(_pcm(), rate=0),
    "fast.wav": lambda _: _wav(_pcm(), rate=2**31 - 1),
    "fastest.wav": lambda _: _wav(_pcm(), rate=2**32 - 1),
    "megahertz.wav": lambda _: _wav(_pcm(400000), rate=768000),
    "odd_rate.wav": lambda _: _wav(_pcm(), rate=15999),
    "no_channel.wav": lambda _: _wav(_pcm(), channels=0),
    "crowd.wav": lambda _: _wav(_pcm(), channels=65535),
    "choir.wav": lambda _: _wav(_pcm(64000), channels=64),
    "no_bits.wav": lambda _: _wav(_pcm(), bits=0),
    "many_bits.wav": lambda _: _wav(_pcm(), bits=65535),
    "unknown.wav": lambda _: _wav(_pcm(), kind=0x1234),
    "no_data.wav": lambda _: _wav(b""),
    "one_sample.wav": lambda _: _wav(_pcm(1)),
    "nan.wav": lambda _: _speckled(np.nan),
    "inf.wav": lambda _: _speckled(np.inf),
    "loud.wav": lambda _: _speckled(3e38),
    "quiet.wav": lambda _: _floats(1e-38 * _buzz()),
    "silence.wav": lambda _: _floats(np.zeros(8000)),
    "constant.wav": lambda _: _floats(np.ones(8000)),
    "long.wav": lambda _: _wav(bytes(1000 * 700), rate=1000, bits=8),
}


# ---- videos


def _with_field(originals: Originals, name: str, atom: bytes, offset: int, value: bytes) -> bytes:
    """Return an original with other bytes behind the last atom of a name."""
    data = originals.named(name).read_bytes()
    place = data.rindex(atom) + 4 + offset
    return data[:place] + value + data[place + len(value) :]


def _mp4(atom: bytes, offset: int, value: bytes) -> Bomb:
    return lambda originals: _with_field(originals, "turned.mp4", atom, offset, value)


def _replaced(name: str, old: bytes, new: bytes) -> Bomb:
    return lambda originals: originals.named(name).read_bytes().replace(old, new)


VIDEO_BOMBS: dict[str, Bomb] = {
    "billion_frames.mp4": _mp4(b"stsz", 8, struct.pack(">I", 10**9)),
    "billion_times.mp4": _mp4(b"stts", 4, struct.pack(">II", 1, 10**9)),
    "slow_frames.mp4": _mp4(b"stts", 12, struct.pack(">I", 2**31 - 1)),
    "still_frames.mp4": _mp4(b"stts", 12, struct.pack(">I", 0)),
    "no_clock.mp4": _mp4(b"mdhd", 12, bytes(4)),
    "fast_clock.mp4": _mp4(b"mdhd", 12, b"\x7f\xff\xff\xff"),
    "slow_clock.mp4": _mp4(b"mdhd", 12, struct.pack(">I", 1)),
    "long_track.mp4": _mp4(b"mdhd", 16, b"\x7f\xff\xff\xff"),
    "long_movie.mp4": _mp4(b"mvhd", 16, b"\x7f\xff\xff\xff"),
    "huge.mp4": _mp4(b"avc1", 24, struct.pack(">HH", 60000, 60000)),
    "no_side.mp4": _mp4(b"avc1", 24, bytes(4)),
    "wide_pixels.mp4": _mp4(b"pasp", 0, struct.pack(">II", 2**31 - 1, 1)),
    "tall_pixels.mp4": _mp4(b"pasp", 0, struct.pack(">II", 1, 2**31 - 1)),
    "no_pixels.mp4": _mp4(b"pasp", 0, bytes(8)),
    "late_edit.mp4": _mp4(b"elst", 12, b"\x7f\xff\xff\xff"),
    "turned_by_noise.mp4": _mp4(b"tkhd", 40, bytes(range(36))),
    "no_matrix.mp4": _mp4(b"tkhd", 40, bytes(36)),
    "huge.y4m": _replaced("clip.y4m", b"W128 H128", b"W60000 H60000"),
    "no_rate.y4m": _replaced("clip.y4m", b"F25:1", b"F0:0"),
    "slow.y4m": _replaced("clip.y4m", b"F25:1", b"F1:100"),
    "fast.y4m": _replaced("clip.y4m", b"F25:1", b"F999999999:1"),
    "many_frames.gif": lambda _: _huge_gif(40000, 4, 128, 128),
    "hours.gif": lambda _: _huge_gif(100, 65535, 128, 128),
    "long.gif": lambda _: _huge_gif(2, 30000, 128, 128),
    "screen.gif": lambda _: _huge_gif(3, 4, 65535, 128),
    "large.gif": lambda _: _huge_gif(12, 4, ALLOWED_PX, 128),
    "canvas.webp": lambda _: _animated_webp(16384, 16384),
    "playlist.m3u8": lambda _: b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n/etc/passwd\n",
    "script.mp4": lambda _: b"ffconcat version 1.0\nfile '/etc/passwd'\n",
}


# ---- other kinds


def _zip(originals: Originals) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photo.jpg", originals.named("photo.jpg").read_bytes())
    return file.getvalue()


OTHERS: dict[str, Bomb] = {
    "empty": lambda _: b"",
    "letter": lambda _: b"Dear user,\nthis is no picture.\n",
    "page": lambda _: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "drawing": lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9"/></svg>',
    "document": lambda _: b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n",
    "script": lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "archive": _zip,
    "zeros": lambda _: bytes(100_000),
    "noise": lambda _: np.random.default_rng(0).bytes(100_000),
    "number": lambda _: b"42",
    "letters": lambda _: "\ufeffSprache \u00e4\u00f6\u00fc".encode("utf-16"),
}


def write_bomb(bombs: dict[str, Bomb], name: str, originals: Originals, folder: Path) -> Path:
    """Write one of the files into a folder."""
    path = folder / name
    path.write_bytes(bombs[name](originals))
    return path
