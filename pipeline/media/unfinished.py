"""The file in which a video grows: whatever happens to the program, it plays what is finished.

It is a fragmented MP4. Every segment is one fragment, which begins with a picture that needs no
other: a fresh encoder makes each. So a run that goes on writes the same bytes as one that was not
interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipeline.media.containers import AAC, H264, MP4
from pipeline.media.fragments import BOX_HEADER_BYTES, Run, Sample, fragment, skipped
from pipeline.media.picture_encoder import LOSSLESS_H264, PictureEncoder
from pipeline.media.safe_files import (
    is_free,
    is_in_use,
    is_own_file,
    write_all,
    write_durably,
)
from pipeline.media.settings import COMMENT_KEY, read_settings, to_comment
from pipeline.media.sound_track import SoundTrack
from pipeline.media.sound_writer import EncodedSound, encode_sound
from pipeline.values import Audio, InputError

MARK = "unfinished"  # in the settings that the file keeps
ANOTHER_RUN = "is being written by another run; wait for it, or give another output"
PICTURE_TRACK = 1
SOUND_TRACK = 2
SIZE_BYTES = 4  # of the number that says how long a unit of H.264 is
HASHED_BYTES = 1 << 20  # at a time
# what separates the units of H.264 as encoders write it
START_CODE = re.compile(rb"\x00*\x00\x00\x01")


@dataclass(frozen=True)
class Extent:
    """How far an output is finished.

    Attributes:
        frames: how many are finished.
        fragments: how many the unfinished file holds.
        size_bytes: of that file.
        sha256: of those bytes, in hexadecimal.
    """

    frames: int = 0
    fragments: int = 0
    size_bytes: int = 0
    sha256: str = ""

    def to_dict(self) -> dict[str, int | str]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, int | str]) -> Extent:
        """Make an extent from what `to_dict` returned; raise ValueError where it makes no sense."""
        kinds = {"frames": int, "fragments": int, "size_bytes": int, "sha256": str}
        for place in fields(cls):
            value = values.get(place.name)
            if type(value) is not kinds[place.name] or (isinstance(value, int) and value < 0):
                raise ValueError(f"{place.name} is {value!r}")
        return cls(**{name: values[name] for name in kinds})  # type: ignore[arg-type]


class UnfinishedVideo:
    """Grows by whole fragments; appears with the first one.

    Args:
        path: of the growing file.
        output: the output that it belongs to.
        encoder: of the pictures.
        sound: what is heard; encoded here, whatever the output will hold.
        settings: plain JSON values to keep in the file.
    """

    def __init__(
        self,
        path: Path,
        output: Path,
        encoder: PictureEncoder,
        sound: Audio | SoundTrack | None,
        settings: Mapping[str, object],
    ) -> None:
        self.path = path
        self.extent = Extent()
        self._output = output
        self._encoder = encoder
        self._file: io.FileIO | None = None
        self._digest = hashlib.sha256()
        self._stack = contextlib.ExitStack()
        self._packets: list[av.Packet] = []
        self._sound: EncodedSound | None = None
        header = io.BytesIO()
        options = {"movflags": "empty_moov+default_base_moof", "fflags": "+bitexact"}
        self._out = self._stack.enter_context(
            av.open(header, "w", format=MP4.format, options=options)
        )
        self._out.metadata[COMMENT_KEY] = to_comment({**settings, MARK: True})
        picture = encoder.add_to(self._out)
        if sound is not None:
            send: Callable[[list[av.Packet]], None] = self._packets.extend
            self._sound = encode_sound(self._out, AAC, sound, self._stack, send)
        self._out.start_encoding()
        self._header = header.getvalue()
        time_base = picture.time_base or 1 / encoder.rate
        self._frame_ticks = int(1 / encoder.rate / time_base)

    def check_place(self) -> None:
        """Raise InputError where a file is in the way that no killed run of this output left."""
        if not self.path.exists():
            return
        if not is_own_file(self.path) or not is_unfinished(self.path):
            raise InputError(f"{self.path} is in the way: no run of this output left it; move it")
        if is_in_use(self.path):
            raise InputError(f"output {self._output} {ANOTHER_RUN}")

    def go_on(self, extent: Extent) -> None:
        """Continue the file as it was at an extent; what came after is cut off."""
        if not self.path.is_file():
            raise InputError(
                f"{self.path}, which holds the finished frames, is missing; put it back, or start "
                "afresh without `resume`"
            )
        self._open()
        assert self._file is not None
        digest = hashlib.sha256()
        for block in _blocks(self._file, extent.size_bytes):
            digest.update(block)
        if digest.hexdigest() != extent.sha256:
            raise InputError(
                f"{self.path} is damaged or another file than this output's; put the right one "
                "back, or start afresh without `resume`"
            )
        self._digest = digest
        self.extent = extent
        self.trim()
        if self._sound is not None:
            self._sound.write_until(extent.frames / self._encoder.rate, is_end=False)
            self._packets.clear()  # they are in the file

    def append(self, frames: np.ndarray) -> None:
        """Add frames (t, H, W, 3) uint8 as one fragment; it is on the disk when this returns."""
        first = self.extent.frames
        last = first + len(frames)
        runs = [self._picture_run(frames)]
        if self._sound is not None:
            self._sound.write_until(last / self._encoder.rate, is_end=False)
            runs += self._sound_runs(self._sound)
        number = self.extent.fragments + 1
        content = fragment(number, runs)
        if self._file is None:
            content = self._header + content
            self.check_place()
            write_durably(self.path, content, self._output)
            self._open()
        else:
            self._add(self._file, content)
        self._digest.update(content)
        size_bytes = self.extent.size_bytes + len(content)
        self.extent = Extent(last, number, size_bytes, self._digest.hexdigest())

    def trim(self) -> None:
        """Cut off a fragment that was not written to its end."""
        if self._file is not None:
            self._file.truncate(self.extent.size_bytes)
            self._file.seek(self.extent.size_bytes)

    def close(self) -> None:
        """Close the file; it stays."""
        if self._file is not None:
            self._file.close()
            self._file = None
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            self._stack.close()

    def _add(self, file: io.FileIO, content: bytes) -> None:
        """Write a fragment as a box that players skip; let it count when it is on the disk."""
        write_all(file, skipped(content))
        os.fsync(file)
        file.seek(self.extent.size_bytes)
        write_all(file, content[:BOX_HEADER_BYTES])
        os.fsync(file)
        file.seek(0, os.SEEK_END)

    def _open(self) -> None:
        """Open the file to add to it, and take its lock."""
        handle = io.FileIO(self.path, "r+b")
        if not is_free(handle):
            handle.close()
            raise InputError(f"output {self._output} {ANOTHER_RUN}")
        handle.seek(0, os.SEEK_END)
        self._file = handle

    def _picture_run(self, frames: np.ndarray) -> Run:
        """Encode frames with a fresh encoder."""
        first = self.extent.frames
        codec = self._encoder.start()
        packets = []
        for number, frame in enumerate(frames, first):
            packets += codec.encode(self._encoder.picture(frame, number))
        packets += codec.encode(None)
        samples = []
        for number, packet in enumerate(packets, first):
            if packet.pts is None:
                raise ValueError("the encoder gave a picture without a time")
            # All is late by the frames that decoding is ahead, sound as well.
            late_frames = packet.pts - number + self._encoder.lead_frames
            samples.append(
                Sample(
                    content=self._unit(bytes(packet)),
                    ticks=self._frame_ticks,
                    shift_ticks=late_frames * self._frame_ticks,
                    is_key=packet.is_keyframe,
                )
            )
        return Run(PICTURE_TRACK, first * self._frame_ticks, samples)

    def _unit(self, content: bytes) -> bytes:
        """Return a picture as MP4 holds it: every unit of H.264 after its length."""
        if self._encoder.name not in (H264, LOSSLESS_H264):
            return content
        units = START_CODE.split(content)[1:]
        return b"".join(len(unit).to_bytes(SIZE_BYTES, "big") + unit for unit in units)

    def _sound_runs(self, sound: EncodedSound) -> list[Run]:
        """Return the waiting packets of sound as a run, leaving out what is before the picture."""
        time_base = sound.stream.time_base or Fraction(1)
        start_ticks = None
        samples = []
        for packet in self._packets:
            if packet.pts is None or packet.pts < 0:
                continue
            late_seconds = self._encoder.lead_frames / self._encoder.rate
            if start_ticks is None:
                start_ticks = round((packet.pts * packet.time_base + late_seconds) / time_base)
            ticks = round((packet.duration or 0) * packet.time_base / time_base)
            samples.append(Sample(bytes(packet), ticks))
        self._packets.clear()
        return [] if start_ticks is None else [Run(SOUND_TRACK, start_ticks, samples)]


def is_unfinished(path: Path) -> bool:
    """Say whether a file is one of these."""
    try:
        settings = read_settings(path)
    except InputError:
        return False
    return bool(settings and settings.get(MARK))


def _blocks(file: io.FileIO, size_bytes: int) -> Iterable[bytes]:
    """Yield the first bytes of a file."""
    file.seek(0)
    while size_bytes:
        block = file.read(min(HASHED_BYTES, size_bytes))
        if not block:
            return
        yield block
        size_bytes -= len(block)
