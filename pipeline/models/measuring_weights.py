"""Find the weights of a network that measures, or say why it is absent and how to get it.

A metric whose weights are absent is null with the reason, never 0: what finds them returns a value
for that case instead of raising.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.models import registry
from pipeline.models.model_files import check_file
from pipeline.values import InputError


@dataclass(frozen=True)
class Weights:
    """The files of a network that measures.

    Attributes:
        name: of the model set, or of the user's own file.
        paths: file key -> path.
        checksums: file key -> SHA-256 in hexadecimal, as it lies on the disk.
    """

    name: str
    paths: Mapping[str, Path]
    checksums: Mapping[str, str]


@dataclass(frozen=True)
class WeightsMissing:
    """Why a network that measures is not here.

    Attributes:
        name: of its model set.
        reason: one sentence that ends with the command.
        command: what fetches the set.
    """

    name: str
    reason: str
    command: str


def find_weights(name: str) -> Weights | WeightsMissing:
    """Return the weights of a model set, with their checksums.

    Raises InputError where a file is there but damaged, or is not the published one.
    """
    row = registry.find(name)
    if row.missing:
        command = f"python -m pipeline models --download {name}"
        reason = f"the weights {name!r} are not installed; run `{command}`"
        return WeightsMissing(name, reason, command)
    paths = registry.located(name)
    checksums = {key: checksum(path) for key, path in paths.items()}
    for file in row.files:
        facts = registry.known_facts(row, file)
        published = None if facts is None else facts.sha256
        if published not in (None, checksums[file.key]):
            raise InputError(
                f"{paths[file.key]} has the SHA-256 {checksums[file.key][:12]}..., not the "
                f"published {published[:12]}...; delete it and download it again"
            )
    return Weights(name, paths, checksums)


def own_weights(key: str, path: Path) -> Weights:
    """Return a file that the user names, under a key that its network expects."""
    check_file(path)
    return Weights(path.name, {key: path}, {key: checksum(path)})


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; takes about a second per GB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
