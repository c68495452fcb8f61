"""`evaluate photos --framing`: its rows fail where a head is not its picture's, and hold here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import evaluation
from pipeline.evaluation.photos import framing, parse
from pipeline.media import pose_files
from pipeline.motion import retarget
from pipeline.values import InputError, Keypoints, Pose

HEADS = {  # shipped picture: the part that is kept, as left, top, right, bottom in its box of faces
    "half_jacket.png": (-0.8, -0.9, 1.8, 1.9),
    "three_quarter.png": (-1.6, -1.0, 2.6, 3.2),
}


def landing(**changes) -> framing.Landing:
    plain = framing.Landing("photo", "clip", 1.0, 1.0, 1.0, 0.0, False)
    return replace(plain, **changes)


def failed(*landings: framing.Landing) -> list[str]:
    return [row.name for row in framing.table(landings) if row.passed is False]


def test_rows_fail_by_what_they_name() -> None:
    assert failed(landing(), landing(height=0.9)) == []
    assert failed(landing(), landing(height=0.8)) == ["largest height, or 1 over the smallest"]
    assert failed(landing(height=1.2)) == ["largest height, or 1 over the smallest"]
    assert failed(landing(outside=0.1)) == ["largest share of frames with the face outside"]
    assert failed(landing(untold=True)) == ["share of pairs with something untold"]


def test_what_is_told_is_read_off_the_report() -> None:
    report = retarget.Report(1.0, (0.0, 0.0), {}, 0.0, 0.0, 100.0, 1, 0, ())
    assert framing.is_told(report)
    assert not framing.is_told(replace(report, head_sizes=(0.7, 1.0)))
    assert not framing.is_told(replace(report, outside=0.2))
    closer = "The driving person comes closer or goes away: ..."
    assert framing.is_told(replace(report, head_sizes=(0.7, 1.4), warnings=(closer,)))
    edge = "Part of the skeleton is outside the frame in 20% of the frames"
    assert framing.is_told(replace(report, outside=0.2, warnings=(edge,)))


def test_clips_are_needed_and_nothing_to_compare_is_refused(tmp_path, root) -> None:
    with pytest.raises(InputError, match="--driving"):
        parse(["--framing", "--references", "photo.png"])
    Image.new("RGB", (96, 96), (90, 120, 90)).save(tmp_path / "empty.png")
    clip = root / "assets/driving/seated.npz"
    with pytest.raises(InputError, match="no pair"):
        framing.report([tmp_path / "empty.png"], [clip])


def walker(pose: Pose) -> Pose:
    """The same driver, who comes from 0.5 to 1.3 of the distance's inverse."""
    growth = np.linspace(0.5, 1.3, len(pose))[:, None, None]

    def scaled(points: Keypoints) -> Keypoints:
        return Keypoints(0.5 + growth * (points.xy - 0.5), points.score)

    return replace(pose, body=scaled(pose.body), hands=scaled(pose.hands), face=scaled(pose.face))


@pytest.fixture(scope="module")
def pictures(root, tmp_path_factory) -> list[Path]:
    """The shipped people, and close portraits cut from two of them."""
    from pipeline import media
    from pipeline.analysis.framing import detect_reference

    folder = tmp_path_factory.mktemp("portraits")
    shipped = sorted((root / "assets/reference").glob("*.png"))
    paths = list(shipped)
    for path in shipped:
        if path.name not in HEADS:
            continue
        picture = media.to_picture(media.read_image(path))
        face = detect_reference(picture, "holistic").people[0].face.xy[0]
        low, high = face.min(0), face.max(0)
        shares = np.array(HEADS[path.name]).reshape(2, 2)
        corners = low + shares * (high - low)
        corners = np.clip(corners, 0, 1) * picture.shape[1::-1]
        (left, top), (right, bottom) = corners.astype(int)
        close = Image.fromarray(picture[top:bottom, left:right])
        close.resize((512, round(512 * close.height / close.width))).save(folder / path.name)
        paths.append(folder / path.name)
    return paths


@pytest.mark.slow
def test_heads_keep_size_and_place_on_shipped_people_and_close_portraits(
    pictures, root, tmp_path, capsys
) -> None:
    clips = sorted((root / "assets/driving").glob("*.npz"))
    for name in ("seated", "sway"):
        (pose,) = pose_files.read(root / f"assets/driving/{name}.npz").people
        walker(pose).save(tmp_path / f"{name}_walks.npz")
        clips.append(tmp_path / f"{name}_walks.npz")
    words = ["--framing", "--json", "--references", *map(str, pictures)]
    code = evaluation.run("photos", [*words, "--driving", *map(str, clips)])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0 and found["pass"], [row for row in found["rows"] if row["pass"] is False]
    assert len(found["landings"]) == len(pictures) * len(clips) == 48
    walks = [entry for entry in found["landings"] if entry["driving"].endswith("_walks")]
    assert all(entry["largest"] > 1.15 for entry in walks)
