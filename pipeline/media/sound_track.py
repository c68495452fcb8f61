"""What is heard of a file: which of its sound tracks, and which channels of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from pipeline.media.files import can_decode, decoded, opened
from pipeline.motion.voice import voice_share
from pipeline.values import Audio, InputError

# Rates outside are a broken header: converting them takes minutes and gigabytes
LOWEST_HZ = 1000
HIGHEST_HZ = 768000
PROBE_HZ = 16000
PROBE_SECONDS = 120  # of each track that are listened to before one is chosen
LEAST_VOICE = 0.3  # share of moments with a voice, from which a track holds speech
SILENT_POWER = 1e-6  # -60 dBFS
# Power of the mean over the channels beside what unlike channels would give: less, and they cancel
CANCELS = 0.25


@dataclass(frozen=True)
class SoundTrack:
    """A track of a file.

    Attributes:
        path: the file.
        index: of the stream in the file.
        channel: the only channel that is heard; None = the mean over all.
        notes: sentences for the user on what was chosen.
    """

    path: str | Path
    index: int
    channel: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Probe:
    """A track's first minutes: its number, name, channel that is heard, power, share of voice."""

    number: int
    index: int
    name: str
    channel: int | None
    power: float
    voice: float
    is_best: bool

    @property
    def has_voice(self) -> bool:
        return self.voice >= LEAST_VOICE

    @property
    def is_silent(self) -> bool:
        return self.power < SILENT_POWER


def choose_track(path: str | Path) -> SoundTrack:
    """Return the track with speech; among several of them, the one that players would play."""
    with opened(path, "audio file") as container:
        streams = [stream for stream in container.streams.audio if can_decode(stream)]
        if not streams:
            problem = "sound of an unknown kind" if container.streams.audio else "no sound"
            raise InputError(
                f"audio file {path} has {problem} in it; give speech as WAV, MP3, FLAC, OGG or M4A"
            )
        best = container.streams.best("audio")
        if best not in streams:
            best = streams[0]
        if len(streams) == 1 and best.channels == 1:
            return SoundTrack(path, best.index)
        best_index = best.index
        names = [_name(stream) for stream in streams]
        indices = [stream.index for stream in streams]
    probes = [
        _probe(path, number, index, name, index == best_index)
        for number, (index, name) in enumerate(zip(indices, names, strict=True), start=1)
    ]
    chosen = max(probes, key=lambda probe: (probe.has_voice, not probe.is_silent, probe.is_best))
    return SoundTrack(path, chosen.index, chosen.channel, tuple(_notes(chosen, probes)))


def channel_blocks(
    frames: Iterator[av.AudioFrame], rate: int, path: str | Path
) -> Iterator[np.ndarray]:
    """Yield (channels, n) float32 at `rate`; a file may change its sample format on the way.

    Args:
        frames: of the track.
        rate: in Hz, of the result.
        path: the file, for errors.
    """
    try:
        yield from _converted(frames, rate, path)
    except av.error.FFmpegError as error:
        raise InputError(
            f"audio file {path} is damaged: its sound cannot be converted; "
            "export it again as 16-bit WAV"
        ) from error


def _converted(
    frames: Iterator[av.AudioFrame], rate: int, path: str | Path
) -> Iterator[np.ndarray]:
    """Yield (channels, n) float32 at `rate`."""
    resampler = None
    layout = None
    for frame in frames:
        frame_layout = (frame.format.name, frame.layout.name, frame.rate)
        if not LOWEST_HZ <= frame.rate <= HIGHEST_HZ:
            raise InputError(
                f"audio file {path} claims {frame.rate} samples a second, and {LOWEST_HZ} to "
                f"{HIGHEST_HZ} can be read; export it again as WAV at 48000"
            )
        if layout != frame_layout:
            if resampler is not None:
                yield from _resampled(resampler, None)
            layout = frame_layout
            # samples side by side: PyAV crashes on planes of more than 8 channels
            resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=rate)
        frame.pts = None  # gaps in the clock would make the resampler stretch the sound
        yield from _resampled(resampler, frame)
    if resampler is not None:
        yield from _resampled(resampler, None)


def mixed(block: np.ndarray, channel: int | None) -> np.ndarray:
    """Return (n,) what is heard of a block (channels, n).

    The mean over the channels is taken here: FFmpeg's own mix is 3 dB too loud.
    """
    if channel is None or channel >= len(block):
        return block.mean(axis=0)
    return block[channel]


def _resampled(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
    """Yield (channels, n) float32 of a frame, or of what the resampler still holds for None."""
    for part in resampler.resample(frame):
        samples = part.to_ndarray()
        yield samples.reshape(-1, part.layout.nb_channels).T


def _probe(path: str | Path, number: int, index: int, name: str, is_best: bool) -> _Probe:
    """Listen to the first minutes of a track."""
    with opened(path, "audio file") as container:
        stream = container.streams[index]
        blocks = _first_blocks(channel_blocks(decoded(container, stream, path), PROBE_HZ, path))
        sound = np.concatenate(blocks, axis=1) if blocks else np.zeros((1, 0), np.float32)
    sound = np.nan_to_num(sound, posinf=0, neginf=0)
    channel = _heard_channel(sound)
    heard = mixed(sound, channel)
    power = float(np.square(heard).mean()) if heard.size else 0.0
    voice = voice_share(Audio(heard, PROBE_HZ))
    return _Probe(number, index, name, channel, power, voice, is_best)


def _first_blocks(blocks: Iterator[np.ndarray]) -> list[np.ndarray]:
    """Return the blocks of the first minutes that have the first one's channels."""
    first = next(blocks, None)
    if first is None:
        return []
    kept = [first]
    count = first.shape[1]
    for block in blocks:
        if len(block) != len(first) or count > PROBE_SECONDS * PROBE_HZ:
            break
        kept.append(block)
        count += block.shape[1]
    return kept


def _heard_channel(sound: np.ndarray) -> int | None:
    """Return the loudest channel of (channels, n) where the mean cancels, else None."""
    channels = len(sound)
    if channels == 1 or sound.size == 0:
        return None
    powers = np.square(sound).mean(axis=1)
    unlike = powers.sum() / channels**2
    mean_power = np.square(sound.mean(axis=0)).mean()
    return int(powers.argmax()) if mean_power < CANCELS * unlike else None


def _name(stream: av.AudioStream) -> str:
    """Return the track's own name in parentheses, or nothing."""
    words = [stream.metadata.get(key) for key in ("title", "language")]
    known = [word for word in words if word and word != "und"]
    return f" ({known[0]})" if known else ""


def _notes(chosen: _Probe, probes: list[_Probe]) -> Iterator[str]:
    if len(probes) > 1:
        reason = "the one that players play"
        others = [probe for probe in probes if probe is not chosen]
        if chosen.has_voice and not any(probe.has_voice for probe in others):
            reason = "the one with speech"
        elif all(probe.is_silent for probe in others):
            reason = "the only one that is not silent"
        yield (
            f"the file has {len(probes)} sound tracks; track {chosen.number}{chosen.name} is used, "
            f"{reason}"
        )
    if chosen.channel is not None:
        yield (
            "the channels of the sound cancel each other (one is wired the wrong way round); "
            f"channel {chosen.channel + 1} alone is used"
        )
