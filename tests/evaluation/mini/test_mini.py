"""`evaluate mini`: planted mouths and pictures give the figures that they should, and rows can
fail."""

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from pipeline.evaluation import mini
from pipeline.evaluation.metrics import mouth, pixels
from pipeline.evaluation.metrics.correlation import Correlation
from pipeline.evaluation.mini import cases, lip_table, measure, resolution, slider, table
from pipeline.evaluation.mini.figures import SOUND_FRAME_STEP, Figures
from pipeline.evaluation.report import DEFINITIONS, Report, Row
from pipeline.evaluation.report import table as printed_table
from pipeline.models import mouth_reader
from pipeline.studio.cli import main as command
from pipeline.training import mini_model, train_mouth_reader
from pipeline.training.data import clips as pool
from pipeline.training.data import filming, held_out
from tests.helpers.talks import WORDS, tiny_talk
from tests.helpers.tiny import tiny_pipeline


def spoken_gap(frames: int = 120) -> np.ndarray:
    """A mouth that shuts in the middle of every p b m of `WORDS` and opens by chance between
    them."""
    time = (np.arange(frames) + mouth.PHASE) / 25
    wide = np.random.default_rng(0).uniform(0.5, 1.0, len(WORDS) + 1)
    gap = np.array([wide[int(t / 0.32)] for t in time])
    for name, start, end in WORDS:
        if name in "pbm":
            gap[np.abs(time - (start + end) / 2) < 0.06] = 0.0
    return 0.2 * gap


def figures(**gaps: np.ndarray) -> Figures:
    """A talk whose mouths are all the true one but for those given, and whose other rows just
    pass."""
    true = spoken_gap()
    names = ("true", "truth", "result", "warp", "spoken", "spoken warp", "prior")
    still = {name: np.full(len(true), 0.1) for name in ("frozen", "loud", "shuffled")}
    dB = {
        "copy": 20.0,
        "warp": 27.0,
        "frozen": 24.0,
        "loud": 24.0,
        "shuffled": 24.0,
        "result": 29.0,
    }
    dB["four"] = 28.5
    return Figures(
        WORDS,
        {name: dict.fromkeys(table.PLACES, value) for name, value in dB.items()},
        {"warp": 0.5, "result": 0.7, "four": 0.9},
        {"truth": 1.0, "warp": 1.0, "result": 1.1},
        dict.fromkeys(names, true) | still | gaps,
        {"points prior": 1.0, "points truth": 1.0, "pixels prior": 1.0, "pixels truth": 2.0},
        {"prior": 0.2},
    )


def rows_of(found: Figures, z: float = 5.0) -> dict:
    return {
        row.name: row for row in table.table_rows([found], [found], Correlation(0.2, z), "no nulls")
    }


def failed(rows: dict) -> set[str]:
    return {name for name, row in rows.items() if row.passed is False}


def test_planted_mouths_have_the_r_and_j_of_their_faults():
    true = spoken_gap()
    found = {
        "same": true,
        "late": np.roll(true, 3),
        "frozen": np.full_like(true, 0.1),
        "shut": np.zeros_like(true),
        "soft": gaussian_filter1d(true, 3.0),
        "narrow": 0.7 * true,
    }
    r = {name: mouth.best_r(curve, true) for name, curve in found.items()}
    j = {name: mouth.closures(curve, true, WORDS).j for name, curve in found.items()}
    assert r["same"] == pytest.approx(1) and j["same"] == pytest.approx(1)
    assert (
        r["late"] > 0.9 and j["late"] < 0.3
    )  # the best lag forgives lateness, the closures do not
    assert r["frozen"] == 0 and j["frozen"] == 0
    assert r["shut"] == 0 and j["shut"] == 0  # every p closes, and everything else
    assert r["soft"] > 0.3 and j["soft"] < 0.2
    assert r["narrow"] == pytest.approx(1) and j["narrow"] > 0.95
    assert np.isnan(mouth.closures(true, true, [("aa", 0.0, 4.8)]).j)


def test_weak_signals_are_judged_without_the_best_of_many_lags():
    noise = np.random.default_rng(1).standard_normal((2, 60))
    own, best = mouth.products(*noise), mouth.best_r(*noise)
    assert own.r == pytest.approx(np.corrcoef(*noise)[0, 1]) and abs(own.r) < best
    pooled = mouth.products(noise[0] + 5, noise[0]) + mouth.products(noise[1], noise[1] - 3)
    assert pooled.r == pytest.approx(1)
    assert mouth.products(np.ones(60), noise[0]).r == 0


def faces(gaps: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (N,3,64,64) of skin with a dark mouth of height `gaps`, and face points; places
    vary."""
    generator = torch.Generator().manual_seed(seed)
    middle = 26 + 8 * torch.rand((len(gaps), 2), generator=generator)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    mouth = middle + torch.tensor([0.0, 12.0 * mouth_reader.BELOW])
    across = (x - mouth[:, 0, None, None]).abs() < 5
    inside = across & ((y - mouth[:, 1, None, None]).abs() < 0.5 + 6 * gaps[:, None, None])
    skin = 0.5 + 0.3 * torch.rand((len(gaps), 3, 1, 1), generator=generator)
    pictures = torch.where(inside[:, None], 0.2 * skin, skin).expand(-1, 3, -1, -1).contiguous()
    face = torch.zeros(len(gaps), 68, 3)
    face[:, 31:36, :2] = middle[:, None]
    face[:, 36:48, :2] = middle[:, None] - torch.tensor([0.0, 12.0])
    face[:, :, :2] /= 64
    return pictures, face


def test_crops_follow_the_head_in_place_size_and_turn():
    pictures, face = faces(torch.tensor([0.8]), 3)
    crop = mouth_reader.mouth_crops(pictures, face)
    dark = crop[0, 0] < 0.6 * crop[0, 0].max()
    rows, columns = torch.nonzero(dark, as_tuple=True)
    assert rows.float().mean() == pytest.approx(9.5, abs=0.7)
    assert columns.float().mean() == pytest.approx(9.5, abs=0.7)
    turned = face.clone()
    turned[..., 0], turned[..., 1] = 1 - face[..., 1], face[..., 0]  # a quarter turn to the right
    again = mouth_reader.mouth_crops(pictures.rot90(-1, (2, 3)), turned)
    assert (again - crop).abs().max() < 1e-3
    large = torch.nn.functional.interpolate(pictures, scale_factor=2.0, mode="bilinear")
    assert (mouth_reader.mouth_crops(large, face) - crop).abs().mean() < 0.02


def test_the_reader_learns_apertures_and_is_deaf_to_light():
    gaps = torch.rand(240, generator=torch.Generator().manual_seed(0))
    pictures, face = faces(gaps, 1)
    made = train_mouth_reader.fit(mouth_reader.mouth_crops(pictures, face), gaps, steps=150)
    assert sum(p.numel() for p in made.parameters()) < 8000
    assert not any(p.requires_grad for p in made.parameters())
    fresh = torch.rand(40, generator=torch.Generator().manual_seed(9))
    pictures, face = faces(fresh, 2)
    seen = made.read(pictures, face)
    assert np.corrcoef(seen, fresh)[0, 1] > 0.95
    assert (made.read(0.6 * pictures, face) - seen).abs().max() < 0.02
    frozen, face = faces(torch.full((40,), 0.5), 4)
    assert made.read(frozen, face).std() < 0.5 * seen.std()
    again = train_mouth_reader.fit(mouth_reader.mouth_crops(*faces(gaps, 1)), gaps, steps=150)
    assert torch.equal(again.read(frozen, face), made.read(frozen, face))


def test_the_shipped_reader_is_frozen_and_its_absence_has_a_remedy(tmp_path):
    made = mouth_reader.shipped()
    assert not made.training and not any(p.requires_grad for p in made.parameters())
    with pytest.raises(ValueError, match="pipeline.training.train_mouth_reader"):
        mouth_reader.shipped(tmp_path / "none.safetensors")


def test_the_reader_is_trained_and_written(tmp_path, monkeypatch):
    monkeypatch.setattr(train_mouth_reader.fit, "__defaults__", (train_mouth_reader.SEED, 3))
    path = tmp_path / "reader.safetensors"
    assert train_mouth_reader.main(["--out", str(path), "--people", "2"]) == 0
    generator = torch.Generator().manual_seed(0)
    crops = torch.rand((4, 3, mouth_reader.SIDE, mouth_reader.SIDE), generator=generator)
    assert torch.isfinite(mouth_reader.shipped(path)(crops)).all()
    with pytest.raises(ValueError, match="--people 0"):
        train_mouth_reader.main(["--out", str(path), "--people", "0"])


def test_lessons_are_of_training_presenters_and_voices(monkeypatch):
    asked = []
    scenes = filming.draw_scenes
    monkeypatch.setattr(filming, "draw_scenes", lambda *args: asked.append(args) or scenes(*args))
    crops, gaps = train_mouth_reader.draw_lessons(2)
    assert crops.shape == (
        2 * train_mouth_reader.FRAMES,
        3,
        mouth_reader.SIDE,
        mouth_reader.SIDE,
    ) and gaps.shape == (8,)
    assert 0 <= gaps.min() < gaps.max() < 0.5 and crops.std() > 0.01
    generator, _, _, _, bank = asked[0]
    assert generator.initial_seed() < pool.HELD_OUT_SEED
    assert "espeak:held-out" not in {talk.voice for talk in bank.talks}


def test_flicker_and_sharpness_see_what_was_done():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand((1, 3, 32, 32), generator=generator).repeat(6, 1, 1, 1)
    truth[:, :, :8] += torch.linspace(0, 0.5, 6).view(-1, 1, 1, 1)  # this part moves
    shaken = truth + 0.02 * torch.randn(truth.shape, generator=generator)
    still = pixels.still_pixels(truth)
    assert pixels.flicker(truth, still) < 0.1
    assert pixels.flicker(shaken, still) == pytest.approx(255 * 0.02 * 2**0.5 * 0.8, rel=0.1)
    box = torch.ones(6, 1, 32, 32)
    soft = torch.nn.functional.avg_pool2d(truth, 3, 1, 1)
    assert pixels.sharpness(soft, box) < 0.3 * pixels.sharpness(truth, box)


def test_a_good_model_passes_and_each_fault_fails_its_own_row():
    good = rows_of(figures())
    assert failed(good) == set()
    true = spoken_gap()
    soft = rows_of(figures(spoken=gaussian_filter1d(true, 1.5)))
    assert "mouth J: result, Audio2Pose's lips" in failed(soft)
    still = rows_of(figures(result=np.full_like(true, 0.1)))
    assert failed(still) == {"mouth r: result, true key points"}
    flashing = figures()
    flashing.flicker["result"] = 1.3
    assert failed(rows_of(flashing)) == {"flicker of still pixels over the truth's: 1 step, median"}
    useless = figures()
    useless.psnr["result"] = useless.psnr["warp"]
    assert failed(rows_of(useless)) == {
        "PSNR face, result less warp, inexact points",
        "PSNR hands, result less warp, inexact points",
    }
    worse = figures()
    worse.psnr["four"] = dict.fromkeys(table.PLACES, 27.0)
    assert failed(rows_of(worse)) == {"PSNR whole, 4 steps less 1 step, inexact points"}
    assert failed(rows_of(figures(), z=1.0)) == {"pose-free prior: its z against shifted speech"}
    lazy = figures()
    lazy.energy["points prior"] = 0.1
    assert failed(rows_of(lazy)) == {
        "pose-free prior: wrists' motion energy over truth's, at least"
    }


def test_what_was_not_measured_is_null_with_its_reason_and_no_pass():
    rows = rows_of(figures())
    heard = rows["lips withheld, mouth r: right less other speech"]
    assert heard.passed is None and heard.why == table.NO_SOUND
    assert heard.to_dict()["value"] is None and heard.to_dict()["why"]
    assert rows["pose-free network: mouth r"].why == "no nulls"
    true = spoken_gap()
    true = true[::SOUND_FRAME_STEP]
    noise = np.random.default_rng(3).uniform(0, 0.2, len(true))
    sound = {
        "withheld right": true,
        "withheld other": noise,
        "withheld off": noise,
        "lips on": true,
    }
    hearing = rows_of(figures(**sound, **{"lips off": true}))
    assert hearing["lips withheld, mouth r: right less other speech"].passed
    deaf = rows_of(figures(**sound | {"withheld right": noise}, **{"lips off": true}))
    assert deaf["lips withheld, mouth r: right less other speech"].passed is False


def tiny_talks(count: int, seconds: float, lips: float = 1.0, **drawn):
    return (tiny_talk(k) for k in range(min(count, 2)))


@pytest.fixture()
def tiny(monkeypatch):
    def parts(folder, device) -> mini_model.Mini:
        pipe = tiny_pipeline()
        interaction = mini_model.new_interaction(pipe.unet, pipe.controlnext, 0)
        return mini_model.Mini(
            pipe.unet,
            pipe.controlnext,
            pipe.reference_tokens,
            pipe.vae,
            pipe.scheduler,
            interaction,
        )

    monkeypatch.setattr(measure, "open_model", lambda folder, device: tiny_pipeline())
    monkeypatch.setattr(cases, "networks", parts)
    monkeypatch.setattr(held_out, "held_talks", tiny_talks)
    monkeypatch.setattr(
        slider, "TAKES", ()
    )  # the real detector finds nobody in pictures of this pipeline
    monkeypatch.setattr(measure, "LEAST_FACE_PX", 0.0)
    monkeypatch.setattr(mini, "prior_correlation", lambda cases, count: Correlation(0.3, 4.0))


def test_the_command_measures_a_tiny_pipeline_from_end_to_end(tiny, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert command(["evaluate", "mini", "--talks", "2", "--json", "--sheet", str(sheet)]) == 1
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {row["name"]: row for row in report["rows"]}
    assert report["pass"] is False and report["clips"] == report["mouths_read"] == 2
    assert report["frames"] == 24
    assert report["definition"] == DEFINITIONS["mini"] and (
        report["commit"] or report["commit_why"]
    )
    assert {row["interval"] for row in report["rows"]} == {None}  # of two clips
    assert {"definition", "weights_sha256", "hardware", "seconds", "took_cpu_seconds"} <= set(
        report
    )
    assert rows["PSNR whole: warp, exact points"]["value"] > 15
    assert rows["PSNR face, result less previous release, exact points"]["value"] is None
    assert rows["lips withheld, mouth r: right speech"]["value"] is not None
    assert "interaction" in rows["pose-free network: mouth r"]["why"]
    assert rows["enlarged: PSNR whole: result"]["value"] is not None
    assert all(row["value"] is not None or row["why"] for row in report["rows"])
    from PIL import Image

    assert Image.open(sheet).size == (4 * 96, 2 * 2 * 128)


def test_the_text_says_verdicts_and_reasons():
    rows = list(rows_of(figures()).values())
    intervals = {row.name: (0.25, 0.75) for row in rows}
    facts = {"model": "m", "clips": 1, "frames": 120, "mouths_read": 1}
    report = Report([*rows, Row("bad", 2.0, 1.0)], 3, facts, intervals, ["so and so"])
    text = printed_table(report, mini.heading(report))
    assert text.startswith("m: 1 held-out talks, 120 frames, mouths read in 1")
    assert "[0.250, 0.750]" in text and "so and so" in text
    assert table.NO_SOUND in text and "pass" in text and text.endswith("FAIL")


def test_senseless_options_are_refused(tmp_path, capsys):
    for options in (
        ["--talks", "1"],
        ["--talk-seconds", "0.2"],
        ["--model", str(tmp_path)],
        ["--sheet", str(tmp_path / "no" / "sheet.png")],
    ):
        assert command(["evaluate", "mini", *options]) == 2
        assert options[1] in capsys.readouterr().err


@pytest.mark.slow
def test_the_shipped_model_is_measured_on_held_out_talks(capsys):
    mini.main(["--quick", "--json"])
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {row["name"]: row for row in report["rows"]}
    assert rows["mouth r: reader on held-out truth"]["value"] > 0.8
    assert rows["mouth J: true points themselves"]["value"] > 0.7
    assert rows["PSNR face, result less copy, exact points"]["value"] > 3
    assert rows["mouth r: warp, frozen mouth"]["value"] < 0.5
    low, high = rows["PSNR face, result less copy, inexact points"]["interval"]
    assert low < rows["PSNR face, result less copy, inexact points"]["value"] < high
    sync = {words: rows[f"sync_c_mini: {words}"]["value"] for words in lip_table.SYNC.values()}
    assert sync["true points themselves"] > 0.4 and sync["reader on held-out truth"] > 0.25
    assert max(sync["warp, frozen mouth"], sync["warp, time-shuffled speech"]) < 0.15
    within = rows["sync_c_mini, share of talks within a frame: reader on held-out truth"]["value"]
    assert within == 1


def test_mouths_of_small_faces_are_not_read(tiny, monkeypatch):
    monkeypatch.setattr(measure, "LEAST_FACE_PX", 1000.0)
    scale = mini.Scale(talks=2, seconds=1.0, speeches=1, inexact=2, whole=0)
    report, _ = mini.evaluate(mini.SHIPPED, None, scale, "cpu")
    rows = {row.name: row.to_dict() for row in report.rows}
    assert rows["slider end to end: wrists' displacement kept, slope"]["why"] == slider.LEFT_OUT
    assert rows["enlarged: PSNR face: result less plain"]["why"] == resolution.LEFT_OUT
    assert (
        report.facts["mouths_read"] == 0
        and rows["mouth r: result, Audio2Pose's lips"]["value"] is None
    )
    assert rows["PSNR face: warp, mouth driven by RMS, exact points"]["value"] is not None
