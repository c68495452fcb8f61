"""Check the outputs of a command before hours of work, not after."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline import media
from pipeline.media import pose_files
from pipeline.media.writer_base import resolve_links
from pipeline.values import InputError


def check_outputs(
    outputs: Sequence[str | None],
    inputs: Sequence[str | None],
    videos: Sequence[str | None] = (),
    may_be_folder: Callable[[str], bool] = media.names_folder,
) -> None:
    """Raise InputError where an output cannot be written, or would replace what is needed.

    Args:
        outputs: the files that the command writes; None is left out.
        inputs: the files that the command reads; None is left out.
        videos: those of the outputs whose ending must be a video's.
        may_be_folder: says whether an output of this name may be a folder.
    """
    input_paths = {_resolved(path) for path in inputs if path}
    taken = set(input_paths)
    for path in outputs:
        if path is None:
            continue
        if not path:
            raise InputError("an output has an empty name; give one, or leave the option out")
        place = _resolved(path)
        if place in taken:
            raise InputError(
                f"{path} is named twice, or is one of the inputs; give each output its own name"
            )
        taken.add(place)
        if not place.parent.is_dir():
            raise InputError(
                f"{path} cannot be written: the folder {place.parent} does not exist; make it"
            )
        beside = place.parent / f"{place.stem}.npz"
        if beside in input_paths and pose_files.is_pose(place):
            raise InputError(f"{path} would put its pose over an input; give it another name")
        if place.exists() and not (place.is_file() or place.is_dir()):
            raise InputError(f"{path} cannot be written: it is no file; give another name")
        is_wrong_folder = place.is_dir() and not may_be_folder(path)
        if is_wrong_folder or not os.access(place.parent, os.W_OK):
            raise InputError(
                f"{path} cannot be written: it is a folder, or its folder is read-only; "
                "choose another place"
            )
    for video in videos:
        if video is not None:
            media.check_ending(video)


def _resolved(path: str) -> Path:
    """Return where a path leads to; links that lead in a circle are refused."""
    try:
        place = resolve_links(path)
        place.exists()  # raises for a name over the system's limit
        return place
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{path} cannot be reached (its name is too long, or its links lead in a circle); "
            "check the path"
        ) from error
