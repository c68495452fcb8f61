"""Published files: found, checked, loaded, run from the command line; one sentence for every damage."""

import dataclasses
import json
import pickle
import shutil

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pipeline import hub, media, published, weights
from pipeline.__main__ import main
from tests.published import UNET, small_pipeline, write_set
from tests.tiny import figure, motion, portrait, speech

SVD_UNET = UNET | {
    "sample_size": 96, "block_out_channels": (320, 640, 1280, 1280), "num_attention_heads": (5, 10, 20, 20),
    "cross_attention_dim": 1024, "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 768, "num_frames": 25,
}  # fmt: skip
SVD_VAE = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
}  # fmt: skip
CONTROL, NETWORK, CODEC = (published.NAMES[key][0] for key in ("controlnext", "unet", "vae"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "set")


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A `generate` of six frames without its model."""
    import skimage.data

    home = tmp_path_factory.mktemp("files")
    Image.fromarray(skimage.data.astronaut()).save(home / "face.png")
    soundfile.write(home / "speech.wav", speech(1.0).samples, 16000)
    figure(6, fps=6.0).save(home / "pose.npz")
    return [
        "generate", "--reference", str(home / "face.png"), "--audio", str(home / "speech.wav"), "--driving",
        str(home / "pose.npz"), "--fps", "6", "--height", "128", "--width", "128", "--json",
        "--output", str(home / "out.mp4"),
    ]  # fmt: skip


def test_full_size_networks_have_the_published_keys_and_shapes(data, tmp_path):
    tables = {"unet_config": SVD_UNET, "vae_config": SVD_VAE, "image_encoder_config": {}}
    paths = {key: tmp_path / f"{key}.json" for key in tables}
    for key, table in tables.items():
        paths[key].write_text(json.dumps(table))
    listed = json.loads((data / "full_keys.json").read_text())
    parts = published.networks(paths)
    for name, key in (("unet", "svd_unet"), ("vae", "svd_vae"), ("controlnext", "controlnext")):
        own = {k: list(v.shape) for k, v in parts[name].state_dict().items()}
        assert own == {k: list(v) for k, v in listed[key].items()}
        assert all(value.is_meta for value in parts[name].state_dict().values())


def test_a_safetensors_set_runs_from_the_command_line(whole, words, capsys):
    assert main([*words, "--model", str(whole)]) == 0
    out, err = capsys.readouterr()
    facts = json.loads(out.splitlines()[-1])
    assert facts["frames"] == 6 and media.probe(facts["output"]).frames == 6
    assert (facts["width"], facts["height"]) == (128, 128)
    assert facts["dtype"] == "float32" and facts["offload"] == "none"
    assert facts["estimate"]["gigabytes"] > 0 and "estimate: the networks need about" in err
    assert any("pixels high" in note for note in facts["warnings"])
    picture = next(iter(media.read_video(facts["output"]).chunks()))[0]
    assert picture.std() > 1


@pytest.mark.slow
def test_pickles_and_safetensors_make_the_same_pipeline(whole, tmp_path):
    folder = write_set(tmp_path, "pickle")
    assert not list(folder.rglob("*.safetensors")) and (folder / "pretrained" / "unet.bin").is_file()
    one, two = (weights.load(str(place), device="cpu") for place in (whole, folder))
    for name in ("unet", "controlnext", "vae", "reference_tokens"):
        states = [getattr(pipe, name).state_dict() for pipe in (one, two)]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert one.splice_region == "lips" and one.refocus_mode == "amplify" and one.config.default_overlap == 6


def test_a_saved_pipeline_of_published_parts_loads_again(tmp_path):
    pipe = small_pipeline(min_guidance=1.0, max_guidance=2.0)
    pipe.save_pretrained(tmp_path)
    again = weights.load(str(tmp_path), device="cpu")
    assert again.condition.config.max_guidance == 2.0 and again.splice_region == "lips"
    frames = []
    for one in (pipe, again):
        noise = torch.Generator().manual_seed(1)
        steps = list(one.render(portrait(), motion(3), generator=noise, num_inference_steps=1))
        frames.append(np.concatenate([s.frames for s in steps if s.frames is not None]).astype(int))
    assert frames[0].shape == (3, 128, 64, 3) and np.abs(frames[0] - frames[1]).max() <= 1


def test_the_named_set_says_what_to_download(words, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("APV_MODELS", str(tmp_path))
    assert main([*words, "--model", "controlnext-svd"]) == 2
    assert "models --download controlnext-svd" in capsys.readouterr().err
    assert main([*words, "--model", "dwpose"]) == 2
    assert "makes no video" in capsys.readouterr().err


def test_the_named_set_is_loaded_from_where_downloads_lie(whole, monkeypatch, tmp_path):
    monkeypatch.setenv("APV_MODELS", str(tmp_path))
    for name in ("controlnext-svd", "svd-xt-1-1"):
        shutil.copytree(whole, tmp_path / name)
    with pytest.raises(ValueError, match=r"instead of .* incomplete"):
        weights.load("controlnext-svd", device="cpu")  # so small is no published file
    rows = [
        dataclasses.replace(row, files=tuple(dataclasses.replace(f, megabytes=None) for f in row.files))
        for row in hub.SETS
    ]
    monkeypatch.setattr(hub, "SETS", tuple(rows))
    assert weights.load("controlnext-svd", device="cpu").config.default_window == 24


def rewritten(path, change) -> None:
    tensors = load_file(path)
    save_file(change(dict(tensors)), path)


def cut(path, share=0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def to_pickle(folder, change=lambda state: state, name="unet.bin") -> None:
    state = load_file(folder / NETWORK)
    (folder / NETWORK).unlink()
    torch.save(change(state), folder / name)


def without(name):
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


class Trap:
    def __reduce__(self):
        return print, ("code was run",)


def trapped(folder) -> None:
    (folder / NETWORK).unlink()
    (folder / "unet.bin").write_bytes(pickle.dumps({"conv_in.weight": Trap()}))


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
DAMAGES = {
    "missing unet": (lambda f: (f / NETWORK).unlink(), NETWORK),
    "missing codec": (lambda f: (f / CODEC).unlink(), CODEC),
    "missing config": (lambda f: (f / "unet/config.json").unlink(), "unet/config.json"),
    "pointer": (lambda f: (f / NETWORK).write_text(POINTER), "git lfs pull"),
    "truncated": (lambda f: cut(f / NETWORK), "incomplete"),
    "almost whole": (lambda f: cut(f / CODEC, 0.999), "incomplete"),
    "truncated pickle": (lambda f: (to_pickle(f), cut(f / "unet.bin")), "incomplete"),
    "empty": (lambda f: (f / CONTROL).write_bytes(b""), "incomplete or damaged"),
    "comfy": (
        lambda f: rewritten(
            f / NETWORK, lambda t: {"model.diffusion_model.input_blocks.0.0.weight": t["conv_in.weight"]}
        ),
        "ComfyUI's key names",
    ),
    "v1 control": (
        lambda f: rewritten(f / CONTROL, lambda t: without("embedding.0.weight")(t) | {
            "mid_convs.2.weight": torch.zeros(1)}),
        "ControlNeXt-SVD v1",
    ),
    "wrong shape": (
        lambda f: rewritten(f / NETWORK, lambda t: t | {"conv_in.weight": torch.zeros(32, 4, 3, 3)}),
        "[32, 4, 3, 3] instead of [32, 8, 3, 3]",
    ),
    "swapped": (lambda f: shutil.copy(f / CODEC, f / NETWORK), "belongs to another network"),
    "code in a pickle": (trapped, "could run code"),
    "no tensors": (lambda f: to_pickle(f, lambda state: {"epoch": 3}), "no table of tensors"),
    "config no JSON": (lambda f: (f / "vae/config.json").write_text("{"), "not readable as JSON"),
    "config of nothing": (
        lambda f: (f / "vae/config.json").write_text('{"layers_per_block": "x"}'), "describe",
    ),
    "setting": (lambda f: (f / "settings.json").write_text('{"speed": 2}'), "speed"),
    "guidance": (
        lambda f: (f / "settings.json").write_text('{"condition": {"min_guidance": -1}}'), "guidance is -1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_one_sentence_and_exit_2(folder, words, capsys, name):
    damage, told = DAMAGES[name]
    damage(folder)
    assert main([*words, "--model", str(folder)]) == 2
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and told in errors[0] and "code was run" not in out
    assert name == "guidance" or str(folder) in errors[0]
