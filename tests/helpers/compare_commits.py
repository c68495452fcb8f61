"""Compare what the command line of two checkouts produces, bit for bit.

Usage: python compare_commits.py BASE_FOLDER HEAD_FOLDER [--keep DIR] [--only NAME ...]

Both folders are checkouts of this repository, such as two worktrees on two commits. Every run is
made in both on the same machine, with inputs from BASE_FOLDER. Compared are decoded frames, decoded
sound, settings, pose arrays, accents and the JSON facts. Timings, memory and the estimate vary from
run to run, so only their names are compared. The exit code is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
import soundfile

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"

SPEECH_SECONDS = 1.5
CLIP_FRAMES = 40
CLIP_FPS = 25
MEASURED_FACTS = ("timings", "peak_memory", "estimate")
FACTS_FILE = "facts.json"
PUBLISHED_MODEL_BUILDER = """
import sys
from pathlib import Path
try:
    from tests.published import write_set
except ModuleNotFoundError:
    from tests.helpers.published import write_set
write_set(Path(sys.argv[1]))
"""

JACKET = "--reference {half_jacket} --audio {welcome} "
GLASSES = "--reference {half_glasses} --audio {question} "
SKIRT = "--reference {full_skirt} --audio {question} "
SMALL = "--height 192 --width 128 "
TINY = "--height 128 --width 64 --fps 8 "
VIDEO = "--output {out}/video.mp4 "
ACCENTS = "--accents-out {out}/accents.json "
PREVIEWS = (
    "--output {out}/skeleton.mp4 --draft {out}/draft.mp4 --overlay {out}/overlay.mp4 "
    "--pose-out {out}/pose.npz "
)
EVERY_MOTION_CHOICE = (
    "--intensity 1.6 --size 0.2 --arms-intensity 0.7 --head-intensity 1.2 --torso-intensity 0.9 "
    "--hands-intensity 1.1 --mouth 1.3 --audio-offset 80 --fps 12 --seed 3 --fda paper "
    "--splice lips --refocus both --length loop --framing driving --person 0.5,0.4 "
)
EVERY_RENDER_CHOICE = (
    "--steps 2 --window 8 --overlap 3 --audio-guidance 1.5 --pose-guidance 1.2 --dtype float32 "
)
PUBLISHED_LOOP = (
    "--windows published --steps 2 --window 6 --overlap 2 --guidance 1.5 --guidance-end 2 "
    "--control 0.8 --noise-aug 0.03 --motion-bucket 100 --condition-fps 8 --retarget published "
)
RUNS = {
    "generate driven": "generate --driving {beats} --skeleton {out}/skeleton.mp4 "
    + JACKET + SMALL + VIDEO + ACCENTS,
    "generate pose-free": "generate --fps 12 " + GLASSES + SMALL + VIDEO,
    "generate network": "generate --fps 12 --pose-free network " + GLASSES + SMALL + VIDEO,
    "generate second person": "generate --fps 12 --driving {two_people} --person 2 "
    + SKIRT + SMALL + VIDEO,
    "generate every choice": "generate --driving {sway_pose} "
    + JACKET + SMALL + EVERY_MOTION_CHOICE + EVERY_RENDER_CHOICE + VIDEO,
    "generate published": "generate --driving {beats} --model {published} "
    + JACKET + TINY + VIDEO,
    "generate published loop": "generate --driving {beats} --model {published} "
    + JACKET + TINY + PUBLISHED_LOOP + VIDEO,
    "preview driven": "preview --driving {beats} --intensity 1.5 "
    + JACKET + SMALL + PREVIEWS + ACCENTS,
    "preview pose-free": "preview --gestures full " + SKIRT + SMALL + PREVIEWS + ACCENTS,
    "preview similar": "preview --driving {sway_pose} --retarget similar --length hold "
    "--refocus gate --fps 30 " + GLASSES + SMALL + PREVIEWS,
    "pose npz": "pose {two_people} --output {out}/pose.npz",
    "pose json mirror": "pose {sway_pose} --mirror --trim 0.2:1.2 --speed 1.5 "
    "--output {out}/pose.json",
    "pose video": "pose {sway_pose} --trim :1 --pingpong 40 --style openpose "
    "--output {out}/pose.mp4",
    "pose picture": "pose {half_jacket} --output {out}/pose.npz",
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """The outcome of one comparison; an empty difference means that nothing differs."""

    run: str
    subject: str
    difference: str

    def row(self) -> str:
        """Return the check as one row of the table."""
        state = "DIFFERENT" if self.difference else "ok"
        return f"{self.run:24} {self.subject:32} {state:10} {self.difference}".rstrip()


@dataclass(frozen=True)
class Checkout:
    """A checkout and the folder for its outputs and its own detection cache."""

    folder: Path
    outputs: Path


@dataclass(frozen=True)
class Clip:
    """The decoded contents of a video file, in the file's own pixel format."""

    frames: list[np.ndarray]
    times: list[int | None]
    sound: np.ndarray
    settings: Json


# Inputs


def write_inputs(base: Path, folder: Path) -> dict[str, str]:
    """Write the short inputs into `folder` and return all inputs by the names that RUNS uses."""
    references = base / "assets" / "reference"
    speeches = base / "assets" / "speech"
    drivers = base / "assets" / "driving"
    beats = drivers / "beats.mp4"
    sway = drivers / "sway.mp4"
    return {
        "half_jacket": str(references / "half_jacket.png"),
        "half_glasses": str(references / "half_glasses.png"),
        "full_skirt": str(references / "full_skirt.png"),
        "welcome": cut_speech(speeches / "welcome.wav", folder / "welcome.wav"),
        "question": cut_speech(speeches / "question.wav", folder / "question.wav"),
        "beats": str(beats),
        "sway_pose": str(drivers / "sway.npz"),
        "two_people": compose_side_by_side(beats, sway, folder / "two_people.mp4"),
        "published": build_published_model(base, folder / "published"),
    }


def cut_speech(source: Path, target: Path) -> str:
    """Write the first seconds of a speech file and return the new path."""
    samples, rate = soundfile.read(source)
    count = round(SPEECH_SECONDS * rate)
    soundfile.write(target, samples[:count], rate)
    return str(target)


def compose_side_by_side(left: Path, right: Path, target: Path) -> str:
    """Write a clip that shows two clips of the same height side by side; return its path."""
    pairs = zip(first_pictures(left), first_pictures(right), strict=True)
    pictures = [np.hstack(pair) for pair in pairs]
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=CLIP_FPS, options={"crf": "10"})
        stream.height = pictures[0].shape[0]
        stream.width = pictures[0].shape[1]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(target)


def first_pictures(path: Path) -> list[np.ndarray]:
    """Return the first frames of a clip as pictures (H, W, 3)."""
    with av.open(str(path)) as container:
        frames = islice(container.decode(video=0), CLIP_FRAMES)
        return [frame.to_ndarray(format="rgb24") for frame in frames]


def build_published_model(base: Path, target: Path) -> str:
    """Write small random weights in the published layout with the builder of the base's tests."""
    target.mkdir()
    command = [sys.executable, "-c", PUBLISHED_MODEL_BUILDER, str(target)]
    subprocess.run(command, cwd=base, env=environment(), check=True)
    return str(target)


# Runs


def environment(cache: Path | None = None) -> dict[str, str]:
    """Return the variables of a run: one thread, no network, nothing imported from elsewhere."""
    variables = dict(os.environ)
    variables.pop("PYTHONPATH", None)
    variables["OMP_NUM_THREADS"] = "1"
    variables["HF_HUB_OFFLINE"] = "1"
    if cache is not None:
        variables["APV_CACHE"] = str(cache)
    return variables


def run_command(words: list[str], checkout: Checkout, folder: Path) -> str:
    """Run the command line, keep its JSON facts in `folder`, and return why it failed, or ''."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *words, "--json"],
        cwd=checkout.folder,
        env=environment(checkout.outputs / "cache"),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        last_lines = done.stderr.strip().splitlines()[-1:]
        return f"exit code {done.returncode}: {' '.join(last_lines)}"
    facts = done.stdout.strip().splitlines()[-1]
    without_place = facts.replace(str(folder), "OUTPUTS")
    (folder / FACTS_FILE).write_text(without_place, encoding="utf-8")
    return ""


def compare_run(name: str, inputs: dict[str, str], sides: list[Checkout]) -> Iterator[Check]:
    """Carry out a run in both checkouts and yield one check for each part of its outputs."""
    folders = []
    for checkout in sides:
        folder = checkout.outputs / name.replace(" ", "_")
        folder.mkdir(parents=True)
        words = [word.format(out=folder, **inputs) for word in RUNS[name].split()]
        failure = run_command(words, checkout, folder)
        if failure:
            yield Check(name, f"command in {checkout.outputs.name}", failure)
            return
        folders.append(folder)
    base, head = folders
    base_files = file_names(base)
    head_files = file_names(head)
    yield Check(name, "names of files", set_difference(base_files, head_files))
    for file in sorted(base_files & head_files):
        for subject, difference in compare_files(base / file, head / file):
            yield Check(name, f"{file}: {subject}", difference)


def file_names(folder: Path) -> set[str]:
    """Return the names of all files in a folder and its sub-folders."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# Comparisons: each returns a sentence on what differs, or the empty string


def compare_files(base: Path, head: Path) -> Iterator[tuple[str, str]]:
    """Yield (what was compared, what differs) for two files of the same name."""
    if base.suffix == ".mp4":
        yield from compare_clips(read_clip(base), read_clip(head))
    elif base.suffix == ".npz":
        yield "arrays", compare_archives(base, head)
    elif base.suffix == ".json":
        ignored = MEASURED_FACTS if base.name == FACTS_FILE else ()
        yield from compare_json(read_json(base), read_json(head), ignored)
    else:
        same = base.read_bytes() == head.read_bytes()
        yield "bytes", "" if same else "other bytes"


def compare_clips(base: Clip, head: Clip) -> Iterator[tuple[str, str]]:
    """Yield the comparisons of two decoded videos."""
    yield "frames", compare_frames(base.frames, head.frames)
    yield "times", "" if base.times == head.times else "other presentation times"
    yield "sound", compare_arrays(base.sound, head.sound)
    yield "settings", "" if base.settings == head.settings else "other settings in the comment tag"


def compare_frames(base: list[np.ndarray], head: list[np.ndarray]) -> str:
    """Compare decoded frames bit for bit."""
    if len(base) != len(head):
        return f"{len(base)} frames became {len(head)}"
    pairs = zip(base, head, strict=True)
    differences = [compare_arrays(one, other) for one, other in pairs]
    changed = [index for index, difference in enumerate(differences) if difference]
    if not changed:
        return ""
    first = changed[0]
    return f"{len(changed)} of {len(base)} frames; frame {first}: {differences[first]}"


def compare_arrays(base: np.ndarray, head: np.ndarray) -> str:
    """Compare two arrays bit for bit."""
    if base.shape != head.shape:
        return f"shape {base.shape} became {head.shape}"
    if base.dtype != head.dtype:
        return f"type {base.dtype} became {head.dtype}"
    if base.tobytes() == head.tobytes():
        return ""
    if not np.issubdtype(base.dtype, np.number):
        return "other values"
    distance = np.abs(base.astype(float) - head.astype(float))
    return f"{np.count_nonzero(distance)} values, up to {np.nanmax(distance):.3g}"


def compare_archives(base: Path, head: Path) -> str:
    """Compare the arrays of two npz files."""
    with np.load(base) as one, np.load(head) as other:
        names = set_difference(set(one.files), set(other.files))
        if names:
            return names
        differences = {name: compare_arrays(one[name], other[name]) for name in one.files}
    return "; ".join(f"{name}: {text}" for name, text in differences.items() if text)


def compare_json(base: Json, head: Json, ignored: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the comparison of all keys, and of all values but those below the `ignored` keys."""
    base_leaves = dict(leaves(base))
    head_leaves = dict(leaves(head))
    yield "keys", set_difference(set(base_leaves), set(head_leaves))
    changed = [
        f"{key}: {base_leaves[key]} became {head_leaves[key]}"
        for key in sorted(base_leaves.keys() & head_leaves.keys())
        if key.split(".")[0] not in ignored and base_leaves[key] != head_leaves[key]
    ]
    yield "values", "; ".join(changed[:3])


def leaves(value: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, text) of everything in a JSON value that is no filled object or list."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{index}" if path else str(index))
    else:
        yield path, json.dumps(value)


def set_difference(base: set[str], head: set[str]) -> str:
    """Say which names are gone and which are new."""
    gone = [f"-{name}" for name in sorted(base - head)]
    new = [f"+{name}" for name in sorted(head - base)]
    return " ".join(gone + new)


def read_json(path: Path) -> Json:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_clip(path: Path) -> Clip:
    """Decode a video with its sound and its settings."""
    frames = []
    times = []
    blocks = [np.zeros((1, 0), np.float32)]
    with av.open(str(path)) as container:
        comment = container.metadata.get("comment")
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                frames.append(frame.to_ndarray())
                times.append(frame.pts)
            elif isinstance(frame, av.AudioFrame):
                blocks.append(frame.to_ndarray())
    settings = json.loads(comment) if comment else None
    return Clip(frames, times, np.concatenate(blocks, axis=1), settings)


def compare(base: Path, head: Path, keep: Path, names: list[str]) -> int:
    """Carry out the named runs, print one row per check and return the exit code."""
    keep.mkdir(parents=True, exist_ok=True)
    folder = keep / "inputs"
    folder.mkdir()
    inputs = write_inputs(base, folder)
    sides = [Checkout(base, keep / "base"), Checkout(head, keep / "head")]
    checks = []
    for name in names:
        for check in compare_run(name, inputs, sides):
            print(check.row(), flush=True)
            checks.append(check)
    different = sum(bool(check.difference) for check in checks)
    print(f"{len(names)} runs, {len(checks)} checks, {different} different")
    return 1 if different else 0


def main() -> int:
    """Compare two checkouts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path, metavar="BASE_FOLDER")
    parser.add_argument("head", type=Path, metavar="HEAD_FOLDER")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder for all files")
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), metavar="NAME")
    args = parser.parse_args()
    base = args.base.resolve()
    head = args.head.resolve()
    if args.keep is not None:
        return compare(base, head, args.keep.resolve(), args.only)
    with tempfile.TemporaryDirectory() as folder:
        return compare(base, head, Path(folder), args.only)


if __name__ == "__main__":
    sys.exit(main())
