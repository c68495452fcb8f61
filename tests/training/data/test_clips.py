"""Clips for the denoiser's training: drawing, shards, batches, textures and crops."""

import numpy as np
import pytest
import torch

from pipeline.training.data import batches, filming, shard_writer
from pipeline.training.data import clips as pool
from tests.helpers.clips import tiny_clips


@pytest.mark.slow
def test_drawn_clips_are_seeded_and_their_warp_is_near_the_truth():
    one = filming.draw_clips(torch.Generator().manual_seed(5), 1, (128, 128), frames=2)
    two = filming.draw_clips(torch.Generator().manual_seed(5), 1, (128, 128), frames=2)
    assert torch.equal(one.warped, two.warped)
    assert one.truth.shape == (1, 2, 3, 128, 128)
    error = (one.warped.float() - one.truth.float()).abs()
    valid = one.validity.expand_as(one.truth) > 230
    assert error[valid].mean() < 12
    assert 0.2 < valid.float().mean() < 1


def test_shards_come_back_as_they_were(tmp_path):
    clips = tiny_clips()
    clips.save(tmp_path / "a.npz")
    again = pool.Clips.load(tmp_path / "a.npz")
    for name in ("warped", "face", "audio", "loudness", "lips"):
        assert torch.equal(getattr(again, name), getattr(clips, name)), name
    assert not list(tmp_path.glob("*.tmp"))


def test_the_pool_is_filled_beside_old_shards_and_resumed(tmp_path, monkeypatch):
    folder = tmp_path / "pool"
    folder.mkdir()
    np.savez(folder / "0-00000.npz", reference=np.zeros(3))  # what an older release left
    monkeypatch.setattr(shard_writer, "CLIPS_PER_SHARD", 1)
    monkeypatch.setattr(shard_writer, "SIZES", ((64, 64),) * 4)
    assert pool.shards(folder) == []
    monkeypatch.setattr(shard_writer.os, "nice", lambda step: 0)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    shard_writer.fill(str(folder), 0, 2, scale=0.01)
    first, second = pool.shards(folder)
    clips = pool.Clips.load(first)
    assert clips.audio.abs().max() > 0.1 and clips.audio.shape == (1, pool.FRAMES, *pool.TOKENS)
    written = second.stat().st_mtime_ns
    first.unlink()
    shard_writer.fill(str(folder), 0, 2, scale=0.01)
    assert torch.equal(pool.Clips.load(first).warped, clips.warped)
    assert second.stat().st_mtime_ns == written
    assert len(batches.Pool(folder, torch.Generator().manual_seed(0)).draw(2)) == 2


def test_mirroring_twice_changes_nothing_and_swaps_hands():
    clips = tiny_clips()
    once = batches.mirrored(clips)
    assert torch.equal(once.hands[..., :21, 1], clips.hands[..., 21:, 1])
    assert torch.allclose(once.hands[..., :21, 0], 1 - clips.hands[..., 21:, 0])
    twice = batches.mirrored(once)
    for name in ("reference", "warped", "validity", "audio", "loudness", "lips"):
        assert torch.equal(getattr(twice, name), getattr(clips, name))
    for name in ("body", "hands", "face"):
        assert torch.allclose(getattr(twice, name), getattr(clips, name), atol=1e-6)


def test_textures_leave_the_residual_to_color_changes_alone():
    clips = tiny_clips()
    generator = torch.Generator().manual_seed(3)
    batch = batches.augmented(clips, generator)
    assert batch.control.shape == (4, 3, 128, 128)
    difference = batch.truth - batch.warped
    assert difference[..., 44:, :].abs().max() < 1e-6  # valid places, mirrored or not, still agree
    assert difference.abs().max() > 0.05


def test_frames_and_batches_carry_the_sound_and_withheld_lips_are_not_drawn():
    clips = tiny_clips()
    clips.lips[1] = 0
    frame = clips.frame(1)
    assert torch.equal(frame.audio[:, 0], clips.audio[:, 1]) and frame.lips.shape == (2,)
    batch = batches.plain(clips)
    assert batch.audio.shape == (4, *pool.TOKENS) and batch.audio.dtype == torch.float32
    assert torch.equal(batch.loudness, clips.loudness.flatten()) and batch.lips.tolist() == [
        1,
        1,
        0,
        0,
    ]
    moved = clips[[0, 1]]
    moved.face = clips.face.clone()
    moved.face[:, :, pool.WITHHELD, :2] += 0.05
    same = (batches.skeletons(moved) == batches.skeletons(clips)).flatten(1).all(1)
    assert same.tolist() == [False, False, True, True]


def test_crops_are_aligned_over_all_scales():
    corners = [(1, 2), (0, 3)]
    cells = torch.arange(16 * 16.0).view(1, 1, 16, 16).repeat(4, 1, 1, 1)
    pixels = torch.nn.functional.interpolate(cells, scale_factor=4, mode="nearest")
    small = batches.crop(cells, corners, 8, 1)
    large = batches.crop(pixels, corners, 8, 4)
    assert small.shape == (4, 1, 8, 8) and small[0, 0, 0, 0] == 18 and small[2, 0, 0, 0] == 3
    assert torch.equal(torch.nn.functional.avg_pool2d(large, 4), small)
