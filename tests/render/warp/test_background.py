"""Behind the person: a plain wall is filled smoothly, everything else with texture."""

import numpy as np
import pytest
import torch

from pipeline.render.warp.background import fill_background, is_plain

SIZE = (192, 128)


def wall(contrast: float) -> torch.Tensor:
    """(1,3,H,W) a wall with light that falls off, and tiles of some contrast."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    light = 0.8 - 0.2 * rows / SIZE[0]
    tiles = ((rows // 6 + columns // 6) % 2) * contrast
    plain = torch.from_numpy((light - tiles).astype(np.float32))
    return plain.expand(1, 3, *SIZE).clone()


@pytest.fixture
def person() -> torch.Tensor:
    mask = torch.zeros(1, 1, *SIZE)
    mask[:, :, 60:, 40:90] = 1
    return mask


def unused_fill(*_: torch.Tensor) -> torch.Tensor:
    raise AssertionError("a plain wall is not searched for texture")


def test_a_plain_wall_with_falling_light_goes_on_behind_the_person(person: torch.Tensor) -> None:
    image = wall(0.0)
    shown = torch.where(person > 0, 0.1, image)
    filled = fill_background(shown, person, unused_fill)
    hidden = person[0, 0] > 0
    assert (filled[0, :3] - image[0]).abs()[:, hidden].max() < 0.08
    assert filled[0, 3][hidden].max() == 0


def test_tiles_are_filled_with_texture(person: torch.Tensor) -> None:
    calls = []

    def fill(image: torch.Tensor, known: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        calls.append(known)
        return torch.full_like(image, 0.25)

    image = wall(0.2)
    filled = fill_background(image, person, fill)
    assert len(calls) == 1
    assert (filled[0, :3, 120, 64] == 0.25).all()
    far_away = (slice(None), slice(0, 20))
    np.testing.assert_array_equal(filled[0, :3][far_away], image[0][far_away])


@pytest.mark.parametrize(("contrast", "plain"), [(0.0, True), (0.01, True), (0.06, False)])
def test_how_plain_a_wall_is(contrast: float, plain: bool, person: torch.Tensor) -> None:
    away = 1 - person
    assert is_plain(wall(contrast), away) is plain


def test_a_person_that_fills_the_picture_stands_before_nothing_known() -> None:
    assert not is_plain(wall(0.0), torch.zeros(1, 1, *SIZE))
