"""FDA in training, eq. 2-8: the laws of the draws; frames, points, skeletons and mask agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.motion import skeleton
from pipeline.training.data import fda_sampling
from pipeline.training.data.fda_sampling import Placement, PlacementLaw
from pipeline.values import BODY, FACE, HANDS, InputError, Keypoints, Pose

SIZE = (768, 512)
DRAWS = 10_000
SURELY = 1e-3  # a p-value under this is no chance


def drawn_values(law: PlacementLaw = fda_sampling.PAPER) -> np.ndarray:
    """(DRAWS, 4) a_x, a_y, b_x, b_y."""
    generator = np.random.default_rng(7)
    rows = []
    for _ in range(DRAWS):
        placement = fda_sampling.draw_placement(generator, law)
        rows.append([*placement.scale, *placement.offset])
    return np.array(rows)


def uniform_p(values: np.ndarray, low: float, high: float) -> float:
    """p of the Kolmogorov-Smirnov test against a uniform law."""
    return stats.kstest(values, "uniform", (low, high - low)).pvalue


def test_ten_thousand_draws_follow_the_published_laws() -> None:
    a_x, a_y, b_x, b_y = drawn_values().T
    assert a_x.min() >= 0.45 and a_x.max() <= 0.55
    assert a_y.min() >= 0.30 and a_y.max() <= 0.40
    assert b_y.min() >= 0.05 and b_y.max() <= 0.15
    assert b_x.min() >= 0 and (a_x + b_x).max() <= 1 + 1e-12
    assert uniform_p(a_x, 0.45, 0.55) > SURELY
    assert uniform_p(a_y, 0.30, 0.40) > SURELY
    assert uniform_p(b_y, 0.05, 0.15) > SURELY
    assert uniform_p(b_x / (1 - a_x), 0, 1) > SURELY
    for other in (a_x, a_y, b_y):  # each quantity is a draw of its own
        assert abs(np.corrcoef(b_x / (1 - a_x), other)[0, 1]) < 0.05
    assert abs(np.corrcoef(a_x, a_y)[0, 1]) < 0.05


def test_a_measured_law_moves_the_means() -> None:
    values = drawn_values(PlacementLaw(0.4, 0.2, 0.08, 0.02))
    assert values.mean(0) == pytest.approx([0.4, 0.2, 0.3, 0.08], abs=0.01)
    assert uniform_p(values[:, 1], 0.18, 0.22) > SURELY


def test_draws_are_seeded() -> None:
    draws = [fda_sampling.draw_placement(np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(draws[0].scale, draws[1].scale)
    assert np.array_equal(draws[0].offset, draws[1].offset)


@pytest.mark.parametrize(
    "values", [(0.97, 0.35), (0.5, 0.04), (0.5, 0.35, 0.1, -0.1), (np.nan, 0.35)]
)
def test_a_law_that_leaves_the_picture_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="law"):
        PlacementLaw(*values)


def spot_frames(spots: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One frame for each of the spots (T,2), fractions: a soft white disc on gray."""
    height, width = size
    y = (np.arange(height) + 0.5)[:, None]
    x = (np.arange(width) + 0.5)[None]
    frames = []
    for spot_x, spot_y in spots * (width, height):
        distance = np.hypot(x - spot_x, y - spot_y)
        gray = 60 + 180 * np.exp(-((distance / (0.02 * height)) ** 2))
        frames.append(np.repeat(gray[..., None], 3, 2))
    return np.rint(frames).astype(np.uint8)


def centroid(picture: np.ndarray, floor: float) -> np.ndarray:
    """(2,) x and y in pixels, whole numbers at pixels' centers, of what is brighter than a gray."""
    light = np.clip(picture[..., 0].astype(float) - floor, 0, None)
    y, x = np.indices(light.shape)
    return np.array([(x * light).sum(), (y * light).sum()]) / light.sum()


@pytest.mark.parametrize("source", [(512, 512), (720, 1280), (96, 80)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_frames_points_and_skeleton_agree_within_half_a_pixel(
    source: tuple[int, int], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    placement = fda_sampling.draw_placement(generator)
    spots = generator.uniform(0.15, 0.85, (3, 2))
    face = Keypoints(np.zeros((3, FACE, 2)), np.zeros((3, FACE)))
    face.xy[:, 30] = spots
    face.score[:, 30] = 1
    pose = Pose(Keypoints.missing(3, BODY), Keypoints.missing(3, HANDS), face, 25, source)
    placed = fda_sampling.place_points(pose, placement, SIZE)
    pictures = fda_sampling.place_frames(spot_frames(spots, source), placement, SIZE)
    drawn = skeleton.draw(placed, SIZE)
    published = skeleton.draw(placed, SIZE, "controlnext")
    assert placed.size == SIZE and np.array_equal(placed.face.score, face.score)
    for t in range(3):
        point = placed.face.xy[t, 30] * (SIZE[1], SIZE[0]) - 0.5
        for picture, floor in ((pictures[t], 66), (drawn[t], 0), (published[t], 0)):
            assert np.abs(centroid(picture, floor) - point).max() <= 0.5


def test_the_mask_is_where_the_frame_is() -> None:
    for seed in range(20):
        placement = fda_sampling.draw_placement(np.random.default_rng(seed))
        white = np.full((1, 300, 200, 3), 255, np.uint8)
        picture = fda_sampling.place_frames(white, placement, SIZE)[0]
        mask = fda_sampling.loss_mask(placement, SIZE)
        assert mask.dtype == np.float32 and mask.shape == SIZE
        assert np.abs(picture[..., 0] / 255 - mask).max() < 0.003
        assert mask.sum() == pytest.approx(placement.scale.prod() * mask.size, rel=1e-5)
        assert not picture[mask == 0].any() and set(np.unique(picture[mask == 1])) == {255}


def test_the_latent_mask_is_the_mean_of_the_mask_in_pixels() -> None:
    placement = fda_sampling.draw_placement(np.random.default_rng(1))
    mask = fda_sampling.loss_mask(placement, SIZE)
    means = mask.reshape(SIZE[0] // 8, 8, SIZE[1] // 8, 8).mean((1, 3))
    latent = fda_sampling.latent_mask(placement, (SIZE[0] // 8, SIZE[1] // 8))
    assert latent == pytest.approx(means, abs=1e-5)
    assert (latent == 0).any() and (latent == 1).any()


def test_placing_is_antialiased_and_keeps_what_is_flat() -> None:
    checks = np.indices((800, 600)).sum(0) % 2 * 255
    frame = np.repeat(checks[None, ..., None], 3, 3).astype(np.uint8)
    placement = Placement(np.array([0.25, 0.25]), np.array([0.25, 0.25]))
    picture = fda_sampling.place_frames(frame, placement, (400, 400))[0]
    inside = picture[102:198, 102:198]
    assert np.abs(inside.astype(int) - 128).max() < 12
    flat = np.full((2, 40, 30, 3), 77, np.uint8)
    picture = fda_sampling.place_frames(flat, placement, (400, 400))
    assert (picture[:, 100:200, 100:200] == 77).all()


def test_the_identity_placement_changes_nothing() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 24, 16, 3), np.uint8)
    whole = Placement(np.ones(2), np.zeros(2))
    assert np.array_equal(fda_sampling.place_frames(frames, whole, (24, 16)), frames)
    assert (fda_sampling.loss_mask(whole, (24, 16)) == 1).all()


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 2**32 - 1),
)
def test_any_frame_fits_any_picture(source, size, seed) -> None:
    """Tiny frames, tiny pictures, frames that stick out: finite, in range, black outside w."""
    generator = np.random.default_rng(seed)
    placement = Placement(generator.uniform(0.01, 2, 2), generator.uniform(-1, 1, 2))
    frames = generator.integers(0, 256, (1, *source, 3), np.uint8)
    picture = fda_sampling.place_frames(frames, placement, size)[0]
    mask = fda_sampling.loss_mask(placement, size)
    assert mask.min() >= 0 and mask.max() <= 1 + 1e-6
    assert not picture[mask == 0].any()
    floats = fda_sampling.place_frames(frames.astype(np.float32), placement, size)[0]
    assert np.isfinite(floats).all() and np.abs(floats - picture).max() <= 0.51
