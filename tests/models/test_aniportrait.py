"""AniPortrait's speech network against the published code's numbers, at any speech length."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.media import read_audio
from pipeline.models import wav2vec
from pipeline.models.aniportrait import Audio2Mesh
from pipeline.models.state_dict import read_settings, shapes
from pipeline.values import Audio
from tests.helpers.aniportrait_files import CONFIG, tiny_state, write


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write(tmp_path_factory.mktemp("aniportrait"))


@pytest.fixture(scope="module")
def mesh(paths) -> Audio2Mesh:
    return Audio2Mesh.from_published(paths)


@pytest.fixture(scope="module")
def io(data):
    with np.load(data / "aniportrait_audio.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def minute(root) -> Audio:
    """60 s of the shipped speech, repeated."""
    clips = [
        read_audio(path).samples for path in sorted((root / "assets" / "speech").glob("*.wav"))
    ]
    return Audio(np.resize(np.concatenate(clips), 60 * 16000), 16000)


def noise(samples: int) -> Audio:
    return Audio(
        (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32), 16000
    )


# ---- the published code's numbers


def test_audio2mesh_equals_the_published_code(mesh, io):
    values, rows = torch.from_numpy(io["input_values"])[None], int(io["seq_len"])
    assert (
        np.abs(
            wav2vec.normalized_samples(Audio(io["wave"], 16000), 30, 1) - io["input_values"]
        ).max()
        <= 1e-5
    )
    assert wav2vec.row_count(len(io["wave"])) == rows
    with torch.no_grad():
        states, out = wav2vec.encode_at_once(mesh.audio_encoder, values, rows), mesh(values, rows)
    assert np.abs(states.numpy() - io["encoder_last"]).max() <= 1e-5
    assert np.abs(out.numpy() - io["a2m_out"]).max() <= 1e-5
    spoken = mesh.predict(
        Audio(io["wave"], 16000), 30, rows
    )  # the bounded path, at the network's own rate
    assert np.abs(spoken.offsets.reshape(1, rows, -1) - io["a2m_out"]).max() <= 1e-5
    assert np.abs(spoken.tokens[:, 0] - io["encoder_last"][0]).max() <= 1e-5


def test_the_default_network_has_the_published_keys_and_shapes(data):
    published = json.loads((data / "full_keys.json").read_text())["audio2mesh"]
    with torch.device("meta"):
        model = Audio2Mesh()
    assert shapes(model) == {key: tuple(shape) for key, shape in published.items()}
    assert sum(p.numel() for p in model.parameters()) == 95_485_692


def test_the_recipe_makes_the_parity_file(shared):
    stored = load_file(shared / "parity" / "a2m_tiny.safetensors")
    made = tiny_state()
    assert stored.keys() == made.keys()
    assert all(torch.equal(made[key], value.float()) for key, value in stored.items())


# ---- any length


@pytest.mark.parametrize("samples", [400, 479, 16000, 79_999, 80_000, 80_001, 160_000, 320_001])
@pytest.mark.parametrize("fps", [12.5, 25.0, 60.0])
def test_every_length_gives_every_frame(mesh, samples, fps):
    audio = noise(samples)
    frames = audio.frames(fps) + 3  # longer than the sound: held
    spoken = mesh.predict(audio, fps, frames)
    assert spoken.offsets.shape == (frames, 468, 3) and spoken.offsets.dtype == np.float32
    assert spoken.tokens.shape == (frames, 1, 32) and np.isfinite(spoken.offsets).all()
    assert np.array_equal(spoken.offsets[-1], spoken.offsets[-2])


def test_the_silent_clip_is_finite(mesh):
    assert np.isfinite(
        mesh.predict(Audio(np.zeros(16000, np.float32), 16000), 25, 25).offsets
    ).all()


def test_frames_are_taken_by_time():
    """A ramp of 30 rows per second read at any rate: frame t shows the time (t + 0.5) / fps."""
    ramp = torch.arange(300, dtype=torch.float32)[:, None]
    assert torch.equal(wav2vec.at_frames(ramp, 30, 300), ramp)
    for fps in (12.5, 25.0, 50.0):
        seconds = (wav2vec.at_frames(ramp, fps, int(10 * fps))[:, 0] + 0.5) / 30
        wanted = (torch.arange(int(10 * fps)) + 0.5) / fps
        inside = (wanted > 0.5 / 30) & (wanted < 10 - 0.5 / 30)
        assert (seconds - wanted)[inside].abs().max() < 1e-4


@torch.no_grad()
def test_features_in_pieces_equal_features_at_once(mesh, minute):
    values = torch.from_numpy(wav2vec.normalized_samples(minute, 25, 1))[: 21 * 16000]
    whole = mesh.audio_encoder.feature_extractor(values[None])[0]
    pieces = wav2vec._features(mesh.audio_encoder, values)
    assert pieces.shape == whole.shape and (pieces - whole).abs().max() <= 1e-5


@torch.no_grad()
def test_windows_are_near_the_whole_and_join_smoothly(mesh, minute):
    """Random attention looks everywhere alike: that is harder on windows than trained weights.

    Measured, rms over the deviation in time: 0.09 away from the seams, 0.07 at them.
    """
    values = torch.from_numpy(wav2vec.normalized_samples(minute, 25, 1))
    rows = wav2vec.row_count(len(values))
    whole = wav2vec.encode_at_once(mesh.audio_encoder, values[None], rows)[0]
    off = wav2vec.encode(mesh.audio_encoder, values, rows) - whole
    seams = torch.zeros(rows, dtype=torch.bool)
    for (start, _), (_, stop) in zip(wav2vec.plan(rows)[1:], wav2vec.plan(rows), strict=False):
        seams[start + wav2vec.MARGIN : stop - wav2vec.MARGIN] = True
    spread = (whole - whole.mean(0)).square().mean().sqrt()
    assert off[seams].square().mean().sqrt() / spread < 0.12
    assert off[~seams].square().mean().sqrt() / spread < 0.12
    steps = (off[1:] - off[:-1]).abs().amax(1)
    assert steps[seams[1:]].max() <= steps[~seams[1:]].max()  # no jump where windows meet


@torch.no_grad()
def test_up_to_one_window_nothing_is_faded(mesh, minute):
    values = torch.from_numpy(wav2vec.normalized_samples(minute, 25, 1))[: 20 * 16000]
    whole = wav2vec.encode_at_once(mesh.audio_encoder, values[None], 600)[0]
    assert (wav2vec.encode(mesh.audio_encoder, values, 600) - whole).abs().max() <= 1e-5


def test_memory_is_bounded_for_ten_minutes(mesh):
    """No convolution sees more than 5.1 s, no attention more than 20 s."""
    longest = {"conv": 0, "attention": 0}

    def conv(module, given):
        longest["conv"] = max(longest["conv"], given[0].shape[-1])

    def attention(module, given):
        longest["attention"] = max(longest["attention"], given[0].shape[1])

    hooks = [
        mesh.audio_encoder.feature_extractor.conv_layers[0].conv.register_forward_pre_hook(conv)
    ]
    hooks.append(mesh.audio_encoder.encoder.register_forward_pre_hook(attention))
    spoken = mesh.predict(noise(600 * 16000), 25, 15000)
    for hook in hooks:
        hook.remove()
    assert spoken.offsets.shape == (15000, 468, 3) and np.isfinite(spoken.offsets).all()
    assert 5 * 16000 < longest["conv"] <= 5.1 * 16000 and longest["attention"] == 600


# ---- files


def test_a_saved_network_comes_back(mesh, tmp_path):
    mesh.save_pretrained(tmp_path)
    again = Audio2Mesh.from_pretrained(tmp_path)
    audio = noise(16000)
    assert (
        np.abs(mesh.predict(audio, 25, 25).offsets - again.predict(audio, 25, 25).offsets).max()
        <= 1e-5
    )


def test_safetensors_load_as_well(mesh, paths, tmp_path):
    save_file(tiny_state(), tmp_path / "audio2mesh.safetensors")
    stored = Audio2Mesh.from_published(paths | {"audio2mesh": tmp_path / "audio2mesh.safetensors"})
    for key, value in stored.state_dict().items():
        assert torch.equal(value, mesh.state_dict()[key])
    assert not stored.training and not any(p.requires_grad for p in stored.parameters())


def test_damaged_files_are_named(paths, tmp_path):
    bad = tmp_path / "audio2mesh.pt"

    def refused(state, words):
        torch.save(state, bad) if not isinstance(state, bytes) else bad.write_bytes(state)
        with pytest.raises(ValueError, match=words) as error:
            Audio2Mesh.from_published(paths | {"audio2mesh": bad})
        assert str(bad) in str(error.value) and "\n" not in str(error.value)

    state = tiny_state()
    refused({key: value for key, value in state.items() if key != "in_fn.bias"}, "lacks in_fn.bias")
    refused(state | {"extra": torch.zeros(1)}, "has unknown extra")
    refused(state | {"in_fn.bias": torch.zeros(3)}, "in_fn.bias of shape")
    refused({key: value for key, value in state.items() if "out_fn" not in key}, "lacks out_fn")
    refused([1, 2], "no table of tensors")
    refused(b"version https://git-lfs.github.com/spec/v1\n", "is damaged")


def test_bad_requests_are_named(mesh, tmp_path):
    with pytest.raises(ValueError, match="8000 Hz"):
        mesh.predict(Audio(np.zeros(8000, np.float32), 8000), 25, 25)
    other = tmp_path / "config.json"
    other.write_text(json.dumps(json.loads(CONFIG.read_text()) | {"feat_extract_norm": "layer"}))
    with pytest.raises(ValueError, match="feat_extract_norm 'layer'"):
        Audio2Mesh(read_settings(other))
    other.write_text("not json")
    with pytest.raises(ValueError, match="is no wav2vec2 config.json"):
        read_settings(other)
