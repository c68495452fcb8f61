"""Frozen lists: halves go by content, and lists hold each file once."""

import csv
from pathlib import Path

import pytest

from pipeline.evaluation import frozen_lists
from pipeline.values import InputError


@pytest.mark.parametrize("path", [frozen_lists.CLIPS, frozen_lists.PHOTOS], ids=lambda p: p.name)
def test_every_file_of_a_list_has_one_half(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    entries = list(csv.DictReader(lines, delimiter="\t"))
    assert len(frozen_lists.halves(path)) == len(entries) > 5
    assert {entry["half"] for entry in entries} == set(frozen_lists.HALVES)
    assert all(len(entry["sha256"]) == 64 for entry in entries)


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    photo = tmp_path / "renamed.jpg"
    photo.write_bytes(b"pixels")
    table = tmp_path / "list.tsv"
    digest = "6ec9c2b0eb14010746c8bce8939303b382344b296206612eb8a907a37b2b2f37"
    table.write_text(f"# why\nfile\tsha256\thalf\na.jpg\t{digest}\theld\n")
    assert frozen_lists.half_of(photo, table) == "held"
    assert frozen_lists.keep_half([photo], "held", table) == [photo]
    assert frozen_lists.keep_half([photo], None, table) == [photo]
    assert frozen_lists.half_of(tmp_path / "absent.jpg", table) == ""
    with pytest.raises(InputError, match="none of the files belongs to the tuning half"):
        frozen_lists.keep_half([photo], "tuning", table)
