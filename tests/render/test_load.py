"""Finding and loading model sets: the shipped one, a folder, and all that can be wrong with a
folder."""

import json
import shutil

import pytest
import torch

from pipeline import ROOT
from pipeline.render import load
from pipeline.render.runtime import device, placement
from pipeline.studio.cli import main
from pipeline.training import mini_model
from tests.helpers.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_pipeline().save_pretrained(path)
    return path


def test_a_folder_loads_on_the_cpu_with_its_attention_named(folder) -> None:
    pipe = load.load(str(folder), device="cpu")
    assert pipe.attention_backend == "sdpa" and str(pipe.device) == "cpu"


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="mini"):
        load.load("nonesuch")
    with pytest.raises(ValueError, match="controlnext-svd"):
        load.load("controlnext-svd")


def test_a_folder_without_an_index_says_so(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"model_index\.json is missing"):
        load.load(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"_class_name": "OtherPipeline"}, "OtherPipeline"),
        ({"_class_name": ["AudioPoseSVDPipeline"]}, "names the pipeline"),
        ({"unet": ["diffusers", "NoSuchClass"]}, "could not be loaded"),
        ({"unet": ["os.path", "Thing"]}, "os.path"),
    ],
)
def test_an_index_that_names_strange_classes_is_refused(
    folder, tmp_path, change: dict, word: str
) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps({**index, **change}))
    with pytest.raises(ValueError, match=word):
        load.load(str(tmp_path))


def test_a_damaged_index_and_missing_weights_name_the_folder(folder, tmp_path) -> None:
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(ValueError, match="not readable as JSON"):
        load.load(str(tmp_path))
    (tmp_path / "model_index.json").write_text((folder / "model_index.json").read_text())
    with pytest.raises(
        ValueError, match=r"could not be loaded: .* copy the model folder"
    ) as caught:
        load.load(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_weights_of_another_size_get_one_short_sentence(folder, tmp_path) -> None:
    model = tmp_path / "model"
    shutil.copytree(folder, model)
    path = model / "controlnext" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "time_channels": 32}))
    with pytest.raises(ValueError, match=r"in the shape .*; copy the model folder") as caught:
        load.load(str(model))
    assert "low_cpu_mem_usage" not in str(caught.value) and len(str(caught.value)) < 500


def test_an_export_does_not_tell_the_folder_that_its_networks_were_loaded_from(tmp_path) -> None:
    pipe, first, second = tiny_pipeline(), tmp_path / "first", tmp_path / "second"
    interaction = mini_model.new_interaction(pipe.unet, pipe.controlnext, 0)
    parts = (
        pipe.unet,
        pipe.controlnext,
        pipe.reference_tokens,
        pipe.vae,
        pipe.scheduler,
        interaction,
    )
    mini_model.export(mini_model.Mini(*parts), first)
    mini_model.export(mini_model.load(first), second)
    configs = {
        path.parent.name: path.read_text(encoding="utf-8") for path in second.glob("*/config.json")
    }
    assert set(configs) == {"unet", "controlnext", "reference_tokens", "vae", "interaction"}
    assert not [name for name, text in configs.items() if "_name_or_path" in text]


def test_devices_and_attention_are_checked(folder) -> None:
    for name in ("abacus", "mps", "meta", "xla", "", "cuda:-1"):
        with pytest.raises(ValueError, match=f"device '{name}' is unknown; use auto, cpu or cuda"):
            device.choose_device(name)
    assert device.choose_device("cpu") == "cpu"
    with pytest.raises(ValueError, match="flash"):
        placement.choose_attention(tiny_pipeline(), "flash", "cpu")
    with pytest.raises(ValueError, match="xformers"):
        placement.choose_attention(tiny_pipeline(), "xformers", "cpu")


def test_a_cuda_device_that_is_not_there_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.choose_device("cuda:1") == "cuda:1"
    with pytest.raises(ValueError, match="cuda:2 was asked for, but PyTorch sees 2 of them"):
        device.choose_device("cuda:2")


@pytest.mark.gpu
def test_cuda_is_used_when_it_is_there(folder) -> None:
    pipe = load.load(str(folder), device="auto")
    assert pipe.device.type == "cuda" and pipe.attention_backend in ("xformers", "sdpa")


@pytest.mark.parametrize("module", ["pipeline.conditioning", "pipeline.svd.warped_reference"])
def test_a_folder_of_an_older_version_is_refused_with_the_command_that_helps(
    folder, tmp_path, capsys, module: str
) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["condition"] = [module, "WarpedReference"]
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    words = [
        "--reference",
        str(ROOT / "assets/reference/half_jacket.png"),
        "--audio",
        str(ROOT / "assets/speech/lecture.wav"),
        "--output",
        str(tmp_path / "o.mp4"),
    ]
    assert main(["generate", *words, "--model", str(tmp_path), "--device", "cpu"]) == 2
    (sentence,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "older version" in sentence
    assert f"run `python -m pipeline train release --out {tmp_path}`" in sentence
