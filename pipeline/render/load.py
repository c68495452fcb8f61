"""Load a model by its name: the whole pipeline, or only what the analysis needs of it.

The classes of the backbone are imported when a pipeline is loaded: that alone takes seconds, which
a preview does not need.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError

from pipeline import ROOT
from pipeline.analysis.talking_face import SpeechNetwork
from pipeline.models import registry
from pipeline.models.aniportrait import Audio2Mesh
from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.model_settings import (
    INDEX_FILE,
    ModelSettings,
    PublishedModel,
    SavedModel,
    find_model,
)
from pipeline.render.runtime.device import Placement, choose_device
from pipeline.render.saved_folder import ODD, check_component, check_folder
from pipeline.values import Audio, InputError, Progress

if TYPE_CHECKING:
    from pipeline.render.base import AudioPosePipeline

SPEECH_SETS = {"aniportrait": Audio2Mesh.from_published}  # sets that move the mouth of any model
EMBEDDED_SPEECH_NETWORK = ROOT / "checkpoints" / "mini" / "audio2pose"
PIPELINES = {"AudioPoseSVDPipeline": "pipeline.render.svd.pipeline"}  # class -> module
MAX_REASON = 250  # letters of what a library says
TRIAL_RATE = 16000
TRIAL_FPS = 25.0
TRIAL_FRAMES = 12
log = logging.getLogger(__name__)
DAMAGED = (*ODD, ImportError, AssertionError, SafetensorError)


def load(
    name: str = "mini",
    device: str = "auto",
    attention: str = "auto",
    how: Placement | None = None,
    audio2pose: str = "own",
) -> AudioPosePipeline:
    """Load the pipeline of a named model set or of a folder.

    Args:
        name: a set of the registry, a folder that `save_pretrained` wrote, or a folder of published
            files.
        device: "auto", "cpu" or a CUDA device.
        attention: "auto", "xformers" or "sdpa".
        how: where and how the pipeline runs, instead of `device` and `attention`.
        audio2pose: "own", or a set of SPEECH_SETS whose network moves the mouth instead.

    Raises InputError naming the set, file, folder or device and the remedy.
    """
    how = Placement(device, attention) if how is None else how
    choose_device(how.device)  # refused before seconds of reading
    diffusers_logging.disable_progress_bar()
    network = None if audio2pose == "own" else _load_speech_set(audio2pose)
    pipe = _build(_find(name))
    if network is not None:
        pipe.register_modules(audio2pose=network)
    pipe.set_progress_bar_config(disable=True)
    from pipeline.render.runtime.placement import place

    place(pipe, how)
    return pipe


def load_settings(name: str) -> ModelSettings:
    """Read the settings of a model without loading a network; a set need not be installed."""
    return _find(name).settings


def load_speech_network(name: str, audio2pose: str = "own", device: str = "cpu") -> SpeechNetwork:
    """Load the network that moves the mouth, without the rest of the model.

    Arguments as for `load`.
    """
    diffusers_logging.disable_progress_bar()
    if audio2pose != "own":
        return _load_speech_set(audio2pose).to(device)
    model = _find(name)
    if isinstance(model, PublishedModel):
        return Audio2Pose.from_pretrained(EMBEDDED_SPEECH_NETWORK).to(device)
    component = model.component_class("audio2pose")
    if component is None:
        raise InputError(
            f"{model.folder / INDEX_FILE} names no audio2pose; copy the model folder again"
        )
    module, class_name = component
    try:
        check_component(model, "audio2pose")
        network_class = getattr(import_module(module), class_name)
        network = network_class.from_pretrained(
            model.folder / "audio2pose", local_files_only=True, use_safetensors=True
        )
        _try_out(network)
    except DAMAGED as error:
        raise _not_loaded(model, error) from error
    return network.to(device)


def _find(name: str) -> SavedModel | PublishedModel:
    """Find a model whose pipeline is known here."""
    model = find_model(name)
    if isinstance(model, SavedModel) and model.pipeline_class not in PIPELINES:
        raise InputError(
            f"{model.folder / INDEX_FILE} names the pipeline {model.pipeline_class!r}; "
            f"known: {', '.join(PIPELINES)}"
        )
    return model


def _load_speech_set(name: str) -> Audio2Mesh:
    if name not in SPEECH_SETS:
        raise InputError(f"audio2pose {name!r} is unknown; use own, {', '.join(SPEECH_SETS)}")
    return SPEECH_SETS[name](registry.located(name))


def _build(model: SavedModel | PublishedModel) -> AudioPosePipeline:
    """Build the pipeline on the CPU, in the precision in which its files are."""
    if isinstance(model, PublishedModel):
        from pipeline.render.svd import from_published

        return from_published.load(model.paths(), model.set_settings)
    class_name = model.pipeline_class
    try:
        check_folder(model)
    except InputError as error:
        raise _not_loaded(model, error) from error
    pipeline_class = getattr(import_module(PIPELINES[class_name]), class_name)
    try:
        pipe = pipeline_class.from_pretrained(
            str(model.folder), local_files_only=True, use_safetensors=True
        )
        _try_out(pipe.audio2pose)
    except DAMAGED as error:
        raise _not_loaded(model, error) from error
    return pipe


def _try_out(network: SpeechNetwork) -> None:
    """Let a network hear half a second of silence: some faulty configs show only so."""
    silence = Audio(np.zeros(TRIAL_RATE // 2, np.float32), TRIAL_RATE)
    network.predict(silence, TRIAL_FPS, TRIAL_FRAMES)


def blame_folder(steps: Iterator[Progress], name: str) -> Iterator[Progress]:
    """Yield what a render yields; tell of the folder `name` where its networks cannot work.

    Sets of the registry are ours: an exception there is a bug, and keeps its traceback.
    """
    if name in {row.name for row in registry.SETS}:
        yield from steps
        return
    try:
        yield from steps
    except (InputError, torch.OutOfMemoryError):
        raise
    except ODD as error:
        log.exception("the model in %s cannot render", name)
        reason = _first_words(error)
        raise InputError(
            f"the networks of the model folder {name} do not work together ({reason}); "
            "copy it again"
        ) from error


def _not_loaded(model: SavedModel, error: Exception) -> InputError:
    """Return the error for a folder that does not load; libraries add advice for programmers."""
    if isinstance(error, InputError):
        return InputError(f"the model folder {model.folder} could not be loaded: {error}")
    reason = _first_words(error)
    return InputError(
        f"the model folder {model.folder} could not be loaded ({reason}); copy it again"
    )


def _first_words(error: Exception) -> str:
    """Return the first sentence of what a library says."""
    reason = str(error).strip().partition("\n")[0]
    reason = reason.partition(". ")[0].removesuffix(".")
    if len(reason) > MAX_REASON:
        reason = f"{reason[:MAX_REASON]}..."
    return reason
