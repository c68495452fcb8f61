"""AniPortrait's audio networks against numbers computed by the published code, at any speech length."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.media import read_audio
from pipeline.models import aniportrait, wav2vec
from pipeline.models.aniportrait import Audio2HeadPose, Audio2Mesh
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
def head(paths) -> Audio2HeadPose:
    return Audio2HeadPose.from_published(paths)


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
    assert np.abs(wav2vec.heard(Audio(io["wave"], 16000), 30, 1) - io["input_values"]).max() <= 1e-5
    assert wav2vec.rows_of(len(io["wave"])) == rows
    with torch.no_grad():
        states, out = wav2vec.whole(mesh.audio_encoder, values, rows), mesh(values, rows)
    assert np.abs(states.numpy() - io["encoder_last"]).max() <= 1e-5
    assert np.abs(out.numpy() - io["a2m_out"]).max() <= 1e-5
    spoken = mesh.predict(
        Audio(io["wave"], 16000), 30, rows
    )  # the bounded path, at the network's own rate
    assert np.abs(spoken.offsets.reshape(1, rows, -1) - io["a2m_out"]).max() <= 1e-5
    assert np.abs(spoken.tokens[:, 0] - io["encoder_last"][0]).max() <= 1e-5


def test_audio2pose_with_kept_keys_equals_the_published_code(head, io):
    values, rows = torch.from_numpy(io["input_values"])[None], int(io["seq_len"])
    with torch.no_grad():
        out = head(values, rows, identity=int(io["a2p_id"]))
        other = head(values, rows, identity=0)
    assert np.abs(out.numpy() - io["a2p_out"]).max() <= 1e-5
    assert (out - other).abs().max() > 1e-3
    audio, identity = Audio(io["wave"], 16000), int(io["a2p_id"])
    assert np.abs(head.predict(audio, 30, rows, identity) - io["a2p_out"][0]).max() <= 1e-5


def biased_mask(rows: int, heads: int) -> torch.Tensor:
    """(heads, rows, rows): what the published loop adds to its attention."""
    place = torch.arange(rows)
    back = (place[:, None] - place).float()
    return -aniportrait.slopes(heads)[:, None, None] * back + torch.where(back < 0, -math.inf, 0.0)


def test_the_slopes_are_the_published_ones(io):
    assert np.array_equal(biased_mask(8, 8).numpy(), io["biased_mask_8"])


@torch.no_grad()
def test_kept_keys_equal_the_quadratic_loop(head):
    """The published way: all rows through torch's own decoder again for every new row."""
    memory = torch.randn(2, 40, 32, generator=torch.Generator().manual_seed(0))
    embedded = head.pose_map(torch.zeros(2, 1, 6))
    for rows in range(1, 41):
        place = head.PPE.pe[:, :rows] + head.id_embed.weight[5]
        own = biased_mask(rows, 8).repeat(2, 1, 1)
        aligned = ~torch.eye(rows, 40, dtype=torch.bool)
        out = head.pose_map_r(head.transformer_decoder(embedded + place, memory, own, aligned))
        embedded = torch.cat([embedded, head.pose_map(out[:, -1:])], 1)
    assert (head.decode(memory, 5) - out).abs().max() <= 1e-5


@pytest.mark.parametrize(
    ("kind", "name"), [(Audio2Mesh, "audio2mesh"), (Audio2HeadPose, "audio2pose")]
)
def test_default_networks_have_the_published_keys_and_shapes(data, kind, name):
    published = json.loads((data / "full_keys.json").read_text())[name]
    with torch.device("meta"):
        model = kind()
    assert shapes(model) == {key: tuple(shape) for key, shape in published.items()}
    count = sum(p.numel() for p in model.parameters())
    assert count == {"audio2mesh": 95_485_692, "audio2pose": 120_058_758}[name]


def test_the_recipe_makes_the_parity_files(shared):
    for name, file in (("audio2mesh", "a2m_tiny"), ("audio2pose", "a2p_tiny")):
        stored, own = load_file(shared / "parity" / f"{file}.safetensors"), tiny_state(name)
        assert stored.keys() == own.keys()
        assert all(torch.equal(own[key], value.float()) for key, value in stored.items())


# ---- any length


@pytest.mark.parametrize("samples", [400, 479, 16000, 79_999, 80_000, 80_001, 160_000, 320_001])
@pytest.mark.parametrize("fps", [12.5, 25.0, 60.0])
def test_every_length_gives_every_frame(mesh, head, samples, fps):
    audio = noise(samples)
    frames = audio.frames(fps) + 3  # longer than the sound: held
    spoken = mesh.predict(audio, fps, frames)
    assert spoken.offsets.shape == (frames, 468, 3) and spoken.offsets.dtype == np.float32
    assert spoken.tokens.shape == (frames, 1, 32) and np.isfinite(spoken.offsets).all()
    assert np.array_equal(spoken.offsets[-1], spoken.offsets[-2])
    if fps == 25.0:
        poses = head.predict(audio, fps, frames)
        assert poses.shape == (frames, 6) and np.isfinite(poses).all()


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
    values = torch.from_numpy(wav2vec.heard(minute, 25, 1))[: 21 * 16000]
    whole = mesh.audio_encoder.feature_extractor(values[None])[0]
    pieces = wav2vec._features(mesh.audio_encoder, values)
    assert pieces.shape == whole.shape and (pieces - whole).abs().max() <= 1e-5


@torch.no_grad()
def test_windows_are_near_the_whole_and_join_smoothly(mesh, minute):
    """Random attention looks everywhere alike, so this is harder on windows than trained weights are.

    Measured, rms over the deviation in time: 0.09 away from the seams, 0.07 at them.
    """
    values = torch.from_numpy(wav2vec.heard(minute, 25, 1))
    rows = wav2vec.rows_of(len(values))
    whole = wav2vec.whole(mesh.audio_encoder, values[None], rows)[0]
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
    values = torch.from_numpy(wav2vec.heard(minute, 25, 1))[: 20 * 16000]
    whole = wav2vec.whole(mesh.audio_encoder, values[None], 600)[0]
    assert (wav2vec.encode(mesh.audio_encoder, values, 600) - whole).abs().max() <= 1e-5


def test_memory_is_bounded_for_ten_minutes(mesh, head, monkeypatch):
    """No convolution sees more than 5.1 s, no attention more than 20 s, no decoding more than 8 windows."""
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
    batches = []

    def decode(self, memory, identity):
        batches.append(memory.shape[:2])
        return memory.new_ones(*memory.shape[:2], 6)

    monkeypatch.setattr(Audio2HeadPose, "decode", decode)
    poses = wav2vec.crossfade(head._windows(torch.zeros(18000, 32), 0), 18000, 60, 0)
    assert poses.shape == (18000, 6) and (poses == 1).all()
    assert batches == [(8, 300)] * 9 + [(3, 300)]


@torch.no_grad()
def test_long_head_motion_is_its_windows_faded(head, monkeypatch):
    monkeypatch.setattr(aniportrait, "POSE_WINDOW", 50)
    monkeypatch.setattr(aniportrait, "POSE_OVERLAP", 10)
    monkeypatch.setattr(aniportrait, "POSE_BATCH", 2)
    memory = torch.randn(120, 32, generator=torch.Generator().manual_seed(1))
    joined = wav2vec.crossfade(head._windows(memory, 0), 120, 10, 0)
    first, second = head.decode(torch.stack([memory[:50], memory[40:90]]), 0)
    assert (joined[:40] - first[:40]).abs().max() <= 1e-5
    assert (joined[50:70] - second[10:30]).abs().max() <= 1e-5
    share = ((torch.arange(10) + 0.5) / 10)[:, None]
    assert (joined[40:50] - (first[40:] * (1 - share) + second[:10] * share)).abs().max() <= 1e-5


# ---- files


@pytest.mark.parametrize("kind", [Audio2Mesh, Audio2HeadPose])
def test_saved_networks_come_back(kind, paths, tmp_path):
    model = kind.from_published(paths)
    model.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    audio = noise(16000)
    one, two = model.predict(audio, 25, 25), again.predict(audio, 25, 25)
    if kind is Audio2Mesh:
        one, two = one.offsets, two.offsets
    assert np.abs(one - two).max() <= 1e-5


def test_safetensors_and_stored_positions_load_as_well(paths, tmp_path):
    state = tiny_state("audio2pose") | {"PPE.pe": aniportrait.sinusoids(32)}
    save_file(state, tmp_path / "audio2pose.safetensors")
    stored = Audio2HeadPose.from_published(
        paths | {"audio2pose": tmp_path / "audio2pose.safetensors"}
    )
    assert torch.equal(stored.PPE.pe, Audio2HeadPose.from_published(paths).PPE.pe)
    assert not stored.training and not any(p.requires_grad for p in stored.parameters())


def test_damaged_files_are_named(paths, tmp_path):
    bad = tmp_path / "audio2mesh.pt"

    def refused(state, words):
        torch.save(state, bad) if not isinstance(state, bytes) else bad.write_bytes(state)
        with pytest.raises(ValueError, match=words) as error:
            Audio2Mesh.from_published(paths | {"audio2mesh": bad})
        assert str(bad) in str(error.value) and "\n" not in str(error.value)

    state = tiny_state("audio2mesh")
    refused({key: value for key, value in state.items() if key != "in_fn.bias"}, "lacks in_fn.bias")
    refused(state | {"extra": torch.zeros(1)}, "has unknown extra")
    refused(state | {"in_fn.bias": torch.zeros(3)}, "in_fn.bias of shape")
    refused(tiny_state("audio2pose"), "lacks out_fn")
    refused([1, 2], "no table of tensors")
    refused(b"version https://git-lfs.github.com/spec/v1\n", "is damaged")


def test_bad_requests_are_named(head, paths, tmp_path):
    with pytest.raises(ValueError, match="identity is 100"):
        head.predict(noise(16000), 25, 25, identity=100)
    with pytest.raises(ValueError, match="601 rows"):
        head.decode(torch.zeros(1, 601, 32))
    with pytest.raises(ValueError, match="8000 Hz"):
        head.predict(Audio(np.zeros(8000, np.float32), 8000), 25, 25)
    other = tmp_path / "config.json"
    other.write_text(json.dumps(json.loads(CONFIG.read_text()) | {"feat_extract_norm": "layer"}))
    with pytest.raises(ValueError, match="feat_extract_norm 'layer'"):
        Audio2Mesh(read_settings(other))
    other.write_text("not json")
    with pytest.raises(ValueError, match="is no wav2vec2 config.json"):
        read_settings(other)
