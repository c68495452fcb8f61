"""Trains the embedded denoiser on drawn presenters: `python -m pipeline train video --out DIR --minutes 90`.

It learns the whitened residual between the truth and the warp of the reference image (clean-sample
prediction, EDM preconditioning). A side process draws the data. The log goes to runs/video/log.csv, contact
sheets beside it; every few minutes the state is saved, and the same command continues from it.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import multiprocessing
import os
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.models.denoiser import (
    CELL,
    controlled,
    face_maps,
    predict,
    restore_temporal,
    shared_noise,
    skip_idle_temporal,
    validity_cells,
)
from pipeline.training import mini as minis
from pipeline.training.batches import CONTROL_SCALE, Batch, Pool, augmented, crop, crop_corner, rng_of
from pipeline.training.losses import denoising_loss, region_weights
from pipeline.training.pool import HELD_OUT, SHARDS, Clips, draw_clips, start_filling

log = logging.getLogger(__name__)

RATE, WARM_UP, FLOOR = 1.2e-3, 40, 0.05  # learning rate, its first iterations, its last share
EMA = 0.99
CLIP_NORM = 1.0
CLIPS = 12  # per iteration, one frame of each: 3 clips of 4 frames learnt several times slower
CROP = 24  # latents of a side while whole pictures are not needed
WHOLE = 0.88  # share of the run after which whole pictures are trained
TOP_SIGMA = 0.85  # share of clips at the sampler's first sigma; one step is what a CPU user runs
SAVE_SECONDS, TEST_SECONDS, MEET_SECONDS = 180.0, 600.0, 60.0
FIRST_SHARDS = 6  # the codec's whitening is measured on these


def sigmas(count: int, scheduler_config: dict, generator: torch.Generator) -> Tensor:
    """(count,) noise levels: the top one, or anywhere on the sampler's Karras ramp (EDM, equation 5)."""
    low, high = (scheduler_config[k] ** (1 / 7) for k in ("sigma_min", "sigma_max"))
    ramp = (high + torch.rand(count, generator=generator) * (low - high)) ** 7
    top = torch.rand(count, generator=generator) < TOP_SIGMA
    return torch.where(top, torch.full_like(ramp, scheduler_config["sigma_max"]), ramp)


def control_scales(frames: int, generator: torch.Generator) -> Tensor:
    """(frames,1,1,1) control strengths: mostly 1, at times anything in 0..1.5, for the intensity's gate."""
    other = 1.5 * torch.rand(frames, generator=generator)
    plain = torch.rand(frames, generator=generator) < 0.85
    return torch.where(plain, torch.ones(frames), other).view(-1, 1, 1, 1)


def loss_of(
    mini: minis.Mini, batch: Batch, side: int | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One batch's loss and the loss of the warp itself; `side` latents of a crop, None for whole pictures."""
    frames = len(batch.truth) // batch.clips
    base, truth = mini.encode(batch.warped), mini.encode(batch.truth)
    clean = mini.vae.residual_of(truth, base)
    weight = region_weights(batch.validity, batch.face, batch.hands)
    face = face_maps(batch.face, tuple(batch.truth.shape[-2:]))[0]
    rest = torch.nn.functional.avg_pool2d(batch.validity * (1 - face), CELL)
    extra, control = validity_cells(batch.validity), batch.control
    if side is not None:
        corners = crop_corner(batch, side, generator)
        base, clean, weight, rest, extra = (
            crop(x, corners, side, 1) for x in (base, clean, weight, rest, extra)
        )
        control = crop(control, corners, side, CELL * CONTROL_SCALE)
    levels = sigmas(batch.clips, mini.scheduler.config, generator)
    shape = (batch.clips, frames, *clean.shape[1:])
    noise = shared_noise(shape, generator, clean.device, clean.dtype)
    sigma = levels.view(-1, 1, 1, 1, 1)
    sample = (clean.view(shape) + sigma * noise) / (sigma.square() + 1).sqrt()
    times = 0.25 * levels.log()
    tokens = mini.reference_tokens(mini.encode(batch.reference))
    with controlled(mini.unet, mini.controlnext) as injection:
        features = mini.controlnext(control.unflatten(0, shape[:2]), times, extra)
        scale = control_scales(len(features), generator)
        output = predict(mini.unet, injection, sample, times, base.view(shape), tokens, features, scale)
    spread = mini.vae.residual.flatten() * mini.vae.std.flatten()
    loss = denoising_loss(output.flatten(0, 1), clean, weight, rest, spread)
    return loss, denoising_loss(torch.zeros_like(clean), clean, weight, rest, spread)


class Run:
    """Networks, moving average, optimiser and progress of a training that can be continued."""

    def __init__(self, mini: minis.Mini, folder: Path) -> None:
        self.mini, self.folder = mini, folder
        self.networks = mini.networks
        self.average = {k: v.clone() for k, v in self.networks.state_dict().items()}
        self.step, self.seconds = 0, 0.0
        self.parameters = dict(self.networks.named_parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(), RATE, betas=(0.9, 0.98), weight_decay=1e-3
        )

    def update(self, loss: Tensor, share: float) -> None:
        """One optimiser step at `share` of the run."""
        rate = RATE * min(1.0, (self.step + 1) / WARM_UP) * max(FLOOR, 1 - share)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), CLIP_NORM)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        keep = min(EMA, (1 + self.step) / (10 + self.step))
        state = self.networks.state_dict()
        with torch.no_grad():
            for name, value in self.average.items():
                value.lerp_(state[name].detach(), 1 - keep)

    def save(self) -> None:
        """Networks, average and optimiser state as safetensors, progress as JSON; no pickles."""
        tensors = {f"net.{k}": v.contiguous() for k, v in self.networks.state_dict().items()}
        tensors |= {f"ema.{k}": v.contiguous() for k, v in self.average.items()}
        for name, parameter in self.parameters.items():
            for field, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"opt.{field}.{name}"] = value.contiguous()
        draft = self.folder / "state.tmp"
        save_file(tensors, draft, {"step": str(self.step), "seconds": str(self.seconds)})
        os.replace(draft, self.folder / "state.safetensors")
        progress = {"step": self.step, "seconds": self.seconds}
        (self.folder / "progress.json").write_text(json.dumps(progress), encoding="utf-8")

    def resume(self) -> None:
        """Continues where `save` left off; nothing happens where there is no saved state."""
        path = self.folder / "state.safetensors"
        if not path.exists():
            return
        tensors = load_file(path)
        self.networks.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("net.")})
        self.average = {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}
        for name, parameter in self.parameters.items():
            state = {f: tensors.get(f"opt.{f}.{name}") for f in ("step", "exp_avg", "exp_avg_sq")}
            if all(v is not None for v in state.values()):
                self.optimiser.state[parameter] = state
        progress = json.loads((self.folder / "progress.json").read_text(encoding="utf-8"))
        self.step, self.seconds = progress["step"], progress["seconds"]

    def meet(self, worker: int, workers: int) -> None:
        """Averages the weights with what the other workers wrote last (local SGD)."""
        state = self.networks.state_dict()
        draft = self.folder / f"worker{worker}.tmp"
        save_file({k: v.contiguous() for k, v in state.items()}, draft)
        others = [self.folder / f"worker{i}.safetensors" for i in range(workers) if i != worker]
        fresh = [p for p in others if p.exists() and time.time() - p.stat().st_mtime < 3 * MEET_SECONDS]
        for number, path in enumerate(fresh, 2):
            for name, value in load_file(path).items():
                state[name].lerp_(value, 1 / number)
        os.replace(draft, self.folder / f"worker{worker}.safetensors")

    def averaged(self) -> _Averaged:
        """A context in which the networks hold the moving average."""
        return _Averaged(self)


class _Averaged:
    def __init__(self, run: Run) -> None:
        self.run = run

    def __enter__(self) -> minis.Mini:
        self.kept = {k: v.clone() for k, v in self.run.networks.state_dict().items()}
        self.run.networks.load_state_dict(self.run.average)
        return self.run.mini

    def __exit__(self, *args: object) -> None:
        self.run.networks.load_state_dict(self.kept)


def held_out(folder: Path) -> list[Clips]:
    """Clips of people that no training seed draws; drawn once and kept."""
    path = folder / "held.npz"
    if not path.exists():
        draw_clips(torch.Generator().manual_seed(HELD_OUT), 24, (192, 128)).save(path)
    clips = Clips.load(path)
    return [clips[i : i + 4] for i in range(0, len(clips), 4)]


def test(run: Run, held: list[Clips], out: Path | None) -> dict[str, float]:
    """Measures the averaged networks, draws a contact sheet and exports them if they beat the warp."""
    from PIL import Image

    with run.averaged() as mini:
        figures = minis.evaluate(mini, held)
        sheet = minis.contact_sheet(mini, Clips.join([held[0], held[1]]))
        better = (
            figures["result_psnr"] > figures["warp_psnr"] and figures["result_face"] > figures["warp_face"]
        )
        if out is not None and better:
            minis.export(mini, out)
    Image.fromarray(sheet).save(run.folder / f"sheet_{run.step:05d}.png")
    row = {"step": run.step, "minutes": round(run.seconds / 60, 1)} | {
        k: round(v, 4) for k, v in figures.items()
    }
    path = run.folder / "held.csv"
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(json.dumps(row), flush=True)
    return figures


def prepare(folder: Path, seed: int, shards: int) -> Run:
    """Starts the data, waits for the first shards, builds or resumes the run."""
    pool = folder / "pool"
    pool.mkdir(parents=True, exist_ok=True)
    start_filling(pool, seed, shards)
    first = min(FIRST_SHARDS, shards)
    while len(list(pool.glob("*.npz"))) < first:
        time.sleep(1)
    vae_folder = folder / "vae"
    if not (vae_folder / "config.json").exists():
        seen = [Clips.load(p) for p in sorted(pool.glob("*.npz"))[:first]]
        flat = [c for c in seen if c.size == seen[0].size]
        minis.measured_codec(Clips.join(flat)).save_pretrained(vae_folder)
    vae = minis.HaarLatent.from_pretrained(vae_folder)
    run = Run(minis.build(vae, seed), folder)
    run.resume()
    skip_idle_temporal(run.mini.unet)
    return run


def train(
    run: Run,
    seed: int,
    seconds: float,
    out: Path | None,
    held: list[Clips],
    workers: tuple[int, int] = (0, 1),
) -> None:
    """Trains until `seconds` of wall time are used up over all continuations of the run.

    `workers` = (this one's number, how many); number 0 saves, tests and exports.
    """
    worker, count = workers
    seed += 1000 * worker
    pool = Pool(run.folder / "pool", rng_of(seed + 1, run.step))
    saved = tested = met = time.monotonic()
    recent: list[tuple[float, float]] = []
    while run.seconds < seconds:
        began = time.monotonic()
        generator = rng_of(seed, run.step)
        share = run.seconds / seconds
        whole = share >= WHOLE
        batch = augmented(pool.draw(CLIPS // 2 if whole else CLIPS), generator)
        loss, still = loss_of(run.mini, batch, None if whole else CROP, generator)
        run.update(loss, share)
        recent.append((float(loss.detach()), float(still)))
        run.seconds += time.monotonic() - began
        if run.step % 20 == 0:
            _log(run, recent, pool, worker)
            recent.clear()
        now = time.monotonic()
        if count > 1 and now - met > MEET_SECONDS:
            run.meet(worker, count)
            met = now
        if worker:
            if not multiprocessing.parent_process().is_alive():
                return
            continue
        if now - saved > SAVE_SECONDS:
            run.save()
            saved = now
        if now - tested > TEST_SECONDS:
            test(run, held, out)
            tested = time.monotonic()
    if not worker:
        run.save()


def join(folder: Path, seed: int, seconds: float, worker: int, workers: int) -> None:
    """What a further worker process does: begins with the saved run and meets the others every minute."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    os.nice(5)
    run = Run(minis.build(minis.HaarLatent.from_pretrained(folder / "vae"), seed), folder)
    run.resume()
    skip_idle_temporal(run.mini.unet)
    train(run, seed, seconds, None, [], (worker, workers))


def start_workers(folder: Path, seed: int, seconds: float, workers: int) -> None:
    """Starts the processes 1 .. workers - 1; they end with this one."""
    context = multiprocessing.get_context("spawn")
    for worker in range(1, workers):
        context.Process(target=join, args=(folder, seed, seconds, worker, workers), daemon=True).start()


def _log(run: Run, recent: list[tuple[float, float]], pool: Pool, worker: int) -> None:
    """Appends mean loss and its ratio to the loss of the warp itself: under 1 something has been learnt."""
    loss, still = (sum(column) / len(recent) for column in zip(*recent, strict=True))
    row = [
        run.step,
        round(run.seconds, 1),
        round(time.process_time(), 1),
        round(loss, 4),
        round(loss / still, 4),
        pool.ready(),
        worker,
    ]
    with open(run.folder / "log.csv", "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(row)
    print("step {} wall {} s cpu {} s loss {} ratio {} shards {} worker {}".format(*row), flush=True)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train video", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--out", type=Path, default=Path("checkpoints/mini"), help="folder of the components")
    parser.add_argument("--minutes", type=float, default=90.0, help="wall time, over all continuations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--run", type=Path, default=Path("runs/video"), help="logs, data pool and saved state"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes, each with one thread")
    parser.add_argument("--shards", type=int, default=SHARDS, help="training shards of 32 frames, 6 MB each")
    arguments = parser.parse_args(argv)
    if arguments.minutes <= 0 or arguments.shards < 1 or arguments.workers < 1:
        parser.error("--minutes, --shards and --workers must be positive")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    options = _arguments(argv)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # with denormals the first hundred iterations are several times slower
    run = prepare(options.run, options.seed, options.shards)
    held = held_out(options.run)
    if options.workers > 1:
        run.save()
        start_workers(options.run, options.seed, options.minutes * 60, options.workers)
    train(run, options.seed, options.minutes * 60, options.out, held, (0, options.workers))
    restore_temporal(run.mini.unet)
    figures = test(run, held, options.out)
    print(json.dumps({"better": figures["result_face"] > figures["warp_face"]} | figures), flush=True)
    return 0
