"""Training clips as batches: what is shown where, and what of it counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.training.clip_batches import (
    ClipShape,
    choose_rows,
    crop_box,
    join,
    make_batch,
    without_points_outside,
)
from pipeline.training.data.fda_sampling import PlacementLaw
from pipeline.values import InputError
from tests.helpers.stick_person import figure
from tests.helpers.training_clips import StickClips

EXACT = PlacementLaw(0.5, 0.25, 0.25, 0.0)
SHAPE = ClipShape(3, (64, 64), (16, 16), style="preview", law=EXACT)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_face_clip_is_shrunk_onto_black_and_counts_only_there():
    batch = make_batch(StickClips("face").clip(0), SHAPE, rng())
    inside = torch.nn.functional.interpolate(batch.inside[0], scale_factor=4)
    frames = batch.pictures[0, :3].float()
    assert (frames * (inside == 0)).sum() == 0
    assert batch.inside[0, 0].sum().item() == pytest.approx(0.5 * 0.25 * 16 * 16)
    assert (batch.inside[0, 0] == batch.inside[0, 2]).all()  # one draw per clip


def test_the_outpainted_picture_is_reference_and_last_row():
    clip = StickClips("face").clip(0)
    batch = make_batch(clip, SHAPE, rng())
    picture = torch.from_numpy(clip.outpainted.picture).permute(2, 0, 1)
    assert torch.equal(batch.reference[0], picture)
    assert torch.equal(batch.pictures[0, -1], picture)
    assert batch.has_reference_row and batch.frames == 3
    assert batch.control[0, -1].any()  # its own skeleton


def test_without_reference_training_the_outpainted_picture_is_still_the_reference():
    batch = make_batch(StickClips("face").clip(0), replace(SHAPE, reference_row=False), rng())
    assert not batch.has_reference_row and batch.pictures.shape[1] == 3
    assert batch.reference.any()


def test_without_fda_a_face_clip_is_taken_as_it_is():
    clip = StickClips("face").clip(0)
    batch = make_batch(replace(clip, outpainted=None), replace(SHAPE, fda=False), rng())
    assert (batch.inside == 1).all()
    assert any(
        torch.equal(batch.pictures[0, 0], torch.from_numpy(frame).permute(2, 0, 1))
        for frame in clip.frames
    )


def test_a_full_body_clip_counts_everywhere_and_has_no_further_row():
    batch = make_batch(StickClips("body").clip(0), SHAPE, rng())
    assert (batch.inside == 1).all() and not batch.has_reference_row
    assert batch.samples.shape == (1, 16000) and batch.sample_counts.item() == 16000
    assert batch.starts_seconds.item() in (0, 1 / 25)  # the first of three of four frames


def test_points_follow_a_crop():
    box = crop_box((64, 128), (64, 64), rng())
    assert box.span == (0.5, 1.0)
    middle = np.array([[0.25 + box.low[0], 0.5]])
    placement = box.placement
    np.testing.assert_allclose(middle * placement.scale + placement.offset, [[0.5, 0.5]])


def test_points_outside_a_shrunk_frame_are_not_drawn():
    pose = figure(1, 25.0)
    pose.body.xy[0, 0] = (1.2, 0.5)
    seen = without_points_outside(pose)
    assert seen.body.score[0, 0] == 0 and seen.body.score[0, 1] == pose.body.score[0, 1]


def test_rows_keep_their_interval_where_the_clip_is_long_enough():
    shape = replace(SHAPE, interval=3)
    assert np.diff(choose_rows(9, shape, "x", rng())).tolist() == [3, 3]
    assert np.diff(choose_rows(5, shape, "x", rng())).tolist() == [2, 2]


def test_short_clips_and_face_clips_without_reference_are_named():
    with pytest.raises(InputError, match="body 0 has 4 frames, but `frames` is 9"):
        make_batch(StickClips("body").clip(0), replace(SHAPE, frames=9), rng())
    clip = replace(StickClips("face").clip(1), outpainted=None)
    with pytest.raises(InputError, match="face 1 has no outpainted reference"):
        make_batch(clip, SHAPE, rng())


def test_batches_join():
    parts = [make_batch(StickClips("body").clip(i), SHAPE, rng()) for i in range(2)]
    longer = replace(parts[1], samples=torch.ones(1, 20000), sample_counts=torch.tensor([20000]))
    joined = join([parts[0], longer])
    assert len(joined) == 2 and joined.samples.shape == (2, 20000)
    assert joined.samples[0, 16000:].eq(0).all()
    assert joined.sample_counts.tolist() == [16000, 20000]
