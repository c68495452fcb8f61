"""Videos are paired with what they were made from by names, by settings and by lists."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import media
from pipeline.evaluation.videos import seams
from pipeline.evaluation.videos.cases import Companions, find_cases
from pipeline.media import pose_files
from pipeline.values import InputError, Video
from tests.helpers.media_files import disc
from tests.helpers.stick_person import figure


def video(path: Path, settings: dict | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    media.write_video(path, Video(disc(4, (32, 32)), 25), settings=settings)
    return path


def test_companions_are_found_by_name_or_by_the_settings(tmp_path: Path):
    video(tmp_path / "out" / "a.mp4", {"reference": "anna.png"})
    video(tmp_path / "out" / "b.mp4")
    (tmp_path / "out" / "notes.txt").write_text("no video")
    pose_files.write_skeleton(figure(4), tmp_path / "out" / "c.mp4", (32, 32))
    folders = {name: tmp_path / name for name in ("references", "driving", "truth")}
    for folder in folders.values():
        folder.mkdir()
    for name in ("anna.png", "b.jpg"):
        (folders["references"] / name).touch()
    figure(4).save(folders["driving"] / "a.npz")
    video(folders["driving"] / "a.mp4")
    video(folders["driving"] / "b.mp4")
    (folders["truth"] / "b.mpg").touch()
    a, b = find_cases(tmp_path / "out", Companions(**folders))
    assert (a.name, b.name) == ("a", "b")  # the skeleton is no result
    assert a.reference.name == "anna.png" and b.reference.name == "b.jpg"
    assert a.pose.name == "a.npz" and a.driving is None and a.truth is None
    assert b.pose is None and b.driving.name == "b.mp4" and b.truth.name == "b.mpg"


def test_one_driving_file_for_all_is_no_drawn_pose(tmp_path: Path):
    video(tmp_path / "out" / "a.mp4")
    figure(4).save(tmp_path / "dance.npz")
    (case,) = find_cases(tmp_path / "out", Companions(driving=tmp_path / "dance.npz"))
    assert case.pose is None and case.driving.name == "dance.npz"


def test_a_list_names_what_it_knows(tmp_path: Path):
    video(tmp_path / "x" / "a.mp4")
    video(tmp_path / "true.mp4")
    figure(4).save(tmp_path / "a.npz")
    table = tmp_path / "list.tsv"
    table.write_text("# results\nvideo\tname\tpose\ttruth\nx/a.mp4\tfirst\ta.npz\t\n")
    (case,) = find_cases(table, Companions(truth=tmp_path / "true.mp4"))
    assert case.name == "first" and case.pose == tmp_path / "a.npz"
    assert case.truth == tmp_path / "true.mp4" and case.driving is None
    commas = tmp_path / "list.csv"
    commas.write_text("video\nx/a.mp4\n")
    assert find_cases(commas, Companions())[0].name == "a"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("video\tcolour\nx.mp4\tred\n", "has a column colour"),
        ("name\nx\n", "a row without a video"),
        ("video\nmissing.mp4\n", "does not exist"),
        ("video\n", "names no video"),
    ],
)
def test_a_wrong_list_is_told_in_one_sentence(tmp_path: Path, text: str, part: str):
    table = tmp_path / "list.tsv"
    table.write_text(text)
    with pytest.raises(InputError, match=part):
        find_cases(table, Companions())


def test_names_must_differ_and_folders_exist(tmp_path: Path):
    video(tmp_path / "a.mp4")
    video(tmp_path / "a.mov")
    with pytest.raises(InputError, match="several videos named a"):
        find_cases(tmp_path, Companions())
    with pytest.raises(InputError, match="--truth"):
        Companions(truth=tmp_path / "nowhere")
    with pytest.raises(InputError, match="neither a folder"):
        find_cases(tmp_path / "a.mp4", Companions())


def test_seams_are_known_where_the_settings_tell_the_windows():
    settings = {"model": "mini", "fps": 25, "windows": "joint", "window": None, "overlap": None}
    assert seams.borders(settings, 100, 25) == [40, 76]  # three windows of 16 that share 4
    assert seams.borders({**settings, "window": 20}, 100, 25) == [52]
    assert seams.borders({**settings, "fps": 50.0}, 100, 25) == [20, 38, 56, 74, 92]
    assert seams.borders({**settings, "windows": "published"}, 100, 25) == []
    assert seams.borders({**settings, "model": "no/such"}, 100, 25) == []
    assert seams.borders({}, 100, 25) == []
    assert np.diff(seams.borders(settings, 200, 25)).tolist() == [36] * 4
