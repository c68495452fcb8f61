"""Nothing finished is lost: the embedded model is killed, filled up or interrupted, and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline import ROOT, media
from pipeline.studio.cli import main
from pipeline.values import Progress
from tests.helpers.segments import decode, growing_file, names_in
from tests.helpers.small_disk import Disk, small_file_system

FRAMES = 48
FPS = 12
FIRST_SEGMENT = 14  # three windows of 6 that share 2
SECONDS_TO_START = 300


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four seconds of a shipped speech."""
    folder = tmp_path_factory.mktemp("speech")
    os.environ["APV_CACHE"] = str(folder / "cache")
    samples, rate = soundfile.read(ROOT / "assets" / "speech" / "lecture.wav")
    soundfile.write(folder / "speech.wav", samples[: 4 * rate], rate)
    return str(folder / "speech.wav")


def words(speech: str, output: Path | str, *more: str) -> list[str]:
    """Return the words of a `generate` of the embedded model with 48 small frames."""
    reference = str(ROOT / "assets" / "reference" / "half_jacket.png")
    return [
        *("generate", "--reference", reference, "--audio", speech, "--output", str(output)),
        *("--fps", str(FPS), "--height", "128", "--width", "128"),
        *("--window", "6", "--overlap", "2", *more),
    ]


@pytest.fixture(scope="module")
def whole(speech: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nothing interrupts."""
    output = tmp_path_factory.mktemp("whole") / "whole.mp4"
    assert main(words(speech, output)) == 0
    assert names_in(output.parent) == ["whole.mp4"]
    return output


def stop_in_the_middle(speech: str, output: Path | str, number: int) -> tuple[int, str]:
    """Start a run of its own, send it a signal after its first segment; return code and words."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *words(speech, output)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + SECONDS_TO_START
    while not media.notes_path(output).exists() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=SECONDS_TO_START)
    return process.returncode, said


def check_same(output: Path, whole: Path) -> None:
    """Check that a run that went on gave the frames and the sound of a whole one."""
    assert np.array_equal(decode(output), decode(whole))
    sounds = [media.read_audio(path).samples for path in (output, whole)]
    assert np.array_equal(*sounds)
    assert media.probe(output) == media.probe(whole)
    assert media.read_settings(output) == media.read_settings(whole)


def test_a_killed_run_plays_and_goes_on_with_the_same_frames(
    speech: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    output = tmp_path / "o.mp4"
    code, _ = stop_in_the_middle(speech, output, signal.SIGKILL)
    assert code == -signal.SIGKILL and not output.exists()
    played = decode(growing_file(output))
    assert FIRST_SEGMENT <= len(played) < FRAMES
    assert np.array_equal(played, decode(whole)[: len(played)])
    heard = media.read_audio(growing_file(output)).seconds
    assert abs(heard - len(played) / FPS) < 0.2
    assert main([*words(speech, output, "--seed", "1"), "--resume"]) == 2
    assert "--seed was 0 and is 1" in capsys.readouterr().err
    assert main([*words(speech, output), "--resume", "--json"]) == 0
    said = capsys.readouterr()
    resumed = json.loads(said.out.splitlines()[-1])["resumed_frames"]
    assert FIRST_SEGMENT <= resumed <= len(played)
    assert f"resume: {resumed} frames are finished" in said.err
    check_same(output, whole)
    assert names_in(tmp_path) == ["o.mp4"]


def test_a_terminated_run_says_what_is_kept_and_goes_on(
    speech: str, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "o.mp4"
    code, said = stop_in_the_middle(speech, output, signal.SIGTERM)
    kept = media.probe(output).frames
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert code == 2 and FIRST_SEGMENT <= kept < FRAMES
    assert line == (
        f"error: interrupted; the {kept} finished frames are kept in {output}; "
        "--resume goes on from there"
    )
    assert main([*words(speech, output), "--resume"]) == 0
    check_same(output, whole)
    assert names_in(tmp_path) == ["o.mp4"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace the network by frames that are drawn; interrupt after as many as the list says."""
    from pipeline.render.svd.pipeline import AudioPoseSVDPipeline
    from pipeline.values import ResumePoint

    stops: list[int] = []

    def render(self, image, motion, *, height, width, resume_from=None, **_) -> Iterator[Progress]:
        first = 0 if resume_from is None else resume_from.frames
        yield Progress("denoise", 0, len(motion))
        for start in range(first, len(motion), 10):
            if stops and start >= stops[0]:
                raise KeyboardInterrupt
            stop = min(start + 10, len(motion))
            frames = np.zeros((stop - start, height, width, 3), np.uint8)
            frames += np.arange(start, stop, dtype=np.uint8)[:, None, None, None]
            point = ResumePoint(stop, {"generator": np.zeros(1, np.uint8)}, {})
            yield Progress("decode", stop, len(motion), frames, resume_point=point)

    monkeypatch.setattr(AudioPoseSVDPipeline, "render", render)
    return stops


def test_an_interruption_before_the_first_frame_claims_nothing(
    speech: str, tmp_path: Path, drawn: list[int], capsys: pytest.CaptureFixture
) -> None:
    drawn.append(0)
    assert main(words(speech, tmp_path / "o.mp4")) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "error: interrupted before a frame was finished; nothing was written"
    assert names_in(tmp_path) == []


def test_an_interruption_of_the_analysis_claims_nothing(
    speech: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.studio.steps.analyse", interrupt)
    assert main(words(speech, tmp_path / "o.mp4")) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: interrupted"


@pytest.mark.parametrize("name", ["o.mkv", "o.webm", "o.gif", "o/"])
def test_every_kind_of_output_goes_on(
    speech: str, tmp_path: Path, drawn: list[int], capsys: pytest.CaptureFixture, name: str
) -> None:
    output = f"{tmp_path}/{name}"
    whole = f"{tmp_path}/whole{name[1:]}"
    assert main(words(speech, whole)) == 0
    drawn.append(20)
    assert main(words(speech, output)) == 2
    assert "the 20 finished frames are kept in" in capsys.readouterr().err
    assert media.probe(output).frames in (20, 21)
    drawn.clear()
    assert main([*words(speech, output), "--resume"]) == 0
    if name == "o/":
        assert names_in(Path(output)) == names_in(Path(whole)) and len(names_in(Path(whole))) == 48
        pictures = [path.read_bytes() for path in sorted(Path(output).iterdir())]
        assert pictures == [path.read_bytes() for path in sorted(Path(whole).iterdir())]
    else:
        assert Path(output).read_bytes() == Path(whole).read_bytes()
    assert names_in(tmp_path) == sorted([name.rstrip("/"), f"whole{name[1:]}".rstrip("/")])


def test_where_nothing_is_unfinished_a_run_starts_afresh(
    speech: str, tmp_path: Path, drawn: list[int], capsys: pytest.CaptureFixture
) -> None:
    assert main(words(speech, tmp_path / "o.mp4", "--resume")) == 0
    assert "has no unfinished part; the run starts afresh" in capsys.readouterr().err
    assert media.probe(tmp_path / "o.mp4").frames == FRAMES


def test_a_run_without_resume_warns_and_replaces(
    speech: str, tmp_path: Path, drawn: list[int], capsys: pytest.CaptureFixture
) -> None:
    drawn.append(20)
    assert main(words(speech, tmp_path / "o.mp4")) == 2
    drawn.clear()
    capsys.readouterr()
    assert main(words(speech, tmp_path / "o.mp4", "--seed", "5")) == 0
    assert "is replaced as soon as frames are finished; --resume would" in capsys.readouterr().err
    assert media.read_settings(tmp_path / "o.mp4")["seed"] == 5
    assert names_in(tmp_path) == ["o.mp4"]


def test_a_full_disk_is_exit_2_and_goes_on(
    speech: str,
    tmp_path: Path,
    drawn: list[int],
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "o.mp4"
    with monkeypatch.context() as patch:
        disk = Disk(patch)
        disk.room_bytes = 12_000
        assert main(words(speech, output)) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    place = growing_file(output)
    frames = len(decode(place))
    assert 10 <= frames < FRAMES
    assert said == (
        f"error: output {output} cannot be written: the disk is full; the {frames} finished frames "
        f"are kept in {place}; free some space and go on with --resume"
    )
    assert main([*words(speech, output), "--resume"]) == 0
    assert media.probe(output).frames == FRAMES and names_in(tmp_path) == ["o.mp4"]


def test_a_part_without_notes_is_not_gone_on_with(
    speech: str, tmp_path: Path, drawn: list[int], capsys: pytest.CaptureFixture
) -> None:
    output = tmp_path / "o.mp4"
    drawn.append(20)
    assert main(words(speech, output)) == 2
    drawn.clear()
    media.notes_path(output).unlink()
    capsys.readouterr()
    for more, sentence in (
        ("--json", "is replaced as soon"),
        ("--resume", "the run starts afresh"),
    ):
        drawn.append(20)
        assert main(words(speech, output, more)) == 2
        said = capsys.readouterr().err
        assert sentence in said and f"{growing_file(output)} is replaced as soon" in said
        assert "would go on" not in said
        media.notes_path(output).unlink()


def test_a_real_small_file_system(
    speech: str, tmp_path: Path, drawn: list[int], capsys: pytest.CaptureFixture
) -> None:
    with small_file_system(tmp_path / "disk", 24_576) as disk:
        assert main(words(speech, disk / "o.mp4")) == 2
        assert "the disk is full; the " in capsys.readouterr().err
        assert 10 <= len(decode(growing_file(disk / "o.mp4"))) <= FRAMES
