"""Sound: any file that FFmpeg reads, also the track of a video -> mono `Audio`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile

from pipeline.media.files import decoded, opened, picture_stream
from pipeline.values import Audio, InputError

MIN_AUDIO_SECONDS, MAX_AUDIO_SECONDS = 0.1, 600
SLACK_SECONDS = 0.1  # codecs pad: a ten minute MP3 may decode to a few hundredths more
# These state no length: FFmpeg's guess may be far off
GUESSED_LENGTH = {"mp3", "aac", "ac3", "eac3", "amr", "dts"}


def read_audio(path: str | Path, rate: int = 16000) -> Audio:
    """Returns the sound of an audio or video file, mono at `rate` Hz, from a video's first frame on."""
    with opened(path, "audio file") as container:
        stream = container.streams.best("audio")
        if stream is None:
            raise InputError(
                f"audio file {path} has no sound in it; give speech as WAV, MP3, FLAC, OGG or M4A"
            )
        known = container.duration is not None and container.format.name not in GUESSED_LENGTH
        if known and container.duration / av.time_base > MAX_AUDIO_SECONDS + SLACK_SECONDS:
            raise _too_long(path, container.duration / av.time_base)
        lead = _lead(container, stream)
        blocks, count = [], 0
        for block in _mono_blocks(decoded(container, stream, path), rate):
            if not np.isfinite(block).all():
                raise InputError(
                    f"audio file {path} holds samples that are not numbers; export it again as 16-bit WAV"
                )
            blocks.append(block)
            count += len(block)
            if count > (MAX_AUDIO_SECONDS + SLACK_SECONDS) * rate:
                raise _too_long(path, None)
    shift = round(lead * rate)
    if count + min(shift, 0) < MIN_AUDIO_SECONDS * rate:
        seconds = max(count + min(shift, 0), 0) / rate
        raise InputError(
            f"audio file {path} holds {seconds:.2f} s of sound; give at least {MIN_AUDIO_SECONDS} s"
        )
    samples = np.concatenate(blocks)
    samples = np.pad(samples, (shift, 0)) if shift >= 0 else samples[-shift:]
    peak = float(np.abs(samples).max(initial=0.0))
    return Audio((samples / peak if peak > 1 else samples).astype(np.float32), rate)


def write_audio(path: str | Path, audio: Audio) -> None:
    """Writes 16-bit sound; the format follows the file's name (wav, flac, ogg)."""
    try:
        soundfile.write(str(path), audio.samples, audio.rate)
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        raise InputError(
            f"sound {path} cannot be written ({error}); choose a .wav name in a folder that exists"
        ) from error


def _too_long(path: str | Path, seconds: float | None) -> ValueError:
    lasts = "more" if seconds is None else f"{seconds:.0f} s"
    return ValueError(
        f"audio file {path} lasts {lasts}, over the limit of {MAX_AUDIO_SECONDS} s; cut it into parts"
    )


def _lead(container: av.container.InputContainer, sound: av.AudioStream) -> float:
    """Returns the seconds from the first picture to the first sample, 0 where there is no moving picture."""
    picture = picture_stream(container)
    if picture is None or picture.start_time is None or sound.start_time is None:
        return 0.0
    lead = float(sound.start_time * sound.time_base - picture.start_time * picture.time_base)
    return lead if abs(lead) < 5 else 0.0  # more is a broken clock, not a late microphone


def _mono_blocks(frames: Iterator[av.AudioFrame], rate: int) -> Iterator[np.ndarray]:
    """Yields (n,) float32 at `rate`. The mean over channels is taken here: FFmpeg's mix is 3 dB too loud."""
    resampler, layout = None, None
    for frame in frames:
        if layout != (frame.format.name, frame.layout.name, frame.rate):
            if resampler is not None:
                yield from (part.to_ndarray().mean(axis=0) for part in resampler.resample(None))
            layout = (frame.format.name, frame.layout.name, frame.rate)
            resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
        frame.pts = None  # gaps in the clock would make the resampler stretch the sound
        yield from (part.to_ndarray().mean(axis=0) for part in resampler.resample(frame))
    if resampler is not None:
        yield from (part.to_ndarray().mean(axis=0) for part in resampler.resample(None))
