"""Notes beside an unfinished output: they come back, changes are named, damage is one sentence."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from pipeline import media
from pipeline.render.runtime.device import Placement
from pipeline.studio import resume_notes
from pipeline.studio.messages import name_options
from pipeline.studio.request import FLAGS, Request
from pipeline.studio.resume_notes import Notes, Record, motion_identity, open_record, read_notes
from pipeline.values import InputError, ResumePoint
from tests.helpers.tiny import motion, portrait, tiny_pipeline

POINT = ResumePoint(
    40,
    {"held": np.arange(6, dtype=np.float32), "generator": np.zeros(9, np.uint8)},
    {"segments": 1, "window": 16},
)
EXTENT = media.Extent(40, 1, 1234, "ab" * 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture
def request_before(tmp_path: Path, model: Path) -> Request:
    for name in ("face.png", "speech.wav", "clip.mp4", "accents.json"):
        (tmp_path / name).write_bytes(name.encode())
    return Request(str(tmp_path / "face.png"), str(tmp_path / "speech.wav"), model=str(model))


def leave_notes(request: Request, output: Path) -> None:
    record = open_record(request, str(output), is_resumed=False)
    media.notes_path(output).write_bytes(record.notes(EXTENT, POINT))


def test_notes_come_back(request_before: Request, tmp_path: Path) -> None:
    output = tmp_path / "o.mp4"
    leave_notes(request_before, output)
    record = open_record(request_before, str(output), is_resumed=True)
    assert record.finished_frames == 40 and record.earlier is not None
    assert record.earlier.extent == EXTENT
    point = record.earlier.point
    assert (point.frames, point.numbers) == (40, POINT.numbers)
    assert set(point.arrays) == set(POINT.arrays)
    for name, array in POINT.arrays.items():
        assert np.array_equal(point.arrays[name], array) and point.arrays[name].dtype == array.dtype


def test_without_the_wish_or_without_notes_a_run_starts_afresh(
    request_before: Request, tmp_path: Path
) -> None:
    output = str(tmp_path / "o.mp4")
    assert open_record(request_before, output, is_resumed=True).earlier is None
    leave_notes(request_before, tmp_path / "o.mp4")
    assert open_record(request_before, output, is_resumed=False).earlier is None


CHANGES = [
    ({"seed": 1}, "--seed was 0 and is 1"),
    ({"intensity": 1.5}, "--intensity was 1.0 and is 1.5"),
    ({"gesture_size": 0.1}, "--size was 0.0 and is 0.1"),
    ({"steps": 2}, "--steps was null and is 2"),
    ({"driving": "clip.mp4"}, "--driving was not given before"),
    ({"accents": "accents.json"}, "--accents was not given before"),
    ({"seed": 1, "fps": 30.0}, "--seed was 0 and is 1, --fps was 25.0 and is 30.0"),
]


@pytest.mark.parametrize(("changes", "sentence"), CHANGES)
def test_changed_options_are_refused_by_name(
    request_before: Request, tmp_path: Path, changes: dict, sentence: str
) -> None:
    output = tmp_path / "o.mp4"
    leave_notes(request_before, output)
    for name in ("driving", "accents"):
        if name in changes:
            changes = {**changes, name: str(tmp_path / changes[name])}
    said = refusal(replace(request_before, **changes), output)
    assert sentence in said and said.count("was") == sentence.count("was")
    refusal_before = media.notes_path(output).read_bytes()
    assert refusal_before == media.notes_path(output).read_bytes()


def refusal(request: Request, output: Path) -> str:
    with pytest.raises(InputError) as error:
        open_record(request, str(output), is_resumed=True)
    return name_options(str(error.value), FLAGS)


@pytest.mark.parametrize("name", ["reference", "audio"])
def test_an_input_with_other_content_is_refused_and_one_that_moved_is_not(
    request_before: Request, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "o.mp4"
    leave_notes(request_before, output)
    before = Path(getattr(request_before, name))
    moved = tmp_path / f"moved{before.suffix}"
    moved.write_bytes(before.read_bytes())
    request = replace(request_before, **{name: str(moved)})
    assert open_record(request, str(output), is_resumed=True).earlier is not None
    moved.write_bytes(b"other")
    assert f"--{name} is another file than before" in refusal(request, output)


def test_other_weights_and_versions_are_refused(
    request_before: Request, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "o.mp4"
    leave_notes(request_before, output)
    with monkeypatch.context() as patch:
        patch.setattr(resume_notes, "__version__", "9.9")
        assert "the program was" in refusal(request_before, output)
    (weights, *_) = sorted(model.rglob("*.safetensors"))
    times = weights.stat()
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    assert "the files of --model are others than before" in refusal(request_before, output)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_another_motion_or_device_is_refused() -> None:
    moves = motion(3)
    picture = portrait()
    placed = Placement("cpu", "sdpa", "float32", "none")
    before = motion_identity(picture, moves, placed)
    record = Record({}, Notes(before, EXTENT, POINT))
    assert record.joined(motion_identity(picture.copy(), moves, placed)).identity == before
    louder = replace(moves, control_strength=moves.control_strength + 1e-9)
    masked = replace(moves, mask=np.ones((4, 4), np.float32))
    for other in (louder, masked):
        with pytest.raises(InputError, match="gives another motion than before"):
            record.joined(motion_identity(picture, other, placed))
    with pytest.raises(InputError, match="gives another motion than before"):
        record.joined(motion_identity(picture[::-1], moves, placed))
    with pytest.raises(InputError, match='`device` was "cpu" and is "cuda"'):
        record.joined(motion_identity(picture, moves, replace(placed, device="cuda")))


def damaged_notes() -> dict[str, bytes]:
    """Return files that are no notes, by what is wrong with them."""
    good = Notes({"seed": "0"}, EXTENT, POINT).to_bytes()
    metadata = {
        "kind": resume_notes.KIND,
        "identity": "{}",
        "extent": json.dumps(EXTENT.to_dict()),
        "frames": "40",
        "numbers": '{"segments": 1}',
    }

    def with_metadata(**changes: str) -> bytes:
        return save(dict(POINT.arrays), {**metadata, **changes})

    return {
        "empty": b"",
        "cut in the header": good[:30],
        "cut in the arrays": good[:-3],
        "text": b"not notes at all, but long enough to look like some",
        "other tensors": save({"weight": np.zeros(3, np.float32)}),
        "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "other kind": with_metadata(kind="something else"),
        "no JSON": with_metadata(identity="{"),
        "deep JSON": with_metadata(identity="[" * 100_000),
        "list": with_metadata(extent="[]"),
        "negative": with_metadata(frames="-1"),
        "other count": with_metadata(frames="41"),
        "fraction": with_metadata(numbers='{"segments": 1.5}'),
        "truth": with_metadata(numbers='{"segments": true}'),
    }


@pytest.mark.parametrize("kind", damaged_notes())
def test_damaged_notes_are_one_sentence(tmp_path: Path, kind: str) -> None:
    path = media.notes_path(tmp_path / "o.mp4")
    path.write_bytes(damaged_notes()[kind])
    with pytest.raises(InputError, match=r"is damaged .*start afresh without `resume`") as error:
        read_notes(str(tmp_path / "o.mp4"))
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_notes_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    with media.notes_path(tmp_path / "o.mp4").open("wb") as file:
        file.truncate(resume_notes.MAX_NOTES_BYTES + 1)
    with pytest.raises(InputError, match="is damaged .it is too large"):
        read_notes(str(tmp_path / "o.mp4"))


def test_a_generator_goes_through_notes() -> None:
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state().numpy()
    notes = Notes({}, EXTENT, replace(POINT, arrays={"generator": state}))
    assert len(notes.to_bytes()) < 10_000
