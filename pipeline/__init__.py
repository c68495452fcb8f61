"""APV Studio: a reference image, speech and an optional driving video become a talking, gesturing
video.

Speech and a driving video become a `Motion` (numpy, cheap, previewable); a `Motion` and a reference
image become a video (torch). A room imports only rooms to its left (`tests/test_layers.py` checks
it):

values <- motion <- media <- models <- analysis <- render <- training <- evaluation <- studio
"""

from pathlib import Path
from typing import Any

__all__ = ["ROOT", "__version__", "load"]
__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent  # holds assets/ and checkpoints/


def __getattr__(name: str) -> Any:
    """Import `load` on first use, so that `import pipeline` stays light."""
    if name not in ("load", "weights"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib
    import warnings

    module = importlib.import_module("pipeline.render.load")
    if name == "load":
        return module.load
    message = "pipeline.weights is deprecated; use `from pipeline import load`"
    warnings.warn(message, FutureWarning, stacklevel=2)
    return module
