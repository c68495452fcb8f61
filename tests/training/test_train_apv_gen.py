"""`train apv-gen` from folder to folder: published files, adapters, a model that renders."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from accelerate import init_empty_weights
from safetensors.torch import load_file

from pipeline.models.haar import HaarLatent
from pipeline.render.load import load
from pipeline.studio.cli import main
from pipeline.training import train_apv_gen
from pipeline.training.apv_gen_networks import load_networks, make_ready, new_networks, save_model
from pipeline.training.config import TrainConfig
from pipeline.training.data.fda_sampling import PlacementLaw
from pipeline.training.data.shard_index import ClipEntry, Index
from pipeline.training.engine import Sources
from pipeline.training.lora import NAME, add_lora, load_lora, merged
from pipeline.training.random_model import random_pipeline
from pipeline.training.training_memory import estimate_memory
from pipeline.training.validation import motion_of
from pipeline.values import InputError
from tests.helpers.published import write_set
from tests.helpers.stick_person import figure
from tests.helpers.tiny import portrait
from tests.helpers.train_run import losses_of, make_trainer
from tests.helpers.training_clips import StickClips

SIZE = (128, 64)


def rendered(folder):
    """Frames of a saved model with a stick person's motion."""
    pipe = load(str(folder), device="cpu")
    parts = pipe.render(portrait(SIZE), motion_of(figure(3, 25.0)), num_inference_steps=1)
    return np.concatenate([part.frames for part in parts if part.frames is not None])


def options(tmp_path, *more):
    words = [
        "--config",
        "cpu",
        "--run",
        str(tmp_path / "run"),
        "--frames",
        "2",
        "--iterations",
        "1",
    ]
    words += ["--height", "128", "--width", "64", "--measured", "1", "--validation-steps", "1"]
    return [*words, *more]


def test_published_files_become_a_model_that_renders(tmp_path, monkeypatch, capsys):
    published = write_set(tmp_path / "published")
    monkeypatch.setattr(
        train_apv_gen, "open_source", lambda config, kind: StickClips(kind, 3, 2, SIZE)
    )
    more = ["--model", str(published), "--lora-rank", "2", "--learning-rate", "0.01", "--no-decay"]
    assert main(["train", "apv-gen", *options(tmp_path, *more)]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("a step takes about")
    facts = json.loads(lines[-1])
    assert facts["losses_before"].keys() == {"face", "refer", "body"}
    folder = tmp_path / "run" / "model"
    assert rendered(folder).shape == (3, *SIZE, 3)
    settings = json.loads((folder / "model_index.json").read_text())
    assert settings["splice_region"] == "face" and settings["default_window"] == 2
    assert (tmp_path / "run" / "validation" / "0000001" / "sheet.png").is_file()
    # the saved folder can be trained on, and the adapters alone can be taken up
    networks = load_networks(str(folder))
    assert networks.condition.lead == 0
    again = load_networks(str(published))
    add_lora(again.denoiser.unet, 2, seed=5)
    load_lora(again.denoiser, folder / NAME)
    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    trained = merged(again.denoiser.state_dict())[name]
    saved = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    torch.testing.assert_close(
        saved[name.removeprefix("unet.")].float(), trained, atol=2e-3, rtol=2e-3
    )


def test_adapters_begin_at_zero_and_of_another_rank_are_refused(tmp_path):
    networks = new_networks(HaarLatent(), 0, (32, 32))
    plain = {key: value.clone() for key, value in networks.denoiser.state_dict().items()}
    add_lora(networks.denoiser.unet, 3, seed=0)
    states = merged(networks.denoiser.state_dict())
    assert states.keys() == plain.keys()
    assert all(torch.equal(states[key], plain[key]) for key in plain)
    save_model(networks, networks.denoiser.state_dict(), tmp_path / "model")
    other = new_networks(HaarLatent(), 0, (32, 32))
    add_lora(other.denoiser.unet, 2, seed=0)
    with pytest.raises(InputError, match="has the rank 3; give that as `lora_rank`"):
        load_lora(other.denoiser, tmp_path / "model" / NAME)


def test_only_adapters_of_the_unet_are_trained(tmp_path):
    networks = new_networks(HaarLatent(), 0, (32, 32))
    add_lora(networks.denoiser.unet, 2, seed=0)
    trainer = make_trainer(tmp_path, networks)
    before = networks.denoiser.state_dict()["unet.conv_in.weight"].clone()
    losses_of(trainer, 1)
    assert torch.equal(networks.denoiser.state_dict()["unet.conv_in.weight"], before)
    names = [name for name in trainer.parameters if name.startswith("unet.")]
    assert names and all("lora_" in name for name in names)


def test_the_embedded_model_is_refused_because_it_repairs_a_warp():
    with pytest.raises(InputError, match="the model mini repairs a warped reference image"):
        load_networks("mini")


def test_full_size_shapes_and_memory_on_the_meta_device():
    with init_empty_weights():
        networks = make_ready(random_pipeline())
    unet = sum(p.numel() for p in networks.denoiser.unet.parameters())
    assert unet == 1_524_623_082
    config = TrainConfig(precision="bf16", checkpointing=True)
    memory = estimate_memory(networks, config)
    state = memory.weights + memory.gradients + memory.optimizer + memory.average
    assert 30 < state < 34 and 20 < memory.activations < 80


def test_a_measured_law_places_the_faces(tmp_path):
    path = tmp_path / "law.json"
    law = PlacementLaw(0.4, 0.3, 0.2, 0.01)
    path.write_text(json.dumps(asdict(law)))
    networks = new_networks(HaarLatent(), 0, (32, 32))
    config = TrainConfig(height=64, width=64, law=str(path))
    assert train_apv_gen.make_shape(config, networks).law == law


def test_shards_whose_faces_come_from_two_detectors_are_refused(tmp_path):
    for kind, detector in (("face", "holistic"), ("body", "dwpose")):
        folder = tmp_path / kind
        folder.mkdir()
        entry = ClipEntry(
            "clip0", "shard-000000.tar", 0, "a.mp4", 0.0, 9, 25.0, 64, 64, False, 9, 0.5, ""
        )
        Index(kind, {"face_detector": detector}, [entry]).save(folder)
    config = TrainConfig(
        run=str(tmp_path / "run"), faces=str(tmp_path / "face"), bodies=str(tmp_path / "body")
    )
    with pytest.raises(InputError, match="by holistic.*by dwpose; make both with one"):
        train_apv_gen.open_sources(config)


def test_sides_that_no_new_model_can_have_are_refused(tmp_path):
    config = TrainConfig(model="new", height=90, width=64, run=str(tmp_path))
    sources = Sources(StickClips("face"), StickClips("body"))
    with pytest.raises(InputError, match="`height` 90 and `width` 64 must be multiples of 16"):
        train_apv_gen.open_networks(config, sources)


def test_bench_tells_seconds_and_memory(tmp_path):
    config = train_apv_gen.read_options(options(tmp_path, "--bench", "--iterations", "2"))
    facts = train_apv_gen.run_training(config)
    assert facts["iterations"] == 2 and facts["seconds_per_iteration"] > 0
    assert facts["memory"]["resident_gb"] > 0
