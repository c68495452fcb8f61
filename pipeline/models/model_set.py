"""A set of files of weights, and where it lies on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline import ROOT
from pipeline.models.model_files import File


@dataclass(frozen=True)
class ModelSet:
    """One row of the table of model sets.

    Attributes:
        name: what the user calls it.
        what: what it is, in words.
        license: in words.
        gated: whether the hub asks for the license to be accepted first.
        repository: its id at the hub.
        files: what belongs to it.
        revision: of the repository; None = the newest.
        needs: other sets without which this one does not run.
        folder: of a set that comes with the program.
        settings: what a `settings.json` beside published files would say.
    """

    name: str
    what: str
    license: str
    gated: bool
    repository: str | None
    files: tuple[File, ...]
    revision: str | None = None
    needs: tuple[str, ...] = ()
    folder: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """The folder on this machine that holds the files under their paths in the repository."""
        return self.folder or models_folder() / self.name

    @property
    def missing(self) -> tuple[File, ...]:
        """The files, without those of needed sets, that are not on this machine."""
        return tuple(file for file in self.files if not (self.place / file.path).is_file())

    @property
    def installed(self) -> bool:
        """Whether every file is there, without those of needed sets."""
        return bool(self.files) and not self.missing

    @property
    def megabytes(self) -> float | None:
        """MB on disk where the set is installed, else the published size as far as it is known."""
        if self.installed:
            sizes = [path.stat().st_size for path in self.place.rglob("*") if path.is_file()]
            return sum(sizes) / 1e6
        known = [file.megabytes for file in self.files if file.megabytes]
        return sum(known) if known else None

    @property
    def where(self) -> str:
        """Where the set comes from, in words."""
        if self.folder:
            return f"{self.folder.relative_to(ROOT).as_posix()} in this repository"
        if self.repository:
            return f"huggingface.co/{self.repository}"
        hosts = [urlsplit(file.address).netloc for file in self.files if file.address]
        return " and ".join(hosts) or "no repository is known"

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON shows it."""
        return {
            "name": self.name,
            "what": self.what,
            "licence": self.license,
            "gated": self.gated,
            "where": self.where,
            "folder": str(self.place),
            "installed": self.installed,
            "megabytes": self.megabytes,
            "needs": list(self.needs),
            "missing": [file.path for file in self.missing],
        }


def models_folder() -> Path:
    """Return where downloaded sets lie.

    That is APV_MODELS, else `models` in APV_CACHE or in the user's cache folder.
    """
    models = os.environ.get("APV_MODELS")
    if models:
        return Path(models).expanduser()
    cache = os.environ.get("APV_CACHE")
    if cache:
        return Path(cache).expanduser() / "models"
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("apv-studio")) / "models"
