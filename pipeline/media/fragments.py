"""Fragments of an MP4: pieces that are appended, so that a file that breaks off plays up to there.

The boxes are those of ISO/IEC 14496-12, 8.8. FFmpeg writes a fragment only when the next one
begins; these are whole when they are returned.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

# Flags of the boxes
OFFSETS_FROM_MOOF = 0x020000
RUN_HAS_OFFSET = 0x1
RUN_HAS_DURATIONS = 0x100
RUN_HAS_SIZES = 0x200
RUN_HAS_FLAGS = 0x400
RUN_HAS_SHIFTS = 0x800
RUN = RUN_HAS_OFFSET | RUN_HAS_DURATIONS | RUN_HAS_SIZES | RUN_HAS_FLAGS | RUN_HAS_SHIFTS
# Flags of a sample: what depends on no other sample; what does, and is no place to seek to
KEY_SAMPLE = 0x02000000
OTHER_SAMPLE = 0x01010000
BOX_HEADER_BYTES = 8


@dataclass(frozen=True)
class Sample:
    """One encoded picture or block of sound.

    Attributes:
        content: its bytes.
        ticks: how long it lasts, in ticks of its track.
        shift_ticks: how much later than decoded it is shown; may be negative.
        is_key: whether it depends on no other sample.
    """

    content: bytes
    ticks: int
    shift_ticks: int = 0
    is_key: bool = True


@dataclass(frozen=True)
class Run:
    """Samples that follow each other in one track.

    Attributes:
        track: the track's number.
        start_ticks: when the first sample is decoded.
        samples: in the order in which they are decoded.
    """

    track: int
    start_ticks: int
    samples: Sequence[Sample]

    @property
    def content(self) -> bytes:
        """The bytes of all samples."""
        return b"".join(sample.content for sample in self.samples)


def fragment(number: int, runs: Sequence[Run]) -> bytes:
    """Return fragment `number`, counted from 1: the samples of some tracks with their index."""
    index_bytes = len(_index(number, runs, 0))
    index = _index(number, runs, index_bytes + BOX_HEADER_BYTES)
    content = [run.content for run in runs]
    return index + _box(b"mdat", *content)


def skipped(content: bytes) -> bytes:
    """Return a fragment as one box that players skip; only its first bytes differ.

    A fragment whose index breaks off makes the whole file unreadable.
    """
    header = struct.pack(">I", len(content)) + b"free"
    return header + content[BOX_HEADER_BYTES:]


def _index(number: int, runs: Sequence[Run], content_offset: int) -> bytes:
    """Return the `moof` box of a fragment whose samples begin at an offset from that box."""
    tracks = []
    for run in runs:
        tracks.append(_track(run, content_offset))
        content_offset += len(run.content)
    sequence = struct.pack(">I", number)
    header = _full_box(b"mfhd", 0, 0, sequence)
    return _box(b"moof", header, *tracks)


def _track(run: Run, content_offset: int) -> bytes:
    """Return the `traf` box: where a run's samples are, and when they are shown."""
    track = struct.pack(">I", run.track)
    start = struct.pack(">Q", run.start_ticks)
    rows = [struct.pack(">Ii", len(run.samples), content_offset)]
    for sample in run.samples:
        rows.append(_row(sample))
    return _box(
        b"traf",
        _full_box(b"tfhd", 0, OFFSETS_FROM_MOOF, track),
        _full_box(b"tfdt", 1, 0, start),
        _full_box(b"trun", 1, RUN, *rows),
    )


def _row(sample: Sample) -> bytes:
    """Return what the index says about a sample."""
    return struct.pack(
        ">IIIi",
        sample.ticks,
        len(sample.content),
        KEY_SAMPLE if sample.is_key else OTHER_SAMPLE,
        sample.shift_ticks,
    )


def _full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Return a box with a version and flags."""
    word = version << 24 | flags
    return _box(kind, struct.pack(">I", word), *parts)


def _box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box: its size, its kind, its content."""
    content = b"".join(parts)
    size = BOX_HEADER_BYTES + len(content)
    return struct.pack(">I", size) + kind + content
