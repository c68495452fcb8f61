"""The loop of APV-Gen's training, on one process or many, over Hugging Face Accelerate.

An iteration is an optimization step on face clips (L_face + beta L_refer), then one on full-body
clips (alpha L_body). One AdamW takes both. What an iteration does follows from the seed and its
number alone, so a run that is continued goes on with the same losses.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, GradientAccumulationPlugin
from torch import Tensor

from pipeline.training.apv_gen_networks import Networks
from pipeline.training.apv_gen_step import (
    ConditionMaker,
    StepLosses,
    StepOptions,
    compute_losses,
    make_conditions,
)
from pipeline.training.checkpoint import (
    CheckpointError,
    Position,
    read_checkpoint,
    read_shards,
    write_checkpoint,
    write_shards,
)
from pipeline.training.clip_batches import ClipBatch, ClipShape
from pipeline.training.clip_loading import SampleSet, Share, batches, step_generator
from pipeline.training.config import TrainConfig
from pipeline.training.data.training_clips import ClipSource, Kind
from pipeline.training.learning_rate import learning_rate_at
from pipeline.training.weight_average import WeightAverage
from pipeline.values import InputError

log = logging.getLogger(__name__)

SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED)
BETAS = (0.9, 0.999)
FIXED_SEED = 4242  # of the batches on which a run is measured before and after


@dataclass(frozen=True)
class Sources:
    """The clips of a run: D_f and D_b; without D_b there are no steps on full bodies."""

    faces: ClipSource
    bodies: ClipSource | None

    def kinds(self) -> dict[Kind, ClipSource]:
        """Return the sources in the order of an iteration's steps."""
        found: dict[Kind, ClipSource] = {"face": self.faces}
        if self.bodies is not None:
            found["body"] = self.bodies
        return found


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Set up the processes as `accelerate launch` or its configuration says; alone without it."""
    plugin = GradientAccumulationPlugin(num_steps=config.accumulation, sync_with_dataloader=False)
    accelerator = Accelerator(
        mixed_precision=config.precision,
        gradient_accumulation_plugin=plugin,
    )
    deepspeed = accelerator.state.deepspeed_plugin
    if deepspeed is not None:  # it looks for a data loader otherwise, and ours is not its own
        deepspeed.deepspeed_config["train_micro_batch_size_per_gpu"] = config.batch
    if accelerator.distributed_type in SHARDED and config.ema > 0:
        raise InputError(
            "`ema` needs whole parameters, but DeepSpeed or FSDP shards them; set `ema` to 0"
        )
    return accelerator


class Trainer:
    """A run in work: networks, optimizer, average and position.

    Args:
        config: of the run.
        networks: what is trained.
        accelerator: as from `make_accelerator`.
        shape: of all batches.
        options: of all steps.
        condition: makes the denoiser's conditions of a batch.
    """

    def __init__(
        self,
        config: TrainConfig,
        networks: Networks,
        accelerator: Accelerator,
        shape: ClipShape,
        options: StepOptions,
        condition: ConditionMaker = make_conditions,
    ) -> None:
        self.config = config
        self.networks = networks
        self.accelerator = accelerator
        self.shape = shape
        self.options = options
        self.condition = condition
        self.iteration = 0
        networks.place(accelerator.device)
        if config.checkpointing:
            networks.denoiser.unet.enable_gradient_checkpointing()
        self.parameters = {
            name: value
            for name, value in networks.denoiser.named_parameters()
            if value.requires_grad
        }
        self.optimizer = torch.optim.AdamW(
            list(self.parameters.values()),
            config.learning_rate,
            betas=BETAS,
            weight_decay=config.weight_decay,
        )
        self.model, self.stepper = accelerator.prepare(networks.denoiser, self.optimizer)
        self.average = WeightAverage(self.parameters, config.ema)

    @property
    def share(self) -> Share:
        """Which part of a step this process does."""
        return Share(
            process=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
            accumulation=self.config.accumulation,
            batch=self.config.batch,
        )

    @property
    def is_sharded(self) -> bool:
        """Whether no process holds all parameters."""
        return self.accelerator.distributed_type in SHARDED

    def iterations(self, sources: Sources, stop: int) -> Iterator[dict[str, float]]:
        """Train up to iteration `stop`; yield the mean losses of each iteration."""
        streams = {}
        for kind, source in sources.kinds().items():
            samples = SampleSet(source, kind, self.shape, self.config.seed)
            streams[kind] = batches(samples, self.share, self.iteration, stop, self.config.workers)
        while self.iteration < stop:
            self._set_learning_rate(stop)
            losses = {}
            for kind, stream in streams.items():
                losses |= self._step(kind, stream)
            self.iteration += 1
            self.average.update()
            yield losses

    @torch.no_grad()
    def measure(self, sources: Sources, count: int) -> dict[str, float]:
        """Return the mean losses over `count` fixed batches of each kind, with the averaged
        weights: the same clips, levels and noise whenever it is called."""
        losses: dict[str, float] = {}
        with self.average.applied():
            for kind, source in sources.kinds().items():
                samples = SampleSet(source, kind, self.shape, FIXED_SEED)
                sums: dict[str, Tensor] = {}
                for number in range(count):
                    batch = samples[number].to(self.accelerator.device)
                    generator = step_generator(FIXED_SEED, kind, number)
                    terms = self._losses(batch, generator).terms
                    for name, value in terms.items():
                        sums[name] = sums.get(name, 0) + value
                for name, value in sums.items():
                    losses[name] = float(value) / count
        return losses

    def _losses(self, batch: ClipBatch, generator: torch.Generator) -> StepLosses:
        return compute_losses(
            self.networks, self.model, batch, self.options, generator, self.condition
        )

    def _step(self, kind: Kind, stream: Iterator[ClipBatch]) -> dict[str, float]:
        """Take one optimization step on clips of one kind; return its mean losses."""
        sums: dict[str, Tensor] = {}
        for number in self.share.numbers(self.iteration):
            batch = next(stream).to(self.accelerator.device)
            generator = step_generator(self.config.seed, kind, number)
            with self.accelerator.accumulate(self.model):
                losses = self._losses(batch, generator)
                self.accelerator.backward(losses.total)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(
                        self.model.parameters(), self.config.gradient_norm
                    )
                self.stepper.step()
                self.stepper.zero_grad()
            for name, value in losses.terms.items():
                sums[name] = sums.get(name, 0) + value
        return self._means(sums)

    def _means(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the means over all batches of all processes."""
        totals = torch.stack(list(sums.values()))
        totals = self.accelerator.reduce(totals, "sum")
        means = totals / self.share.batches
        return dict(zip(sums, means.tolist(), strict=True))

    def _set_learning_rate(self, stop: int) -> None:
        rate = learning_rate_at(self.iteration, stop, self.config)
        for group in self.stepper.param_groups:
            group["lr"] = rate

    def agree(self, wish: bool) -> bool:
        """Return whether any process has a wish, so that all do the same."""
        flag = torch.tensor(float(wish), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)

    def resume(self) -> None:
        """Go on where the run's checkpoint is; begin where there is none."""
        folder = self.config.run_folder
        if self.is_sharded:
            position = read_shards(folder, self.accelerator)
        else:
            position = read_checkpoint(folder, self.parameters, self.average, self.optimizer)
        if position is None:
            return
        if position.seed != self.config.seed:
            raise InputError(
                f"{folder} holds a run of seed {position.seed}, not {self.config.seed}; "
                "give that `seed`, or another folder `run`"
            )
        self.iteration = position.iteration

    def save(self) -> None:
        """Write the run's checkpoint.

        Raises CheckpointError where the disk is full; the last one is kept.
        """
        position = Position(self.iteration, self.config.seed)
        if self.is_sharded:
            write_shards(self.config.run_folder, position, self.accelerator)
        elif self.accelerator.is_main_process:
            write_checkpoint(
                self.config.run_folder,
                position,
                self.parameters,
                self.average,
                self.optimizer,
            )
        self.accelerator.wait_for_everyone()

    def try_to_save(self) -> None:
        """Write the run's checkpoint, or warn where the disk is full: training goes on."""
        try:
            self.save()
        except CheckpointError as error:
            log.warning(
                "the checkpoint of iteration %d could not be written (%s); the last one is kept",
                self.iteration,
                error,
            )
            self.accelerator.wait_for_everyone()

    def weights(self) -> dict[str, Tensor]:
        """Return the tensors of the trained networks as they are, whole on the main process."""
        if self.is_sharded:
            return self.accelerator.get_state_dict(self.model)
        return self.networks.denoiser.state_dict()
