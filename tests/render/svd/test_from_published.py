"""Published files: found, checked, loaded, run from the command line; one sentence for every
damage."""

import dataclasses
import json
import math
import pickle
import shutil

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pipeline import media
from pipeline.models import registry
from pipeline.models.consistency import ConsistencyScheduler
from pipeline.models.published_files import NAMES
from pipeline.render import load
from pipeline.render.svd import from_published
from pipeline.studio.cli import main
from tests.helpers.published import SCHEDULER, UNET, small_pipeline, tiny_published, write_set
from tests.helpers.stick_person import figure
from tests.helpers.tiny import motion, portrait, speech

SVD_UNET = UNET | {
    "sample_size": 96, "block_out_channels": (320, 640, 1280, 1280), "num_attention_heads": (5, 10, 20, 20),
    "cross_attention_dim": 1024, "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 768, "num_frames": 25,
}  # fmt: skip
SVD_VAE = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
}  # fmt: skip
CONTROL, NETWORK, CODEC = (NAMES[key][0] for key in ("controlnext", "unet", "vae"))


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
    parts = from_published.networks(paths)
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
    assert (
        not list(folder.rglob("*.safetensors")) and (folder / "pretrained" / "unet.bin").is_file()
    )
    one, two = (load.load(str(place), device="cpu") for place in (whole, folder))
    for name in ("unet", "controlnext", "vae", "reference_tokens"):
        states = [getattr(pipe, name).state_dict() for pipe in (one, two)]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert (
        one.settings.splice_region == "lips"
        and one.settings.refocus_mode == "amplify"
        and one.config.default_overlap == 6
    )


def test_a_saved_pipeline_of_published_parts_loads_again(tmp_path):
    pipe = small_pipeline(min_guidance=1.0, max_guidance=2.0)
    pipe.save_pretrained(tmp_path)
    again = load.load(str(tmp_path), device="cpu")
    assert again.condition.config.max_guidance == 2.0 and again.settings.splice_region == "lips"
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
        load.load("controlnext-svd", device="cpu")  # so small is no published file
    rows = [
        dataclasses.replace(
            row, files=tuple(dataclasses.replace(f, megabytes=None) for f in row.files)
        )
        for row in registry.SETS
    ]
    monkeypatch.setattr(registry, "SETS", tuple(rows))
    assert load.load("controlnext-svd", device="cpu").config.default_window == 24


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


def test_few_steps_of_the_consistency_sampler_run_from_a_folder(whole, words, tmp_path, capsys):
    folder = tmp_path / "lcm"
    shutil.copytree(whole, folder)
    settings = json.loads((folder / "settings.json").read_text())
    settings |= {"scheduler": "consistency", "default_steps": 4}
    (folder / "settings.json").write_text(json.dumps(settings))
    pipe = load.load(str(folder), device="cpu")
    assert isinstance(pipe.scheduler, ConsistencyScheduler)
    made = []
    for seed in (1, 1, 2):
        noise = torch.Generator().manual_seed(seed)
        steps = list(pipe.render(portrait(), motion(3), generator=noise))
        made.append(np.concatenate([s.frames for s in steps if s.frames is not None]))
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])
    (folder / "settings.json").write_text('{"scheduler": "heun"}')
    assert main([*words, "--model", str(folder)]) == 2
    assert "use euler or consistency" in capsys.readouterr().err


def test_the_consistency_sampler_visits_the_distilled_levels_and_noises_anew():
    # SVD's range: levels 0, 10, 20 and 30 of 40 on Karras' curve, by hand
    sampler = ConsistencyScheduler(**(SCHEDULER | {"sigma_min": 0.002, "sigma_max": 700.0}))
    sampler.set_timesteps(4)
    high, low = 700 ** (1 / 7), 0.002 ** (1 / 7)
    wanted = [(high + k / 39 * (low - high)) ** 7 for k in (0, 10, 20, 30)]
    assert np.allclose(sampler.sigmas, [*wanted, 0.0], rtol=1e-5)
    assert np.allclose(sampler.timesteps, 0.25 * np.log(wanted), rtol=1e-5)
    output, sample = torch.randn(2, 1, 5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    clean = sample / (wanted[0] ** 2 + 1) - output * wanted[0] / (wanted[0] ** 2 + 1) ** 0.5
    noise = torch.randn(sample.shape, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    found = sampler.step(output, sampler.timesteps[0], sample, generator=generator)
    assert torch.allclose(found.pred_original_sample, clean, atol=1e-5)
    assert torch.allclose(found.prev_sample, clean + wanted[1] * noise, rtol=1e-4)
    for time in sampler.timesteps[1:]:
        found = sampler.step(output, time, sample)
    assert torch.equal(found.prev_sample, found.pred_original_sample)
    with pytest.raises(ValueError, match="give 1 to 40 for this model"):
        sampler.set_timesteps(41)


def test_published_windows_refuse_a_sampler_that_adds_noise():
    pipe = tiny_published()
    pipe.register_modules(scheduler=ConsistencyScheduler.from_config(pipe.scheduler.config))
    with pytest.raises(ValueError, match="use `windows` joint"):
        next(pipe.render(portrait(), motion(2), window_mode="published"))


def test_the_few_step_file_is_as_large_as_the_whole_unet_in_float32(data):
    """The size in the table, byte for byte, is that of a safetensors file with exactly diffusers'
    keys."""
    shapes = json.loads((data / "full_keys.json").read_text())["svd_unet"]
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for key in sorted(shapes):
        begin, end = end, end + 4 * math.prod(shapes[key])
        header[key] = {"dtype": "F32", "shape": shapes[key], "data_offsets": [begin, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    unet = next(file for file in registry.find("animatelcm-svd").files if file.key == "unet")
    assert unet.size == 8 + length + -length % 8 + end


def test_the_few_step_set_takes_its_own_unet_and_settings(whole, monkeypatch, tmp_path):
    monkeypatch.setenv("APV_MODELS", str(tmp_path))
    row = registry.find("animatelcm-svd")
    for name in (row.name, "svd-xt-1-1"):
        shutil.copytree(whole, tmp_path / name)
    (tmp_path / row.name / NAMES["unet"][0]).rename(tmp_path / row.name / row.files[1].path)
    rows = [
        dataclasses.replace(
            known,
            files=tuple(dataclasses.replace(f, size=None, megabytes=None) for f in known.files),
        )
        for known in registry.SETS
    ]
    monkeypatch.setattr(registry, "SETS", tuple(rows))
    pipe = load.load(row.name, device="cpu")
    assert isinstance(pipe.scheduler, ConsistencyScheduler)
    assert (pipe.condition.config.min_guidance, pipe.condition.config.max_guidance) == (1.0, 1.2)
