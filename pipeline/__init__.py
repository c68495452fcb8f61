"""APV Studio: a reference image, speech and an optional driving video become a talking, gesturing video.

Speech and a driving video become a `Motion` (numpy, cheap, previewable); a `Motion` and a reference image
become a video (torch). Import order, one way: clips, hub <- media, posefiles, motion, windows, warp <-
models, detectors, frames <- speaking <- base <- conditioning, stills <- schedules <- svd <- published <-
weights <- jobs, training, evaluation <- companions, app_knobs <- app_steps <- __main__, app.
`tests/test_layers.py` checks it.
"""

__version__ = "0.1.0"
