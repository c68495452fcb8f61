"""Fine-tune ControlNeXt-SVD into APV-Gen, or train a small model from nothing.

    python -m pipeline train apv-gen --config cpu            drawn presenters, minutes on two cores
    python -m pipeline train apv-gen --config one_gpu --faces data/faces --bodies data/bodies
    accelerate launch -m pipeline.training.train_apv_gen --config eight_gpus

The same command continues a run. Ctrl-C saves it. The trained folder runs with
`python -m pipeline generate --model RUN/model`.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.models.haar import HaarLatent
from pipeline.models.model_settings import INDEX_FILE, ModelSettings
from pipeline.render.runtime.device import peak_memory
from pipeline.training.apo_avatar import ApoAvatarConditions
from pipeline.training.apv_gen_networks import (
    Networks,
    load_networks,
    make_ready,
    measure_codec,
    new_networks,
    save_model,
)
from pipeline.training.apv_gen_step import ConditionMaker, StepOptions, make_conditions
from pipeline.training.clip_batches import ClipShape
from pipeline.training.clip_loading import NoiseClips, PartOfSource, RememberedClips
from pipeline.training.config import TYPES, TrainConfig, change, help_texts, read_config
from pipeline.training.data import placement_law, talks
from pipeline.training.data.drawn_clips import DrawnClips
from pipeline.training.data.fda_sampling import PAPER
from pipeline.training.data.training_clips import ClipSource, Kind
from pipeline.training.data.video_shards import ShardFolder, check_pair
from pipeline.training.engine import Sources, Trainer, make_accelerator
from pipeline.training.lora import add_lora, load_lora
from pipeline.training.noise_levels import NoiseLaw
from pipeline.training.random_model import random_weights
from pipeline.training.run_log import RunLog
from pipeline.training.stop_request import StopRequest, stop_requests
from pipeline.training.training_memory import estimate_memory
from pipeline.training.validation import render_clips, write_clips
from pipeline.values import InputError

NEW_MODEL = "new"
RANDOM_MODEL = "random"
BENCH_ITERATIONS = 25  # 50 optimization steps
CODEC_CLIPS = 8  # the whitening of a new model is measured on these
BANK_SCALE = 0.1  # of the speech that drawn presenters say, as a share of that of `train video`


def open_sources(config: TrainConfig) -> tuple[Sources, ClipSource]:
    """Open the clips to train on, and the full-body clips to validate on."""
    faces = open_source(config, "face")
    bodies = open_source(config, "body")
    if isinstance(faces, ShardFolder) and isinstance(bodies, ShardFolder):
        check_pair(faces, bodies)
    held = min(config.validation_clips, len(bodies) - 1)
    trained = len(bodies) - held
    validation = PartOfSource(bodies, trained, len(bodies))
    mixed = PartOfSource(bodies, 0, trained) if config.mixed else None
    return Sources(faces, mixed), validation


def open_source(config: TrainConfig, kind: Kind) -> ClipSource:
    """Open the clips of one kind: drawn ones, or a folder of shards."""
    if config.bench:
        return NoiseClips(kind, config.frames, config.size)
    if config.drawn:
        bank = talks.load_or_make_bank(config.run_folder, config.seed, BANK_SCALE)
        drawn = DrawnClips(
            kind=kind,
            count=config.drawn,
            frames=config.frames,
            size=config.size,
            seed=config.seed,
            bank=bank,
        )
        return RememberedClips(drawn)
    names: dict[Kind, str] = {"face": "faces", "body": "bodies"}
    folder = getattr(config, names[kind])
    if not folder:
        raise InputError(
            f"there are no {kind} clips: give `{names[kind]}` a folder that "
            "`python -m pipeline train data` wrote, or `drawn` a number"
        )
    return ShardFolder(Path(folder), kind)


def open_networks(config: TrainConfig, sources: Sources) -> Networks:
    """Load the networks, or make new small ones whose codec is measured on clips."""
    if config.model == NEW_MODEL:
        networks = new_networks(measured_codec(config, sources), config.seed)
    elif config.model == RANDOM_MODEL:
        networks = make_ready(random_weights(config.seed))
    else:
        networks = load_networks(config.model)
    if config.interaction:
        networks.add_interaction(config.seed)
    if config.lora_rank:
        add_lora(networks.denoiser.unet, config.lora_rank, config.seed)
    if config.lora:
        load_lora(networks.denoiser, Path(config.lora))
    networks.set_defaults(config.frames, config.size)
    networks.pipe.frame_size(config.size, *config.size)  # refuses sizes that it could not render
    return networks


def measured_codec(config: TrainConfig, sources: Sources) -> HaarLatent:
    """Make the codec of a new model, whose whitening is measured on the first clips."""
    multiple = ModelSettings.multiple
    if any(side % multiple for side in config.size):
        raise InputError(
            f"`height` {config.height} and `width` {config.width} must be multiples of {multiple}"
        )
    source = sources.faces if sources.bodies is None else sources.bodies
    pictures = []
    for index in range(min(CODEC_CLIPS, len(source))):
        frame = source.clip(index).frames[0]
        height, width = config.size
        resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        pictures.append(torch.from_numpy(resized))
    return measure_codec(torch.stack(pictures).permute(0, 3, 1, 2))


def make_shape(config: TrainConfig, networks: Networks) -> ClipShape:
    """Return the shape of all batches of a run."""
    return ClipShape(
        frames=config.frames,
        size=config.size,
        grid=networks.grid(config.size),
        interval=config.interval,
        law=placement_law.read(Path(config.law)) if config.law else PAPER,
        style=networks.condition.config.style,
        fda=config.fda,
        reference_row=config.reference,
    )


def step_options(config: TrainConfig, networks: Networks) -> StepOptions:
    """Return the options of all steps of a run; levels reach as far as the sampler's."""
    scheduler = networks.pipe.scheduler.config
    law = NoiseLaw(
        sigma_min=scheduler.sigma_min or NoiseLaw.sigma_min,
        sigma_max=scheduler.sigma_max or NoiseLaw.sigma_max,
        sigma_data=config.sigma_data,
    )
    return StepOptions(
        law=law,
        dropout=config.dropout,
        alpha=config.alpha,
        beta=config.beta,
        hand_gain=config.hand_gain,
    )


def condition_maker(config: TrainConfig) -> ConditionMaker:
    """Return what makes the conditions of a batch: APV-Gen's, or with ApoAvatar's interaction."""
    if not config.interaction:
        return make_conditions
    return ApoAvatarConditions(config.gate_floor, config.pose_dropout, config.audio_dropout)


def last_iteration(config: TrainConfig, faces: ClipSource, batches: int) -> int:
    """Return at which iteration a run ends; `batches` is what all processes do in a step."""
    if config.iterations:
        return config.iterations
    clips_per_step = batches * config.batch
    return math.ceil(config.epochs * len(faces) / clips_per_step)


def run_training(config: TrainConfig) -> dict[str, Any]:
    """Train as configured, from where the run's folder is.

    Return the losses of fixed batches before and after, and the model's folder. The model is
    written at the end, also where somebody asks for the end before.
    """
    config.run_folder.mkdir(parents=True, exist_ok=True)
    accelerator = make_accelerator(config)
    with accelerator.main_process_first():
        sources, validation = open_sources(config)
    networks = open_networks(config, sources)
    if accelerator.is_main_process:
        print(estimate_memory(networks, config).sentence(), flush=True)
    trainer = Trainer(
        config,
        networks,
        accelerator,
        make_shape(config, networks),
        step_options(config, networks),
        condition_maker(config),
    )
    if config.bench:
        return measure_speed(trainer, sources)
    trainer.resume()
    stop = last_iteration(config, sources.faces, trainer.share.batches)
    before = trainer.measure(sources, config.measured)
    with stop_requests() as request:
        train_until(trainer, sources, validation, stop, request)
    trainer.save()
    after = trainer.measure(sources, config.measured)
    model = finish(trainer, validation)
    accelerator.end_training()
    return {
        "iteration": trainer.iteration,
        "losses_before": before,
        "losses_after": after,
        "model": str(model),
    }


def measure_speed(trainer: Trainer, sources: Sources) -> dict[str, Any]:
    """Train for some iterations; return seconds of an iteration and peak memory.

    The first iteration is not timed.
    An iteration is two optimization steps, one on face clips and one on full-body clips.
    """
    count = trainer.config.iterations or BENCH_ITERATIONS
    device = trainer.accelerator.device
    moments = []
    losses = []
    for means in trainer.iterations(sources, count):
        losses.append(means)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        moments.append(time.monotonic())
    spent = moments[-1] - moments[0]
    return {
        "iterations": count,
        "seconds_per_iteration": round(spent / max(count - 1, 1), 4),
        "memory": peak_memory(),
        "device": str(device),
        "losses": losses[-1],
    }


def train_until(
    trainer: Trainer,
    sources: Sources,
    validation: ClipSource,
    stop: int,
    request: StopRequest,
) -> None:
    """Train up to iteration `stop` or a request to stop.

    Logs, checkpoints and validation clips come as often as configured.
    """
    config = trainer.config
    is_main = trainer.accelerator.is_main_process
    run_log = RunLog(config.run_folder, trainer.iteration, stop) if is_main else None
    recent: list[dict[str, float]] = []
    for losses in trainer.iterations(sources, stop):
        iteration = trainer.iteration
        recent.append(losses)
        if iteration % config.log_every == 0 or iteration == stop:
            means = mean_losses(recent)
            recent.clear()
            if run_log is not None:
                print(run_log.write(iteration, means), flush=True)
        if trainer.agree(request.is_set):
            break
        if iteration % config.save_every == 0:
            trainer.try_to_save()
        if config.validate_every and iteration % config.validate_every == 0:
            sheet = validate(trainer, validation)
            if run_log is not None and sheet is not None:
                run_log.picture(iteration, "validation", sheet)
    if run_log is not None:
        run_log.close()


def mean_losses(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every loss over some iterations."""
    means = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        means[name] = sum(values) / len(values)
    return means


def validate(trainer: Trainer, source: ClipSource) -> np.ndarray | None:
    """Render the validation clips with the averaged weights; return their sheet (H,W,3).

    None on other processes than the main one, and where no process holds all parameters.
    """
    if trainer.is_sharded or not len(source):
        return None
    sheet = None
    if trainer.accelerator.is_main_process:
        config = trainer.config
        folder = config.run_folder / "validation" / f"{trainer.iteration:07d}"
        with trainer.average.applied(), trainer.accelerator.autocast():
            clips = render_clips(
                trainer.networks,
                source,
                trainer.shape,
                config.validation_steps,
                config.seed,
            )
        sheet = write_clips(clips, folder)
    trainer.accelerator.wait_for_everyone()
    return sheet


def finish(trainer: Trainer, validation: ClipSource) -> Path:
    """Render the validation clips and write the model; return its folder."""
    validate(trainer, validation)
    folder = trainer.config.model_folder
    with trainer.average.applied():
        weights = trainer.weights()
        if trainer.accelerator.is_main_process:
            write_model(trainer.networks, weights, folder)
    trainer.accelerator.wait_for_everyone()
    return folder


def write_model(networks: Networks, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write the model's folder; an older model in its place stays until the new one is whole."""
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    save_model(networks, weights, draft)
    if folder.is_dir():
        if not (folder / INDEX_FILE).is_file() and any(folder.iterdir()):
            raise InputError(f"{folder} holds something else than a model; give another `output`")
        shutil.rmtree(folder)
    draft.rename(folder)


def build_parser() -> argparse.ArgumentParser:
    """Build the command line: the configuration file, and one flag for every key."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train apv-gen",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shipped = "TOML file, or a shipped one: cpu, one_gpu, eight_gpus"
    parser.add_argument("--config", type=Path, default=Path("one_gpu"), help=shipped)
    for name, text in help_texts().items():
        flag = f"--{name.replace('_', '-')}"
        kind = TYPES[name]
        if kind is bool:
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, action=action, default=None, help=text)
        else:
            parser.add_argument(flag, type=kind, default=None, help=text, metavar="X")
    return parser


def read_options(argv: Sequence[str] | None) -> TrainConfig:
    """Return the configuration that the command line asks for."""
    values = vars(build_parser().parse_args(argv))
    config = read_config(values.pop("config"))
    given = {name: value for name, value in values.items() if value is not None}
    return change(config, given, "the command line")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    config = read_options(argv)
    # with denormals the first hundred iterations on a CPU are several times slower
    torch.set_flush_denormal(True)
    facts = run_training(config)
    print(json.dumps(facts), flush=True)
    return 0


def launched() -> int:
    """Run the command as `accelerate launch -m` does; say the user's faults in one sentence."""
    try:
        return main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(launched())
