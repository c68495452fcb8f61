"""Weights of networks that measure: found, absent with a reason, refused; and files of the web."""

import dataclasses
import hashlib
from pathlib import Path

import pytest

from pipeline.models import download, measuring_sets, registry, web_file
from pipeline.models.measuring_weights import WeightsMissing, find_weights, own_weights
from pipeline.values import InputError

CONTENT = bytes(range(256)) * 9000  # more than two blocks


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("APV_MODELS", str(tmp_path))
    return tmp_path


def put(row, content: bytes = CONTENT) -> None:
    for file in row.files:
        path = row.place / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def known_as(monkeypatch, name: str, **facts):
    """The set with other facts of its files, as the only row."""
    row = registry.find(name)
    files = tuple(dataclasses.replace(file, **facts) for file in row.files)
    row = dataclasses.replace(row, files=files)
    monkeypatch.setattr(registry, "SETS", (row,))
    return row


@pytest.mark.parametrize("row", measuring_sets.SETS, ids=lambda row: row.name)
def test_absent_weights_say_why_and_how_to_get_them(place, row):
    found = find_weights(row.name)
    assert isinstance(found, WeightsMissing)
    assert found.command == f"python -m pipeline models --download {row.name}"
    assert found.command in found.reason
    assert row.repository or all(file.address for file in row.files)


def test_weights_that_are_there_carry_their_checksums(place, monkeypatch):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    row = known_as(monkeypatch, "syncnet", size=None, sha256=sha256)
    put(row)
    found = find_weights("syncnet")
    assert found.checksums == {"syncnet": sha256}
    assert found.paths == {"syncnet": place / "syncnet" / "auxiliary/syncnet_v2.model"}


def test_another_file_under_the_published_name_is_refused(place, monkeypatch):
    put(known_as(monkeypatch, "syncnet", size=None))
    with pytest.raises(InputError, match="not the published 961e8696f888"):
        find_weights("syncnet")


def test_a_file_of_the_user_is_taken_as_it_is(tmp_path):
    (tmp_path / "mine.onnx").write_bytes(b"a network")
    found = own_weights("identity", tmp_path / "mine.onnx")
    assert found.name == "mine.onnx" and found.paths == {"identity": tmp_path / "mine.onnx"}
    with pytest.raises(InputError, match="is missing"):
        own_weights("identity", tmp_path / "none.onnx")


class Answer:
    """What `urlopen` returns: the rest of CONTENT, cut off after `cut` bytes."""

    def __init__(self, start: int, cut: int | None, whole: bool) -> None:
        self.status = 206 if start and not whole else 200
        rest = CONTENT if whole else CONTENT[start:]
        self.headers = {"Content-Length": str(len(rest))}
        self.rest = rest[:cut]

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass

    def read(self, size: int) -> bytes:
        block, self.rest = self.rest[:size], self.rest[size:]
        return block


@pytest.fixture
def served(monkeypatch):
    """A web server that cuts off the first answer; `asked` notes the ranges."""
    asked, cuts = [], [10**6]
    facts = {"whole": False}

    def answer(request, timeout):
        asked.append(request.get_header("Range"))
        start = int(asked[-1][6:-1]) if asked[-1] else 0
        return Answer(start, cuts.pop() if cuts else None, facts["whole"])

    monkeypatch.setattr(web_file, "urlopen", answer)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return asked, facts


def fetch(name: str) -> list[download.DownloadStep]:
    return list(download.download(name))


@pytest.mark.parametrize("whole", [False, True])
def test_a_file_of_the_web_goes_on_where_it_stopped(place, monkeypatch, served, whole):
    """Also where the server knows no ranges and sends the whole file again."""
    asked, facts = served
    facts["whole"] = whole
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    row = known_as(monkeypatch, "inception-fid", size=None, sha256=sha256)
    with pytest.raises(InputError, match="connection ended after 1000000 of 2304000 bytes"):
        fetch("inception-fid")
    assert not row.installed
    steps = fetch("inception-fid")
    assert asked == [None, "bytes=1000000-"]
    assert steps[-1].path.read_bytes() == CONTENT and steps[-1].done == len(CONTENT)
    assert row.installed and not list(Path(row.place).glob("*.part"))
    assert fetch("inception-fid") == []


def test_a_damaged_file_of_the_web_is_thrown_away(place, monkeypatch, served):
    row = known_as(monkeypatch, "inception-fid", size=None, sha256="0" * 64)
    served[1]["whole"] = True
    with pytest.raises(InputError):
        fetch("inception-fid")
    with pytest.raises(InputError, match="SHA-256"):
        fetch("inception-fid")
    assert not row.installed and not list(Path(row.place).glob("*.part"))


def test_the_web_is_left_alone_offline(place, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE"):
        fetch("inception-fid")
