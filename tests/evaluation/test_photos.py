"""`evaluation.photos`: a kept picture changes by nothing, a painted one by what was painted."""

import numpy as np
import pytest

from pipeline.evaluation.photos import parse, sheet, takes
from pipeline.render.draft import draft
from pipeline.values import InputError
from tests.helpers.tiny import motion, portrait


def test_the_warp_itself_changes_nothing_and_a_brighter_picture_by_its_brightness():
    image, moves = portrait(), motion(4)
    frames = np.concatenate(list(draft(image, moves, (128, 64))))
    change, _, gap = takes.measure(image, moves, frames)
    assert change == 0 and gap >= 0
    brighter = np.minimum(frames.astype(int) + 9, 255).astype(np.uint8)
    assert 5 < takes.measure(image, moves, brighter)[0] <= 9
    assert sheet.take_row(image, frames).shape[0] == sheet.SHEET_HEIGHT_PX


@pytest.mark.parametrize("name", ["sheet.xyz", "no/such/folder/sheet.png"])
def test_a_sheet_that_cannot_be_written_is_told_before_the_work(name):
    with pytest.raises(InputError, match="--sheet"):
        parse(["--references", "photo.png", "--invariants", "--sheet", name])
