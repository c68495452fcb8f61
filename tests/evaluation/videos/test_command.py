"""`evaluate videos` on small drawn clips, whose figures are known."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline import media
from pipeline.analysis import detectors
from pipeline.evaluation.videos import command
from pipeline.values import Audio, Detection, InputError, Video
from tests.helpers import tiny
from tests.helpers.reenacted import SIZE, StickDetector, moved
from tests.helpers.stick_person import figure

FRAMES = 50
FPS = 25


def bursts(seconds: float) -> Audio:
    """Noise that is loud and silent by turns, as speech."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * 16000)) / 16000
    loud = np.sin(2 * np.pi * 1.3 * t) > -0.2
    return Audio((0.3 * rng.normal(size=len(t)) * loud).astype(np.float32), 16000)


@pytest.fixture
def clips(tmp_path: Path, monkeypatch) -> Path:
    """Two results with their drawn poses and truths; one of them is darker than its truth."""
    monkeypatch.setattr(detectors, "load", lambda name="stick": StickDetector())
    for folder in ("out", "poses", "truth"):
        (tmp_path / folder).mkdir()
    frames = moved(tiny.motion(FRAMES))
    for name, dark in (("a", 0), ("b", 20)):
        result = Video(frames - np.minimum(frames, dark), FPS, bursts(FRAMES / FPS))
        media.write_video(tmp_path / "out" / f"{name}.mp4", result)
        media.write_video(tmp_path / "truth" / f"{name}.mp4", Video(frames, FPS))
        figure(FRAMES, FPS, SIZE).save(tmp_path / "poses" / f"{name}.npz")
    return tmp_path


def test_known_figures_of_results_with_poses_and_truth(clips: Path, capsys):
    saved = clips / "report.json"
    words = [str(clips / "out"), "--driving", str(clips / "poses"), "--json"]
    assert command.main([*words, "--truth", str(clips / "truth"), "--save", str(saved)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert json.loads(saved.read_text())["rows"] == report["rows"]
    rows = {row["name"]: row for row in report["rows"]}
    for part in ("body", "hands", "face"):
        assert rows[f"AKD {part}"]["value"] == pytest.approx(0, abs=1e-9)
        assert rows[f"PCK@0.05 {part}"]["value"] == 1
    assert rows["HKC"]["value"] == 1 and rows["HKC"]["coverage"] == 1
    assert rows["lip r"]["value"] == pytest.approx(1) and rows["lip lag, frames late"]["value"] == 0
    by_clip = {clip["name"]: clip["figures"] for clip in report["clips"]}
    assert by_clip["a"]["PSNR, dB"] > 40 > 26 > by_clip["b"]["PSNR, dB"] > 20
    assert by_clip["a"]["reenacted: PSNR whole"] == pytest.approx(by_clip["a"]["PSNR, dB"], abs=1)
    assert rows["reenacted: silhouette IoU"]["value"] == 1
    assert rows["reenacted: PSNR person"]["frames"] == 2 * 25  # 12.5 a second
    row = rows["PSNR, dB"]
    assert (row["clips"], row["frames"], row["fps"]) == (2, 2 * FRAMES, 25)
    assert row["definition"] == 1
    assert row["better"] == "up" and row["interval"] is None  # of two clips there is none
    seams = rows["seams, change over its surroundings"]
    assert seams["value"] is None and "no seam is known" in seams["why"]
    assert report["definition"] == 1 and report["detector"]["name"] == "stick"


def test_what_is_not_known_is_null_with_its_reason(clips: Path, capsys):
    assert command.main([str(clips / "out"), "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    for name in ("AKD body", "HKC", "PSNR, dB", "lip J"):
        assert rows[name]["value"] is None and "give --" in rows[name]["why"], name
    assert rows["HKC, hands seen in the result"]["value"] == 1
    assert rows["sync_c_mini"]["value"] is not None
    assert rows["Sync-C"]["value"] is None
    assert "python -m pipeline models --download syncnet" in rows["Sync-C"]["why"]


def test_two_methods_are_printed_beside_one_another(clips: Path, capsys):
    words = [str(clips / "out"), "--against", str(clips / "truth"), "--truth"]
    words += [str(clips / "truth"), "--save", str(clips / "r.md"), "--table", "1"]
    assert command.main(words) == 0
    text = capsys.readouterr().out
    assert re.search(r"EchoMimicV2 \(published\) +987.30 +393.54", text)
    assert "warning: published figures" in text
    assert text.count("(here)") == 2 and "Table 1" in text
    assert "first less second" in text and "fewer than 6 pairs" in text
    assert (clips / "r.md").read_text().startswith("| row | mean |")


def test_files_that_cannot_be_read_are_told_before_the_work(clips: Path, monkeypatch):
    monkeypatch.setattr(command, "measure", lambda *_: pytest.fail("a video is measured"))
    (clips / "truth" / "b.mp4").write_bytes(b"no clip")
    words = [str(clips / "out"), "--truth", str(clips / "truth")]
    with pytest.raises(InputError, match=r"b\.mp4"):
        command.main(words)
    (clips / "poses" / "a.npz").write_bytes(b"no pose")
    with pytest.raises(InputError, match=r"a\.npz"):
        command.main([str(clips / "out"), "--driving", str(clips / "poses")])


def test_nobody_in_a_result_is_missing_and_not_an_error(clips: Path, monkeypatch, capsys):
    class Blind(StickDetector):
        name = "blind"

        def video(self, video: Video):
            yield sum(len(chunk) for chunk in video.chunks())
            return Detection(())

    monkeypatch.setattr(detectors, "load", lambda name="stick": Blind())
    words = [str(clips / "out"), "--driving", str(clips / "poses"), "--json"]
    assert command.main(words) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["AKD body"]["value"] is None  # nothing is in both
    assert rows["MKR body"]["value"] == 1 and rows["HKC"]["value"] == 0
    assert rows["speed-intensity r"]["why"] == "no frame shows both shoulders and a wrist"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--fps", "0"], "5 to 60"),
        (["--save", "report.txt"], "known ending"),
        (["--save", "no/such/report.json"], "does not exist"),
        (["--truth", "nowhere"], "--truth nowhere"),
    ],
)
def test_wrong_arguments_are_told_in_one_sentence(words: list[str], part: str, tmp_path: Path):
    with pytest.raises(InputError, match=part):
        command.main([str(tmp_path), *words])
