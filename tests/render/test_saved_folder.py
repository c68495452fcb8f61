"""Model folders that somebody edited: no other class, file or size than a pipeline's is touched."""

import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.models.model_settings import find_model
from pipeline.render import load, saved_folder
from pipeline.values import InputError, Progress
from tests.helpers.tiny import tiny_pipeline

NAME = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model")
    tiny_pipeline().save_pretrained(path)
    return path


@pytest.fixture
def folder(valid, tmp_path) -> Path:
    return shutil.copytree(valid, tmp_path / "model")


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load.load(str(folder), device="cpu")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


def test_a_valid_folder_and_the_shipped_one_pass(valid) -> None:
    saved_folder.check_folder(find_model(str(valid)))
    saved_folder.check_folder(find_model("mini"))


@pytest.mark.parametrize(
    "entry",
    [["pipeline.studio.cli", "main"], ["transformers", "pipeline"], ["planted_module", "Thing"],
     ["diffusers", "UNet2DModel"], ["diffusers"], "diffusers", None, [["os"], "system"]],
)  # fmt: skip
def test_no_class_from_outside_is_imported(folder, monkeypatch, entry) -> None:
    (folder / "planted_module.py").write_text("raise SystemExit(1)")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    for part in ("unet", "extra"):
        change(folder / "model_index.json", **{part: entry})
        assert "model_index.json" in refusal(folder)
    assert "planted_module" not in sys.modules


def test_sizes_are_compared_before_any_memory_is_taken(folder, monkeypatch) -> None:
    change(folder / "unet" / "config.json", cross_attention_dim=90_000)
    assert "in the shape" in refusal(folder)
    change(folder / "unet" / "config.json", layers_per_block=10**9)
    assert "layers_per_block" in refusal(folder)


@pytest.mark.parametrize("length", [2**60, 10**6])
def test_a_header_longer_than_its_file_is_refused(folder, length) -> None:
    path = folder / "audio2pose" / NAME
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    assert "safetensors" in refusal(folder)


def test_weights_that_are_cut_off_or_lie_elsewhere_are_refused(folder) -> None:
    path = folder / "unet" / NAME
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    assert "cut off" in refusal(folder)
    path.unlink()
    (folder / "elsewhere.safetensors").write_bytes(content)
    index = folder / "unet" / f"{NAME}.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    assert "which is no file of its folder" in refusal(folder)
    index.unlink()
    path.with_suffix(".bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "no safetensors file" in refusal(folder)


def test_weights_of_an_index_in_the_folder_are_read(folder) -> None:
    path = folder / "audio2pose" / NAME
    part = path.with_name("part.safetensors")
    path.rename(part)
    names = dict.fromkeys(saved_folder.read_header(part), part.name)
    path.with_name(f"{NAME}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": names})
    )
    saved_folder.check_component(find_model(str(folder)), "audio2pose")


@pytest.mark.parametrize(
    "values", [{"multiple": 0}, {"multiple": {"a": 1}}, {"area": 1}, {"splice_region": "nose"}]
)
def test_settings_out_of_their_range_are_refused(folder, values) -> None:
    change(folder / "model_index.json", **values)
    with pytest.raises(InputError, match=next(iter(values))):
        load.load_settings(str(folder))
    assert next(iter(values)) in refusal(folder)


def failing():
    yield Progress("denoise", 0, 1)
    np.zeros(2) @ np.zeros(3)


def test_networks_that_do_not_fit_are_told_of_a_folder_and_are_bugs_of_a_set(tmp_path) -> None:
    with pytest.raises(InputError, match=r"do not work together \(matmul.*\); copy it again"):
        list(load.blame_folder(failing(), str(tmp_path)))
    with pytest.raises(ValueError, match="matmul") as caught:
        list(load.blame_folder(failing(), "mini"))
    assert not isinstance(caught.value, InputError)
