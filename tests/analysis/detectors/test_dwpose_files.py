"""DWPose's files: real ONNX networks through the command line, and one sentence for every
damage."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.analysis import detectors
from pipeline.analysis.detectors import dwpose, onnx
from pipeline.analysis.progress import finish
from pipeline.media import read_image
from pipeline.studio.cli import main
from pipeline.values import Pose, Video
from tests.helpers.dwpose_people import (
    CROP,
    FILES,
    PICTURE,
    folder_of_files,
    found_by_yolox,
    grey,
    simcc,
)
from tests.helpers.onnx_files import write
from tests.helpers.stick_person import still_person

GAIN = 0.05  # by which a crop's mean shifts the scores


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    return folder_of_files(tmp_path, monkeypatch)


def put(folder: Path, batch: int | str = "batch") -> None:
    """Both tiny files: one box, 128x256, in the upper left of the detector's picture."""
    raw = found_by_yolox((160, 240, 128, 256, 0.9))
    write(folder / FILES["detector"], PICTURE, {"output": raw}, 1)
    x, y = simcc(0.8)
    write(folder / FILES["pose"], CROP, {"simcc_x": x, "simcc_y": y}, batch, gain=GAIN)


def pose_of(picture: str, output: Path) -> list[str]:
    return ["pose", picture, "--output", str(output), "--detector", "dwpose", "--json"]


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> str:
    """512 x 512, so one pixel of it is 1.25 of the detector's."""
    data = pytest.importorskip("skimage.data")
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(data.astronaut()).save(path)
    return str(path)


@pytest.mark.parametrize("batch", ["batch", 1, 5])
def test_the_command_line_finds_the_person_that_the_files_describe(
    folder, photo, tmp_path, capsys, batch
):
    put(folder, batch)
    out = tmp_path / "pose.npz"
    assert main(pose_of(photo, out)) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert facts["people"] == 1 and facts["seen"] == {"body": 1.0, "hands": 1.0, "face": 1.0}
    pose, person = Pose.load(out), still_person()
    # the box, 102.4 x 204.8 around (128, 192), grows by a quarter and to 3:4
    size, centre = np.array([192.0, 256.0]), np.array([128.0, 192.0])
    for part in ("body", "hands", "face"):
        xy = (getattr(person, part).xy[0] - 0.5) * size + centre
        assert (
            np.abs(getattr(pose, part).xy[0] * 512 - xy).max() < 0.25
        )  # half a bin is a sixth of a pixel
    box = np.array([*(centre - (51.2, 102.4)), *(centre + (51.2, 102.4))])
    bright = dwpose.crop(read_image(photo), box).mean() * GAIN
    assert np.allclose(pose.face.score, 0.8 + bright, atol=1e-3) and abs(bright) > 2e-3


def test_real_batches_keep_the_order(folder) -> None:
    put(folder)
    clip = grey(40, 90, 140, 190, 240)
    found = finish(detectors.load("dwpose").video(Video(clip, 25.0)))
    single = [detectors.load("dwpose").image(frame).people[0] for frame in clip]
    scores = np.concatenate([person.face.score for person in single])
    assert (
        np.allclose(found.people[0].face.score, scores, atol=1e-6)
        and (np.diff(scores[:, 0]) > 0).all()
    )


def put_wrong(folder: Path, damage: str) -> None:
    """Both files, one of them with the damage."""
    put(folder)
    pose, finder = folder / FILES["pose"], folder / FILES["detector"]
    whole = pose.read_bytes()
    if damage == "missing":
        finder.unlink()
    elif damage == "empty":
        pose.write_bytes(b"")
    elif damage == "truncated":
        pose.write_bytes(whole[: len(whole) // 2])
    elif damage == "text":
        pose.write_text("not a network " * 100)
    elif damage == "pointer":
        pose.write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 134399116\n"
        )
    elif damage == "exchanged":
        pose.write_bytes(finder.read_bytes())
    elif damage == "other points":
        write(pose, CROP, {"simcc_x": simcc()[0][:17], "simcc_y": simcc()[1][:17]})
    elif damage == "other size":
        write(pose, (3, 256, 192), dict(zip(("simcc_x", "simcc_y"), simcc(), strict=True)))
    elif damage == "giant batch":
        put(folder, 10**6)


DAMAGES = {
    "missing": r"yolox_l.onnx is missing.*models --download dwpose",
    "empty": r"dw-ll_ucoco_384.onnx is empty; download it again",
    "truncated": r"dw-ll_ucoco_384.onnx is not an ONNX network.*models --download dwpose",
    "text": r"dw-ll_ucoco_384.onnx is not an ONNX network",
    "pointer": r"dw-ll_ucoco_384.onnx is a Git LFS pointer",
    "exchanged": r"dw-ll_ucoco_384.onnx is another network.*\(N, 3, 384, 288\).*\(1, 3, 640, 640\)",
    "other points": r"is another network.*\(N, 133, 576\) and \(N, 133, 768\).*\(batch, 17, 576\)",
    "other size": r"is another network.*\(batch, 3, 256, 192\)",
    "giant batch": r"is another network.*1000000",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_one_sentence_with_a_remedy(folder, photo, tmp_path, capfd, damage) -> None:
    put_wrong(folder, damage)
    assert main(pose_of(photo, tmp_path / "out.npz")) == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("error: ") and not (tmp_path / "out.npz").exists()
    assert re.search(DAMAGES[damage], said[0])


def test_a_file_beyond_the_limit_is_not_opened(
    folder, photo, tmp_path, capsys, monkeypatch
) -> None:
    put(folder)
    monkeypatch.setattr(onnx, "MAX_BYTES", 1000)
    assert main(pose_of(photo, tmp_path / "out.npz")) == 2
    assert "where 1 to 1000 are expected" in capsys.readouterr().err


def test_without_the_files_every_command_names_the_download(
    tmp_path, monkeypatch, photo, capsys
) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path))
    monkeypatch.delenv("APV_MODELS", raising=False)
    assert main(pose_of(photo, tmp_path / "out.npz")) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "python -m pipeline models --download dwpose" in said


def test_without_onnxruntime_the_remedy_is_named(folder, monkeypatch) -> None:
    put(folder)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"need onnxruntime.*pip install -r requirements\.txt"):
        detectors.load("dwpose")
