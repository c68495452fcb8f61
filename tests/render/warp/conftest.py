"""The drawn, clothed person whose layers several files look at."""

import pytest

from pipeline.render import warp
from tests.helpers.clothed_person import Clothed, clothed


@pytest.fixture(scope="session")
def drawn() -> Clothed:
    return clothed()


@pytest.fixture(scope="session")
def plates(drawn: Clothed) -> warp.Plates:
    return drawn.layers()
