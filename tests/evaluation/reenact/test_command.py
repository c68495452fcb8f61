"""`evaluate reenact`: its rows, levels, worst clips, and the whole command on real key points."""

import json

import numpy as np
import pytest

from pipeline import media
from pipeline.evaluation import reenact
from pipeline.evaluation.reenact.figures import PLACES, Figures
from pipeline.evaluation.reenact.table import ClipFigures, clip_table, table_rows
from pipeline.evaluation.videos.cases import Companions, find_cases
from pipeline.values import InputError
from tests.helpers import reenacted


def clip_figures(name: str, copy: float, warp: float, debris: float = 0.0) -> ClipFigures:
    found = {"silhouette IoU": 0.9, "hand points": float("nan")}

    def figures(psnr: float) -> Figures:
        return Figures(dict.fromkeys(PLACES, psnr), debris=debris, found=found)

    return ClipFigures(name, "", {"copy": figures(copy), "warp": figures(warp)})


def test_rows_are_means_worst_clips_and_gains_over_the_copy():
    clips = [clip_figures("calm", 28.0, 25.5, 40.0), clip_figures("wild", 15.0, 19.5, 10.0)]
    rows = {row.name: row for row in table_rows(clips)}
    assert rows["PSNR person: warp alone"].value == 22.5
    assert rows["PSNR person, worst clip: warp alone"].value == 19.5
    assert rows["debris, worst clip: warp alone"].value == 40
    assert rows["PSNR whole: warp alone less copy of the reference"].value == 1
    least = rows["PSNR whole, worst clip: warp alone less copy of the reference"]
    assert least.value == -2.5 and least.passed is False
    unseen = rows["hand points: warp alone"].to_dict()
    assert unseen["value"] is None and unseen["why"] == "no clip shows it"
    asked = [name for name, row in rows.items() if row.level is not None]
    assert len(asked) == 2  # nothing else has a level
    assert not any("network" in name for name in rows)  # it was not measured
    assert "calm" in clip_table(clips) and "wild" in clip_table(clips)
    assert clips[0].to_dict()["methods"]["warp"]["hand points"] is None


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--seconds", "0.1"], "0.5 to 60"),
        (["--sheet", "no/such/folder/x.png"], "folder does not exist"),
        (["--sheet", "sheet.xyz"], "PNG"),
        (["--half", "held"], "held half"),
        (["--only", "magic"], "magic"),
    ],
)
def test_wrong_arguments_are_one_sentence(words, part, root):
    with pytest.raises(InputError, match=part):
        reenact.parse([str(root / "assets" / "driving" / "beats.mp4"), *words])


def test_a_clip_that_cannot_be_read_is_told_before_the_others_are_measured(
    root, tmp_path, monkeypatch
):
    monkeypatch.setattr(reenact, "prepare", lambda *_: pytest.fail("a clip is measured"))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no clip")
    clips = [root / "assets" / "driving" / "beats.mp4", broken]
    with pytest.raises(InputError, match=r"broken\.mp4"):
        reenact.evaluate(clips, "mini", 1.0, ["copy"])


def test_videos_of_all_methods_and_the_truth_are_kept_for_evaluate_videos(tmp_path):
    drawn = reenacted.case()
    frames = {"copy": np.repeat(drawn.image[None], len(drawn), 0), "warp": drawn.truth}
    reenact.write_videos(tmp_path / "kept", drawn, frames)
    cases = find_cases(tmp_path / "kept" / "warp", Companions(truth=tmp_path / "kept" / "truth"))
    assert [(case.name, case.truth.name) for case in cases] == [("drawn", "drawn.mp4")]
    assert media.probe(cases[0].video).frames == len(drawn)


@pytest.mark.slow
def test_a_real_clip_end_to_end(shared, tmp_path, capsys):
    clip = shared / "media" / "driving" / "d18_sign_language.mkv"
    sheet = tmp_path / "sheet.png"
    words = ["--seconds", "1", "--only", "copy", "warp", "--json", "--sheet", str(sheet)]
    code = reenact.main([str(clip), *words])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {row["name"]: row["value"] for row in report["rows"]}
    assert code == (0 if report["pass"] else 1)
    assert report["clips"][0]["half"] == "tuning"
    assert rows["debris: copy of the reference"] == 0
    assert 10 < rows["PSNR person: warp alone"] < 40
    assert rows["silhouette IoU: warp alone"] > 0.7
    assert rows["body points: warp alone"] > 0.7
    assert sheet.stat().st_size > 0
    assert np.isfinite(rows["SSIM face: warp alone"])
