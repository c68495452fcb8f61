"""The sound of a video that is written: copied packets of the user's file, or encoded samples.

Sound goes in as the frames come, so that a run that breaks off leaves both equally long.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import numpy as np

from pipeline.media.audio import lead_seconds
from pipeline.media.containers import Container
from pipeline.media.files import decoded, opened, packets_of
from pipeline.media.sound_track import SoundTrack, channel_blocks
from pipeline.values import Audio

# A block lasts 21 ms: players that play the last one whole stay within one frame of the picture.
BLOCK_SAMPLES = 1024
USUAL_HZ = 48000
ENDLESS_SECONDS = Fraction(10**6)
# Rates that the encoders take as they are
RATES_HZ = {
    "aac": (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000),
    "libopus": (48000,),
}
BITS_PER_SECOND = 96_000  # of each channel
LOUDEST = 8.0  # times full scale: encoders refuse what a damaged file of fractions holds beyond
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


class SoundWriter(Protocol):
    """What writes the sound of a video."""

    def write_until(self, seconds: Fraction, is_end: bool) -> None:
        """Write the sound up to the end of the frames; at the end, what is left of it."""


class CopiedSound:
    """Writes the packets of a track as they are."""

    def __init__(
        self, out: av.container.OutputContainer, track: SoundTrack, stack: contextlib.ExitStack
    ) -> None:
        source = stack.enter_context(opened(track.path, "audio file"))
        stream = source.streams[track.index]
        lead = lead_seconds(source, stream)
        self._out = out
        self._stream = out.add_stream_from_template(stream)
        self._packets = packets_of(source, stream)
        first_ticks = stream.start_time or 0
        self._shift_ticks = round(lead / stream.time_base) - first_ticks
        self._next: av.Packet | None = None

    def write_until(self, seconds: Fraction, is_end: bool) -> None:
        """Write the packets that begin before the end of the frames."""
        while True:
            packet = self._next or self._following()
            self._next = packet
            if packet is None or packet.pts * packet.time_base >= seconds:
                return
            self._next = None
            packet.stream = self._stream
            self._out.mux(packet)

    def _following(self) -> av.Packet | None:
        """Return the next packet that does not end before the first frame."""
        for packet in self._packets:
            if packet.pts is None:
                continue
            packet.pts += self._shift_ticks
            packet.dts = packet.pts
            if packet.pts + (packet.duration or 0) > 0 or self._shift_ticks >= 0:
                return packet
        return None


class EncodedSound:
    """Encodes samples; silence fills up where they end before the frames.

    Args:
        out: the video; its stream of sound is `stream`.
        encoder: FFmpeg's name of the encoder.
        blocks: (channels, n) samples.
        rate: of the samples, in Hz.
        channels: how many there are.
        send: takes the packets.
    """

    def __init__(
        self,
        out: av.container.OutputContainer,
        encoder: str,
        blocks: Iterator[np.ndarray],
        rate: int,
        channels: int,
        send: Callable[[list[av.Packet]], None],
    ) -> None:
        self._send = send
        self._blocks = blocks
        self._rate = rate
        self._layout = LAYOUTS[channels]
        self._waiting = np.zeros((channels, 0), np.float32)
        self._sent_samples = 0
        self.stream = out.add_stream(encoder, rate=rate, layout=self._layout)
        codec = self.stream.codec_context
        codec.bit_rate = BITS_PER_SECOND * channels
        codec.flags |= av.codec.context.Flags.bitexact

    def write_until(self, seconds: Fraction, is_end: bool) -> None:
        """Encode whole blocks up to the end of the frames; at the end, the last samples, too."""
        until = round(seconds * self._rate)
        if not is_end:
            until = until // BLOCK_SAMPLES * BLOCK_SAMPLES
        while self._sent_samples < until:
            count = min(BLOCK_SAMPLES, until - self._sent_samples)
            self._encode(self._take(count))
        if is_end:
            self._send(self.stream.encode(None))

    def _take(self, count: int) -> np.ndarray:
        """Return (channels, count) the next samples; silence after the last one."""
        while self._waiting.shape[1] < count:
            block = next(self._blocks, None)
            if block is None:
                missing = count - self._waiting.shape[1]
                self._waiting = np.pad(self._waiting, ((0, 0), (0, missing)))
                break
            self._waiting = np.concatenate([self._waiting, block], axis=1)
        taken = self._waiting[:, :count]
        self._waiting = self._waiting[:, count:]
        return taken

    def _encode(self, samples: np.ndarray) -> None:
        block = np.ascontiguousarray(samples, np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=self._layout)
        frame.rate = self._rate
        frame.pts = self._sent_samples
        frame.time_base = Fraction(1, self._rate)
        self._sent_samples += samples.shape[1]
        self._send(self.stream.encode(frame))


def open_sound(
    out: av.container.OutputContainer,
    container: Container,
    sound: Audio | SoundTrack,
    stack: contextlib.ExitStack,
) -> SoundWriter:
    """Add the sound's stream to a video.

    Args:
        out: the video.
        container: what kind it is.
        sound: samples, or a track of the user's file, which is kept as it is where it can be.
        stack: closes the user's file.
    """
    if isinstance(sound, SoundTrack) and _can_copy(container, sound):
        return CopiedSound(out, sound, stack)
    return encode_sound(out, container.sound, sound, stack, out.mux)


def encode_sound(
    out: av.container.OutputContainer,
    encoder: str,
    sound: Audio | SoundTrack,
    stack: contextlib.ExitStack,
    send: Callable[[list[av.Packet]], None],
) -> EncodedSound:
    """Add a stream of encoded sound to a video; `send` takes its packets, `stack` closes files."""
    if isinstance(sound, Audio):
        rate = _encoder_rate(encoder, USUAL_HZ)
        return EncodedSound(out, encoder, _mono_blocks(sound, rate), rate, 1, send)
    facts = _sound_facts(sound)
    rate = _encoder_rate(encoder, facts.rate)
    channels = facts.channels if facts.channels in LAYOUTS else 2
    blocks = stack.enter_context(contextlib.closing(_track_blocks(sound, rate, channels)))
    return EncodedSound(out, encoder, blocks, rate, channels, send)


@dataclass(frozen=True)
class SoundFacts:
    """What a file says about a track: its codec, its rate in Hz and its number of channels."""

    codec: str
    rate: int
    channels: int


def _sound_facts(track: SoundTrack) -> SoundFacts:
    """Read what a file says about a track."""
    with opened(track.path, "audio file") as source:
        codec = source.streams[track.index].codec_context
        name = codec.codec.canonical_name  # not that of one of its decoders
        return SoundFacts(name, codec.sample_rate, codec.channels)


def _can_copy(container: Container, track: SoundTrack) -> bool:
    """Say whether the packets fit into the container: a damaged file's may not."""
    if _sound_facts(track).codec not in container.copied:
        return False
    with contextlib.ExitStack() as stack:
        try:
            trial = stack.enter_context(av.open(_Nowhere(), "w", format=container.format))
            copy = CopiedSound(trial, track, stack)
            copy.write_until(ENDLESS_SECONDS, is_end=True)
        except (av.error.FFmpegError, ValueError):
            return False
    return True


class _Nowhere(io.RawIOBase):
    """A file that forgets what is written."""

    def __init__(self) -> None:
        self._place = 0
        self._end = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        count = len(memoryview(data))
        self._place += count
        self._end = max(self._end, self._place)
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._end}
        self._place = starts[whence] + offset
        return self._place

    def tell(self) -> int:
        return self._place


def _encoder_rate(encoder: str, rate: int) -> int:
    """Return the rate in Hz if the encoder takes it, else the usual one."""
    return rate if rate in RATES_HZ[encoder] else USUAL_HZ


def _mono_blocks(audio: Audio, rate: int) -> Iterator[np.ndarray]:
    """Yield (1, n) samples at `rate`."""
    if audio.rate == rate:
        yield np.asarray(audio.samples, np.float32)[None]
        return
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    samples = np.ascontiguousarray(audio.samples[None], np.float32)
    frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
    frame.rate = audio.rate
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        yield part.to_ndarray()


def _track_blocks(track: SoundTrack, rate: int, channels: int) -> Iterator[np.ndarray]:
    """Yield (channels, n) samples of a track at `rate` from the first picture's moment on."""
    with opened(track.path, "audio file") as source:
        stream = source.streams[track.index]
        shift = round(lead_seconds(source, stream) * rate)
        if shift > 0:
            yield np.zeros((channels, shift), np.float32)
        dropped = max(0, -shift)
        for block in channel_blocks(decoded(source, stream, track.path), rate, track.path):
            block = np.nan_to_num(_with_channels(block, channels))
            block = np.clip(block, -LOUDEST, LOUDEST)
            yield block[:, dropped:]
            dropped = max(0, dropped - block.shape[1])


def _with_channels(block: np.ndarray, channels: int) -> np.ndarray:
    """Return (channels, n); another number of channels than was stated becomes their mean."""
    if len(block) == channels:
        return block
    mean = block.mean(axis=0, keepdims=True)
    return np.repeat(mean, channels, axis=0)
