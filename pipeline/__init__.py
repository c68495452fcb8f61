"""APV Studio: a reference image, speech and an optional driving video become a talking, gesturing video.

Speech and a driving video become a `Motion` (numpy, cheap, previewable); a `Motion` and a reference image
become a video (torch). A room imports only rooms to its left (`tests/test_layers.py` checks it):

values <- motion <- media <- models <- analysis <- render <- training <- evaluation <- studio
"""

from pathlib import Path

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent  # holds assets/ and checkpoints/
