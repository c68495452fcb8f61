"""APV Studio: a reference image, speech and an optional driving video become a talking, gesturing
video.

Speech and a driving video become a `Motion` (numpy, cheap, previewable); a `Motion` and a reference
image become a video (torch). A room imports only rooms to its left (`tests/test_layers.py` checks
it):

values <- motion <- media <- models <- analysis <- render <- training <- evaluation <- studio
"""

from pathlib import Path
from typing import Any

__all__ = ["ROOT", "InputError", "__version__", "load"]
__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent  # holds assets/ and checkpoints/


class InputError(ValueError):
    """The user's fault: one sentence that names the input, what is wrong with it and what to do.

    The sentence names an option by its `Request` field in backticks, such as `pose_free`. The
    command line shows the flag in its place, the app the control's label. Every other exception is
    a bug.
    """


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
