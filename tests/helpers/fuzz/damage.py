"""Damage to the bytes of a file: each function takes a random generator and bytes."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable

import numpy as np

Damage = Callable[[np.random.Generator, bytes], bytes]

HEADER_BYTES = 256
MAX_FLIPS = 64
EXTREMES = (
    b"\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\xff\xff\xff\x7f\xff\xff\xff\x7f",
    b"\x01\x00\x00\x00\x00\x00\x00\x00",
    b"\x00\x00\x00\x01\x00\x00\x00\x01",
    b"\x00\x00\xea\x60\x00\x00\xea\x60",  # 60000
    b"\x60\xea\x00\x00\x60\xea\x00\x00",
)
TAG = re.compile(rb"[A-Za-z ]{4}")
AFTER_TAG_BYTES = 40  # fields of an atom or a chunk begin right behind its name
PNG_START = b"\x89PNG\r\n\x1a\n"


def flipped_bits(rng: np.random.Generator, data: bytes) -> bytes:
    """Flip up to 64 bits anywhere."""
    return _flipped(rng, data, len(data))


def flipped_header(rng: np.random.Generator, data: bytes) -> bytes:
    """Flip up to 64 bits of the first bytes."""
    return _flipped(rng, data, min(len(data), HEADER_BYTES))


def _flipped(rng: np.random.Generator, data: bytes, end: int) -> bytes:
    damaged = bytearray(data)
    count = int(2 ** rng.uniform(0, np.log2(MAX_FLIPS)))
    for place in rng.integers(0, end, count):
        damaged[place] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def extreme_header(rng: np.random.Generator, data: bytes) -> bytes:
    """Put an extreme number of 1 to 8 bytes into the first bytes."""
    return _with_extreme(rng, data, int(rng.integers(0, min(len(data), HEADER_BYTES))))


def extreme_field(rng: np.random.Generator, data: bytes) -> bytes:
    """Put an extreme number behind a word of four letters, where atoms and chunks have fields."""
    tags = [match.end() for match in TAG.finditer(data)]
    if not tags:
        return extreme_header(rng, data)
    place = int(rng.choice(tags)) + int(rng.integers(0, AFTER_TAG_BYTES))
    return _with_extreme(rng, data, min(place, len(data) - 1))


def _with_extreme(rng: np.random.Generator, data: bytes, place: int) -> bytes:
    number = EXTREMES[rng.integers(len(EXTREMES))]
    width = int(rng.choice([1, 2, 4, 8]))
    return data[:place] + number[:width] + data[place + width :]


def cut_off(rng: np.random.Generator, data: bytes) -> bytes:
    """Keep the first part, from nothing to all but a byte."""
    if rng.random() < 0.3:
        return data[: int(rng.integers(0, min(len(data), HEADER_BYTES)))]
    return data[: int(rng.integers(0, len(data)))]


def beheaded(rng: np.random.Generator, data: bytes) -> bytes:
    """Leave out the first bytes."""
    return data[int(rng.integers(1, len(data))) :]


def zeroed_block(rng: np.random.Generator, data: bytes) -> bytes:
    """Fill a block with zeros."""
    start, stop = _block(rng, data)
    return data[:start] + bytes(stop - start) + data[stop:]


def noisy_block(rng: np.random.Generator, data: bytes) -> bytes:
    """Fill a block with random bytes."""
    start, stop = _block(rng, data)
    return data[:start] + rng.bytes(stop - start) + data[stop:]


def missing_block(rng: np.random.Generator, data: bytes) -> bytes:
    """Leave a block out."""
    start, stop = _block(rng, data)
    return data[:start] + data[stop:]


def doubled_block(rng: np.random.Generator, data: bytes) -> bytes:
    """Write a block twice."""
    start, stop = _block(rng, data)
    return data[:stop] + data[start:]


def swapped_blocks(rng: np.random.Generator, data: bytes) -> bytes:
    """Swap two neighboring blocks."""
    start, middle, stop = sorted(rng.integers(0, len(data) + 1, 3).tolist())
    return data[:start] + data[middle:stop] + data[start:middle] + data[stop:]


def trailing_garbage(rng: np.random.Generator, data: bytes) -> bytes:
    """Append random bytes."""
    return data + rng.bytes(int(rng.integers(1, 4096)))


def _block(rng: np.random.Generator, data: bytes) -> tuple[int, int]:
    """Return the first and the last place of a block, short ones more often than long ones."""
    length = int(2 ** rng.uniform(0, np.log2(len(data))))
    start = int(rng.integers(0, len(data) - length + 1))
    return start, start + length


def damaged_chunk(rng: np.random.Generator, data: bytes) -> bytes:
    """Damage one chunk of a PNG and make its checksum right again; other files get flipped bits."""
    if not data.startswith(PNG_START):
        return flipped_bits(rng, data)
    chunks = png_chunks(data)
    chosen = int(rng.integers(len(chunks)))
    name, content = chunks[chosen]
    if content:
        ways = (flipped_bits, cut_off, zeroed_block, doubled_block, extreme_header)
        content = ways[rng.integers(len(ways))](rng, content)
    chunks[chosen] = (name, content)
    return join_png(chunks)


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return name and content of each chunk of a PNG."""
    chunks = []
    place = len(PNG_START)
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        name = data[place + 4 : place + 8]
        chunks.append((name, data[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def join_png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Return the PNG of chunks, with right lengths and checksums."""
    parts = [PNG_START]
    for name, content in chunks:
        checksum = zlib.crc32(name + content)
        parts += [struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum)]
    return b"".join(parts)


DAMAGES: tuple[Damage, ...] = (
    flipped_bits,
    flipped_header,
    extreme_header,
    extreme_field,
    extreme_field,  # twice: it reaches the most code
    cut_off,
    beheaded,
    zeroed_block,
    noisy_block,
    missing_block,
    doubled_block,
    swapped_blocks,
    trailing_garbage,
    damaged_chunk,
)
