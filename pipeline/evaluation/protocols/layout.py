"""The folder of a protocol: clips, sounds, references, and lists for rendering and measuring.

driving/NAME.mp4, audio/NAME.wav and references/NAME.png belong together. jobs.csv names them with
the output videos/NAME.mp4, for any method to render. list.tsv is what `evaluate videos` reads once
the videos are there.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import media
from pipeline.analysis import detectors
from pipeline.evaluation.reenact.cases import FPS, choose_reference, look
from pipeline.values import InputError

FOLDERS = ("driving", "audio", "references", "videos")
REFERENCE_SECONDS = 1.0
JOB_COLUMNS = ("reference", "audio", "driving", "output")
LIST_COLUMNS = ("name", "video", "reference", "driving", "truth", "audio")


@dataclass
class Layout:
    """A protocol's folder while it is filled.

    Args:
        root: The folder.
        portraits: Pictures of other people, given to the clips in turn; without any a clip's own
            frame is its reference, and the clip is the truth of its result.
        names: The clips that are complete.
        dropped: Sentences on those that are not.
    """

    root: Path
    portraits: Sequence[Path] = ()
    names: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def make_folders(self) -> None:
        """Make the folders. Raises InputError where that is not possible."""
        try:
            for name in FOLDERS:
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--output {self.root} cannot be made ({error.strerror})") from None

    def clip(self, name: str) -> Path:
        """Return where a clip lies."""
        return self.root / "driving" / f"{name}.mp4"

    def complete(self, name: str) -> None:
        """Write the sound and the reference of a cut clip.

        Raises InputError where the clip has no sound, or nobody in its first second.
        """
        clip = self.clip(name)
        audio = media.read_audio(clip)
        media.write_audio(self.root / "audio" / f"{name}.wav", audio)
        target = self.root / "references" / f"{name}.png"
        if self.portraits:
            number = len(self.names) % len(self.portraits)
            picture = media.read_image(self.portraits[number])
        else:
            picture = best_frame(clip)
        Image.fromarray(picture).save(target)
        self.names.append(name)

    def write_lists(self, facts: dict[str, object]) -> None:
        """Write jobs.csv, list.tsv and protocol.json."""
        jobs = []
        rows = []
        for name in self.names:
            reference = f"references/{name}.png"
            audio = f"audio/{name}.wav"
            driving = f"driving/{name}.mp4"
            video = f"videos/{name}.mp4"
            truth = "" if self.portraits else driving
            jobs.append((reference, audio, driving, video))
            rows.append((name, video, reference, driving, truth, audio))
        write_table(self.root / "jobs.csv", ",", JOB_COLUMNS, jobs)
        write_table(self.root / "list.tsv", "\t", LIST_COLUMNS, rows)
        entry = {**facts, "clips": self.names, "dropped": self.dropped}
        text = json.dumps(entry, indent=1)
        (self.root / "protocol.json").write_text(text + "\n", encoding="utf-8")


def best_frame(clip: Path) -> np.ndarray:
    """Return the frame (h, w, 3) of the first second that shows most, as in `evaluate reenact`."""
    video = media.read_video(clip, fps=FPS, seconds=REFERENCE_SECONDS)
    frames = list(itertools.chain.from_iterable(video.chunks()))
    detector = detectors.load()
    sights = [look(detector, frame) for frame in frames]
    row = choose_reference(sights)
    if row is None:
        raise InputError(f"{clip.stem}: its first second shows nobody with a face; leave it out")
    return frames[row]


def write_table(
    path: Path, delimiter: str, head: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Write a table with a header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
