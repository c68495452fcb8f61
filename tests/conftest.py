"""Shared fixtures. Torch runs on one thread: with more, a busy two-core machine is 10 to 30 times
slower."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

if TYPE_CHECKING:
    from pipeline.training.data.speech import engines

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real media and parity data beside the checkout; tests skip where it is
    absent."""
    folder = Path(os.environ.get("APV_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared test data at {folder.name}/ beside the checkout")
    return folder


@pytest.fixture(scope="session")
def data() -> Path:
    return ROOT / "tests" / "data"


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def engine() -> engines.Espeak:
    """The speech engine espeak-ng; tests skip where it is absent."""
    from pipeline.training.data.speech import engines

    try:
        return engines.Espeak()
    except ValueError:
        pytest.skip("neither the system's espeak-ng nor espeakng-loader is installed")
