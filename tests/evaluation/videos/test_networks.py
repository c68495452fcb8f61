"""Rows of networks: null with the command where weights are absent, known answers of fake ones."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import media
from pipeline.analysis import detectors
from pipeline.evaluation.metrics.frechet import RunningStatistics
from pipeline.evaluation.videos import network_figures, sets
from pipeline.evaluation.videos.cases import VideoCase
from pipeline.evaluation.videos.clip import Clip
from pipeline.evaluation.videos.gauges import stream
from pipeline.evaluation.videos.networks import Missing, Networks, open_networks
from pipeline.values import InputError, Video
from tests.helpers.reenacted import SIZE, StickDetector
from tests.helpers.stick_person import figure

FRAMES = 40
FPS = 25.0
ABSENT = Missing("not here")


class MeanColor:
    """Features of pictures: their mean colors; an identity: the direction of the mean color."""

    side = 16

    def features(self, pictures: list[np.ndarray]) -> np.ndarray:
        return np.array([picture.reshape(-1, 3).mean(0) for picture in pictures])

    def embed(self, face: np.ndarray) -> np.ndarray:
        color = face.reshape(-1, 3).mean(0)
        return color / np.linalg.norm(color)

    def distance(self, frame: np.ndarray, truth: np.ndarray) -> float:
        return float(np.abs(frame.astype(float) - truth).mean())


class FirstFrame:
    """Features of clips: the mean color of their first frames."""

    def features(self, clips: np.ndarray) -> np.ndarray:
        return clips[:, 0].mean((1, 2))


def networks(**given: object) -> Networks:
    names = ("sync", "identity", "lpips", "pictures", "clips")
    return Networks(**{name: given.get(name, ABSENT) for name in names})


def colored(path: Path, color: tuple[int, int, int], seed: int = 0) -> Path:
    """A clip of one color, whose frames are a little lighter or darker."""
    rng = np.random.default_rng(seed)
    light = rng.normal(0, 4, (FRAMES, 1, 1, 3))
    frames = np.array(color) + light + np.zeros((FRAMES, *SIZE, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    media.write_video(path, Video(frames.clip(0, 255).astype(np.uint8), FPS))
    return path


def test_absent_weights_are_told_with_the_command(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("APV_MODELS", str(tmp_path))
    found = open_networks()
    for name, model_set in (
        ("sync", "syncnet"),
        ("identity", "arcface"),
        ("lpips", "lpips-alex"),
        ("pictures", "inception-fid"),
        ("clips", "i3d"),
    ):
        network = getattr(found, name)
        assert isinstance(network, Missing)
        assert f"python -m pipeline models --download {model_set}" in network.why
    assert found.checksums == {}
    with pytest.raises(InputError):
        open_networks(tmp_path / "face.onnx")


def statistics(paths: list[Path], using: Networks) -> sets.SetStatistics:
    return sets.set_statistics(
        paths, using, FPS, lambda: RunningStatistics(3), lambda: RunningStatistics(3)
    )


def test_fid_of_a_planted_color_is_its_squared_shift_and_of_equal_sets_the_floor(tmp_path: Path):
    using = networks(pictures=MeanColor(), clips=FirstFrame())
    real = [colored(tmp_path / "real" / f"{n}.mp4", (90, 120, 90), n) for n in range(4)]
    near = [colored(tmp_path / "near" / f"{n}.mp4", (90, 120, 90), n + 9) for n in range(4)]
    far = [colored(tmp_path / "far" / f"{n}.mp4", (120, 120, 130), n + 9) for n in range(4)]
    halves = (statistics(real[::2], using), statistics(real[1::2], using))
    truth = sets.RealVideos(sets.merged(*halves), halves)
    assert truth.whole.pictures.count == 4 * FRAMES / sets.FRAME_STEP
    assert truth.whole.clips.count == 4 * 2  # 16 of 40 frames, twice
    rows = {}
    for name, paths in (("near", near), ("far", far)):
        for row in sets.set_rows(statistics(paths, using), truth, using, FPS):
            rows[name, row.name] = row
    assert rows["far", "FID"].value == pytest.approx(30**2 + 40**2, rel=0.05)
    assert rows["near", "FID"].value < 20
    assert rows["far", "FID, real half against real half"].value < 20
    assert rows["far", "FVD"].value > 20 * rows["near", "FVD"].value
    assert (rows["far", "FID"].clips, rows["far", "FID"].frames) == (4, 32)


def test_fid_without_real_videos_or_weights_is_null_with_the_reason(tmp_path: Path):
    seen = networks(pictures=MeanColor())
    fid, fvd = sets.set_rows(None, None, seen, FPS)
    assert fid.name == "FID" and "--real" in fid.to_dict()["why"]
    assert fvd.name == "FVD" and fvd.to_dict()["why"] == "not here"
    colored(tmp_path / "real" / "one.mp4", (9, 9, 9))
    with pytest.raises(InputError, match="holds 1 videos"):
        sets.real_videos(tmp_path / "real", seen, FPS)


def open_colored(tmp_path: Path, color: tuple[int, int, int]) -> Clip:
    """A clip of one color whose reference is a green picture, and its truth a gray one."""
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8) + np.array([0, 200, 0], np.uint8)).save(
        tmp_path / "green.png"
    )
    case = VideoCase(
        "a",
        colored(tmp_path / "a.mp4", color),
        reference=tmp_path / "green.png",
        truth=colored(tmp_path / "truth.mp4", (100, 100, 100)),
    )
    return Clip(case, FPS, figure(FRAMES, FPS, SIZE), None, None, None, None)


def test_csim_and_lpips_of_known_colors(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(detectors, "load", lambda name="stick": StickDetector())
    using = networks(identity=MeanColor(), lpips=MeanColor())
    clip = open_colored(tmp_path, (100, 100, 100))
    gauge = network_figures.identity_gauge(clip, using, "stick")
    perceived = network_figures.Perceived(FRAMES, using.lpips)
    figures = stream(clip, [gauge, perceived])
    assert figures["CSIM"].value == pytest.approx(1 / math.sqrt(3), abs=0.02)
    assert figures["CSIM"].coverage == 1 and figures["CSIM"].frames == FRAMES / 5
    assert figures["CSIM, frames without a face"].value == 0
    assert figures["LPIPS"].value < 3


def test_networks_that_are_absent_leave_their_reason(tmp_path: Path):
    clip = open_colored(tmp_path, (50, 50, 50))
    none = networks()
    rows = {
        **network_figures.sync_figures(clip, none),
        **network_figures.identity_gauge(clip, none, "stick"),
        **network_figures.Perceived(FRAMES, none.lpips).figures(),
    }
    assert len(rows) == 9
    assert all(math.isnan(row.value) and row.why == "not here" for row in rows.values())
    silent = network_figures.sync_figures(clip, networks(sync=MeanColor()))
    assert "no sound" in silent["Sync-C"].why
