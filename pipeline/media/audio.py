"""Sound: any file that FFmpeg reads, also the track of a video -> mono `Audio`."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile

from pipeline.media.files import decoded, opened, picture_stream
from pipeline.media.sound_track import SoundTrack, channel_blocks, choose_track, mixed
from pipeline.values import Audio, InputError

MIN_AUDIO_SECONDS = 0.1
MAX_AUDIO_SECONDS = 600
SLACK_SECONDS = 0.1  # codecs pad: a ten minute MP3 may decode to a few hundredths more
MAX_LEAD_SECONDS = 5  # between picture and sound; more is a broken clock, not a late microphone
# These state no length: FFmpeg's guess may be far off
GUESSED_LENGTH = {"mp3", "aac", "ac3", "eac3", "amr", "dts"}


def read_audio(path: str | Path, rate: int = 16000) -> Audio:
    """Return the sound of a file, mono at `rate` Hz; a video's begins with its first frame.

    Of several tracks it is the one that `choose_track` chooses.
    """
    return read_track(choose_track(path), rate)


def read_track(track: SoundTrack, rate: int = 16000) -> Audio:
    """Return a sound track, mono at `rate` Hz; a video's begins with its first frame."""
    path = track.path
    limit = MAX_AUDIO_SECONDS + SLACK_SECONDS
    blocks: list[np.ndarray] = []
    count = 0
    with opened(path, "audio file") as container:
        stream = container.streams[track.index]
        stated = _stated_seconds(container)
        if stated is not None and stated > limit:
            raise _too_long(path, f"{stated:.0f} s")
        lead = lead_seconds(container, stream)
        for channels in channel_blocks(decoded(container, stream, path), rate, path):
            if not np.isfinite(channels).all():
                raise InputError(
                    f"audio file {path} holds samples that are not numbers; "
                    "export it again as 16-bit WAV"
                )
            block = mixed(channels, track.channel)
            blocks.append(block)
            count += len(block)
            if count > limit * rate:
                raise _too_long(path, "more")
    shift = round(lead * rate)
    kept = count + min(shift, 0)
    if kept < MIN_AUDIO_SECONDS * rate:
        seconds = max(kept, 0) / rate
        raise InputError(
            f"audio file {path} holds {seconds:.2f} s of sound; give at least {MIN_AUDIO_SECONDS} s"
        )
    samples = np.concatenate(blocks)
    samples = np.pad(samples, (shift, 0)) if shift >= 0 else samples[-shift:]
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 1:
        samples = samples / peak
    return Audio(samples.astype(np.float32), rate)


def write_audio(path: str | Path, audio: Audio) -> None:
    """Write 16-bit sound; the format follows the file's name (wav, flac, ogg)."""
    try:
        soundfile.write(str(path), audio.samples, audio.rate)
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        raise InputError(
            f"sound {path} cannot be written ({error}); choose a .wav name in a folder that exists"
        ) from error


def _too_long(path: str | Path, length: str) -> InputError:
    return InputError(
        f"audio file {path} lasts {length}, over the limit of {MAX_AUDIO_SECONDS} s; "
        "cut it into parts"
    )


def _stated_seconds(container: av.container.InputContainer) -> float | None:
    """Return the length that the file states, or None where FFmpeg can only guess it."""
    if container.duration is None or container.format.name in GUESSED_LENGTH:
        return None
    return container.duration / av.time_base


def lead_seconds(container: av.container.InputContainer, sound: av.AudioStream) -> float:
    """Return the time from the first picture to the first sample; 0 without a moving picture."""
    picture = picture_stream(container)
    if picture is None or picture.start_time is None or sound.start_time is None:
        return 0.0
    first_sample = sound.start_time * sound.time_base
    first_picture = picture.start_time * picture.time_base
    lead = float(first_sample - first_picture)
    return lead if abs(lead) < MAX_LEAD_SECONDS else 0.0
