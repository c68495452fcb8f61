"""EMTD and HDTF: lists of an invented test set, and clips cut from drawn videos."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import media
from pipeline.analysis import detectors
from pipeline.evaluation.protocols import command
from pipeline.evaluation.protocols.cut import person_square
from pipeline.evaluation.protocols.segments import (
    Crop,
    read_crops,
    read_emtd,
    read_hdtf,
    seconds_of,
)
from pipeline.evaluation.videos.cases import Companions, find_cases
from pipeline.values import Audio, InputError, Pose, Video
from tests.helpers.reenacted import SIZE, StickDetector
from tests.helpers.stick_person import figure

EMTD_LIST = """video,start,end
talk,0:00.5,2.5
https://www.youtube.com/watch?v=lec-ture_1&t=7,1,00:00:03
talk.mp4,0,0.4
gone,0,5
"""


def counting_clip(path: Path, seconds: float, fps: float, size: tuple[int, int] = SIZE) -> None:
    """A clip whose gray level counts its frames, with a sound that ramps up."""
    frames = round(seconds * fps)
    levels = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    pictures = np.zeros((frames, *size, 3), np.uint8) + 2 * levels + 20
    ramp = np.linspace(0, 0.5, round(seconds * 16000)).astype(np.float32)
    media.write_video(path, Video(pictures, fps, Audio(ramp, 16000)))


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(detectors, "load", lambda name="stick": StickDetector())
    folder = tmp_path / "downloads"
    folder.mkdir()
    counting_clip(folder / "talk.mp4", 3.0, 30.0)
    counting_clip(folder / "lec-ture_1.webm", 3.5, 24.0)
    return folder


def run(*words: object) -> int:
    return command.main([str(word) for word in words])


def test_emtd_is_cut_trimmed_framed_and_laid_out(downloads: Path, tmp_path: Path, capsys):
    table = tmp_path / "emtd.csv"
    table.write_text(EMTD_LIST)
    out = tmp_path / "out"
    words = ("emtd", "--videos", downloads, "--list", table, "--output", out, "--json")
    assert run(*words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["clips"] == ["talk_0", "lec-ture_1_0"], report["dropped"]
    assert [sentence.split(":")[0] for sentence in report["dropped"]] == ["talk_1", "gone_0"]
    clip = media.probe(out / "driving" / "talk_0.mp4")
    assert (clip.width, clip.height, clip.fps) == (768, 768, 24)
    assert clip.seconds == pytest.approx(2.0 - 6 / 30, abs=1 / 24)  # three frames at both ends
    frames = next(media.read_video(out / "driving" / "talk_0.mp4").chunks())
    level = np.median(frames[0]) - 20
    assert level == pytest.approx(2 * (0.6 * 30), abs=6)  # it begins at 0.5 s and three frames
    sound = media.read_audio(out / "audio" / "talk_0.wav")
    assert np.median(sound.samples[:800]) == pytest.approx(0.5 * 0.6 / 3, abs=0.02)
    assert (out / "references" / "talk_0.png").is_file()
    jobs = (out / "jobs.csv").read_text().splitlines()
    assert jobs[0] == "reference,audio,driving,output" and len(jobs) == 3
    with pytest.raises(InputError, match="does not exist"):  # nothing is rendered yet
        find_cases(out / "list.tsv", Companions())
    for name in report["clips"]:
        data = (out / "driving" / f"{name}.mp4").read_bytes()
        (out / "videos" / f"{name}.mp4").write_bytes(data)
    cases = find_cases(out / "list.tsv", Companions())
    assert cases[0].truth.name == "talk_0.mp4" and cases[0].reference.name == "talk_0.png"


def test_portraits_are_given_in_turn_and_leave_no_truth(downloads: Path, tmp_path: Path):
    table = tmp_path / "emtd.tsv"
    table.write_text("video\tstart\tend\tname\ntalk\t0\t2\tone\ntalk\t1\t3\ttwo\n")
    portraits = tmp_path / "portraits"
    portraits.mkdir()
    for name, size in (("a.png", (120, 90)), ("b.png", (130, 90))):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(portraits / name)
    out = tmp_path / "out"
    words = ("emtd", "--videos", downloads, "--list", table, "--output", out)
    assert run(*words, "--references", portraits) == 0
    heights = [media.read_image(out / "references" / f"{n}.png").shape[0] for n in ("one", "two")]
    assert heights == [120, 130]
    assert (
        "videos/one.mp4\treferences/one.png\tdriving/one.mp4\t\t" in (out / "list.tsv").read_text()
    )


def test_hdtf_follows_stretches_crops_and_clips_that_are_cut_already(
    downloads: Path, tmp_path: Path, capsys
):
    counting_clip(downloads / "Radio2_0.mp4", 1.6, 25.0)
    text = tmp_path / "RD_annotion_time.txt"
    text.write_text("talk.mp4 00:00-00:02 00:01-00:03 \nRadio2.mp4 00:30-01:00\n")
    crops = tmp_path / "RD_crop_wh.txt"
    crops.write_text("talk_0.mp4 10 60 20 60\ntalk_1.mp4 90 60 20 60\n")
    out = tmp_path / "out"
    words = ("hdtf", "--videos", downloads, "--list", text, "--crops", crops, "--output", out)
    assert run(*words, "--seconds", "1.2") == 0
    printed = capsys.readouterr().out
    assert (
        "left out: talk_1: its crop ends at 150x80 pixels" in printed and "2 of 3 clips" in printed
    )
    for name in ("talk_0", "Radio2_0"):
        clip = media.probe(out / "driving" / f"{name}.mp4")
        assert (clip.width, clip.height, clip.fps) == (512, 512, 25)
        assert clip.seconds == pytest.approx(1.2, abs=0.05)


def test_the_square_holds_face_and_arms_with_a_margin():
    person = figure(4, size=(400, 400))
    square = person_square(person)
    face_top = person.face.xy[..., 1].min() * 400
    wrist = person.body.xy[:, 4, 1].max() * 400
    height = wrist - face_top
    assert square.top == pytest.approx(face_top - 0.65 * 0.25 * height, abs=1)
    assert square.bottom == pytest.approx(wrist + 0.5 * 0.25 * height, abs=1)
    assert square.width == square.height
    assert person_square(Pose.empty(3, 25, (400, 400))) is None


def test_times_and_lists(tmp_path: Path):
    assert seconds_of("75.5") == seconds_of("01:15.5") == seconds_of("0:1:15.5") == 75.5
    with pytest.raises(InputError, match="no time"):
        seconds_of("noon")
    crops = tmp_path / "crops.txt"
    crops.write_text("a_0.mp4 483 390 12 391\n")
    assert read_crops(crops) == {"a_0": Crop(left=483, top=12, width=390, height=391)}


@pytest.mark.parametrize(
    ("read", "text", "part"),
    [
        (read_emtd, "clip,start,end\na,0,1\n", "row without a video"),
        (read_emtd, "video,start,end\na,2,1\n", "must end after"),
        (read_hdtf, "a.mp4 00:05\n", "MM:SS-MM:SS"),
        (read_crops, "a_0.mp4 1 2 3\n", "left width top height"),
    ],
)
def test_wrong_lists_are_told_in_one_sentence(tmp_path: Path, read, text: str, part: str):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=part):
        read(path)
