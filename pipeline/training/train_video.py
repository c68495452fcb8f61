"""Trains the embedded denoiser on drawn presenters: `python -m pipeline train video --out DIR --minutes 90`.

It learns the whitened residual between the truth and the warp of the reference image (clean-sample
prediction, EDM preconditioning), with what `conditions` withholds of pose and sound. Side processes draw the
data. Logs, held-out figures and contact sheets go to the run's folder; the same command continues a run.

5 minutes on 2 cores:   --minutes 5 --shards 12 --init checkpoints/mini --out runs/five
20 minutes on a GPU:    --minutes 20 --device cuda --batch 8 --fillers 12 --pose-dropout 0.3 --clip-share 0.15
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.temporal import restore_temporal, skip_idle_temporal
from pipeline.training import denoising_step, mini_model
from pipeline.training.data.batches import WITHHELD_CHANCE, Pool, augmented, rng_of
from pipeline.training.data.clips import (
    FRAMES,
    HELD_OUT,
    SHARDS,
    Clips,
    draw_clips,
    shards,
    start_filling,
)
from pipeline.training.denoising_step import compute_loss, pick_frames
from pipeline.training.run_state import MEET_SECONDS, RATE, Run

log = logging.getLogger(__name__)

# latents of a crop's side (None: whole pictures), clips of a batch, share of steps; each costs about the same
SIDES = ((16, 24, 0.65), (24, 12, 0.25), (None, 6, 0.1))
MOUTHS = (
    8,
    64,
)  # the same of a step for mouths that only the sound moves: six cells of a small crop
MOUTH_SHARE, ALL_WITHHELD = 0.3, 1000.0
WHOLE = 0.9  # share of the run after which whole pictures are trained
SAVE_SECONDS, TEST_SECONDS = 180.0, 600.0
FIRST_SHARDS = 6  # the codec's whitening is measured on these
HELD_CLIPS = 80  # a fifth of them with withheld lips
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Recipe:
    """The choices of a run; `seconds` of wall time over all continuations, `batch` a factor on `SIDES`.

    mouth_share: of the steps before whole pictures, for clips whose lips are withheld.
    """

    seed: int = 0
    seconds: float = 5400.0
    precision: torch.dtype = torch.float32
    batch: int = 1
    pose_dropout: float = denoising_step.POSE_DROPOUT
    sharpness: float = 0.0
    clip_share: float = 0.0
    mouth_share: float = MOUTH_SHARE
    rate: float = RATE


def fast_precision(device: str) -> torch.dtype:
    """bfloat16 where the processor multiplies in it: a fifth less time on a CPU."""
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def prepared(mini: mini_model.Mini, device: str) -> mini_model.Mini:
    """The networks ready for image training on a device."""
    for part in (*mini.networks.values(), mini.vae):
        part.to(device)
    skip_idle_temporal(mini.unet)
    if (
        torch.device(device).type == "cpu"
    ):  # the fused attention's gradient takes twice the product's time here
        mini.unet.set_attn_processor(AttnProcessor())
    return mini


def step_loss(
    run: Run, pool: Pool, recipe: Recipe, share: float, seed: int
) -> tuple[Tensor, Tensor]:
    """The loss, and the warp's, of one batch at `share` of the run."""
    generator = rng_of(seed, run.step)
    side, count, frames = _shape(recipe, share, generator)
    if frames > 1:
        restore_temporal(run.mini.unet)
    withheld = ALL_WITHHELD if side == MOUTHS[0] else WITHHELD_CHANCE
    clips = pool.draw(count * recipe.batch, withheld)
    has_pose = (torch.rand(len(clips), generator=generator) >= recipe.pose_dropout).float()
    clips = pick_frames(clips, has_pose, generator) if frames == 1 else clips
    return compute_loss(
        run.mini, augmented(clips, generator), side, generator,
        has_pose=has_pose, precision=recipe.precision, sharpness=recipe.sharpness,
    )  # fmt: skip


def _shape(recipe: Recipe, share: float, generator: torch.Generator) -> tuple[int | None, int, int]:
    """Crop side, clips and frames of the next batch: crops, then whole pictures, then clips if any."""
    if share >= 1 - recipe.clip_share:
        return None, 2, FRAMES
    if share >= WHOLE - recipe.clip_share:
        return None, SIDES[-1][1], 1
    if torch.rand((), generator=generator) < recipe.mouth_share:
        return *MOUTHS, 1
    kind = torch.multinomial(torch.tensor([row[2] for row in SIDES]), 1, generator=generator).item()
    return SIDES[kind][0], SIDES[kind][1], 1


def held_out(folder: Path) -> tuple[list[Clips], list[Clips]]:
    """Clips of people that no training seed draws, by four: with lips, and with their points withheld."""
    path = folder / "held.npz"
    if not path.exists():
        draw_clips(torch.Generator().manual_seed(HELD_OUT), HELD_CLIPS, (192, 128)).save(path)
    clips = Clips.load(path)
    parts = [clips[torch.nonzero(clips.lips == value).flatten()] for value in (1, 0)]
    seen, withheld = ([part[i : i + 4] for i in range(0, len(part) - 3, 4)] for part in parts)
    return seen[:6], withheld[:4]


def test(run: Run, held: tuple[list[Clips], list[Clips]], out: Path | None) -> dict[str, float]:
    """Measures the averaged networks, draws a contact sheet and exports them if they beat the warp."""
    from PIL import Image

    with run.averaged() as mini:
        figures = mini_model.evaluate(mini, held[0])
        one, four = (
            mini_model.evaluate(mini, held[0][:2], steps)
            for steps in (1, denoising_step.SAMPLER_STEPS)
        )
        figures |= {
            f"four_less_one_{k}": four[f"result_{k}"] - one[f"result_{k}"] for k in ("psnr", "face")
        }
        if held[1]:
            figures |= mini_model.hearing(mini, held[1])
        sheet = mini_model.contact_sheet(mini, Clips.join([held[0][0], *held[1][:1]]))
        better = (
            figures["result_psnr"] > figures["warp_psnr"]
            and figures["result_face"] > figures["warp_face"]
        )
        if out is not None and better:
            mini_model.export(mini, out)
    Image.fromarray(sheet).save(run.folder / f"sheet_{run.step:05d}.png")
    row = {"step": run.step, "minutes": round(run.seconds / 60, 1)}
    row |= {k: round(v, 4) for k, v in figures.items()}
    _append(run.folder / "held.csv", row)
    print(json.dumps(row), flush=True)
    return figures


def prepare(
    folder: Path, seed: int, count: int, init: Path | None, ears: Path, device: str, fillers: int
) -> Run:
    """Starts the data, waits for the first shards, builds or resumes the run."""
    pool = folder / "pool"
    pool.mkdir(parents=True, exist_ok=True)
    for number in range(fillers):
        start_filling(pool, seed + 100 * number, -(-count // fillers), device=device)
    first = min(FIRST_SHARDS, count)
    while len(shards(pool)) < first:
        time.sleep(1)
    vae_folder = folder / "vae"
    if not (vae_folder / "config.json").exists():
        codec = (
            mini_model.HaarLatent.from_pretrained(init / "vae") if init else measured(pool, first)
        )
        codec.save_pretrained(vae_folder)
    run = Run(prepared(networks(folder, seed, init, ears), device), folder)
    run.resume()
    return run


def measured(pool: Path, first: int) -> mini_model.HaarLatent:
    """The codec with the whitening of the first shards of one size."""
    seen = [Clips.load(p) for p in shards(pool)[:first]]
    return mini_model.measured_codec(Clips.join([c for c in seen if c.size == seen[0].size]))


def networks(folder: Path, seed: int, init: Path | None, ears: Path) -> mini_model.Mini:
    """New networks, or those of an exported folder; an interaction is new where that has none."""
    vae = mini_model.HaarLatent.from_pretrained(folder / "vae")
    if init is None:
        mini = mini_model.build(vae, seed)
    else:
        mini = mini_model.load(init)
        if mini.interaction is not None:
            return mini
        mini.interaction = mini_model.new_interaction(mini.unet, mini.controlnext, seed)
    if (ears / "config.json").is_file():
        mini_model.lend_ears(mini.interaction, Audio2Pose.from_pretrained(ears))
    return mini


def train(
    run: Run,
    recipe: Recipe,
    out: Path | None,
    held: tuple[list[Clips], list[Clips]],
    workers: tuple[int, int] = (0, 1),
) -> None:
    """Trains until the recipe's seconds are used up over all continuations of the run.

    `workers` = (this one's number, how many); number 0 saves, tests and exports.
    """
    worker, count = workers
    seed = recipe.seed + 1000 * worker
    pool = Pool(run.folder / "pool", rng_of(seed + 1, run.step))
    saved = tested = met = time.monotonic()
    recent: list[tuple[Tensor, Tensor]] = []
    while run.seconds < recipe.seconds:
        began = time.monotonic()
        share = run.seconds / recipe.seconds
        loss, still = step_loss(run, pool, recipe, share, seed)
        run.update(loss, share, recipe.rate)
        recent.append((loss.detach(), still.detach()))
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


def join(
    folder: Path, recipe: Recipe, init: Path | None, ears: Path, worker: int, workers: int
) -> None:
    """What a further worker process does: begins with the saved run and meets the others every minute."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    os.nice(5)
    run = Run(prepared(networks(folder, recipe.seed, init, ears), "cpu"), folder)
    run.resume()
    train(run, recipe, None, ([], []), (worker, workers))


def _log(run: Run, recent: list[tuple[Tensor, Tensor]], pool: Pool, worker: int) -> None:
    """Appends mean loss and its ratio to the loss of the warp itself: under 1 something has been learnt."""
    loss, still = (float(torch.stack(column).mean()) for column in zip(*recent, strict=True))
    row = {
        "step": run.step, "wall": round(run.seconds, 1), "cpu": round(time.process_time(), 1),
        "loss": round(loss, 4), "ratio": round(loss / still, 4), "shards": pool.ready(), "worker": worker,
    }  # fmt: skip
    _append(run.folder / "log.csv", row)
    print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)


def _append(path: Path, row: dict[str, float]) -> None:
    """Adds a row to a CSV file, with the names first where it is new, and to TensorBoard's where that is."""
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(str(path.parent / "events")) as board:
        for name, value in row.items():
            board.add_scalar(f"{path.stem}/{name}", value, row["step"])


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train video",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("checkpoints/mini"), help="folder of the components")
    add("--minutes", type=float, default=90.0, help="wall time, over all continuations")
    add("--seed", type=int, default=0)
    add("--run", type=Path, default=Path("runs/video"), help="logs, data pool and saved state")
    add("--init", type=Path, help="begin with the weights of this exported folder")
    add(
        "--ears",
        type=Path,
        default=Path("checkpoints/mini/audio2pose"),
        help="Audio2Pose whose heads are lent",
    )
    add("--workers", type=int, default=1, help="processes, each with one thread; on a GPU 1")
    add("--fillers", type=int, default=1, help="processes that draw data")
    add("--shards", type=int, default=SHARDS, help="training shards of 32 frames, 6 MB each")
    add("--device", default="cpu", help="cpu or cuda")
    add(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="of the networks' products",
    )
    add("--batch", type=int, default=1, help="factor on the batch sizes that suit a CPU")
    add("--pose-dropout", type=float, default=denoising_step.POSE_DROPOUT, help="share of clips")
    add("--sharpness", type=float, default=0.0, help="weight of the loss of local contrast")
    add(
        "--clip-share",
        type=float,
        default=0.0,
        help="last share of the run: clips, temporal layers on",
    )
    add(
        "--mouth-share",
        type=float,
        default=MOUTH_SHARE,
        help="share of steps: mouths that only the sound moves",
    )
    add(
        "--rate",
        type=float,
        default=RATE,
        help="learning rate at the start; it falls to 3 %% of that",
    )
    arguments = parser.parse_args(argv)
    if (
        min(
            arguments.minutes,
            arguments.shards,
            arguments.workers,
            arguments.fillers,
            arguments.batch,
        )
        <= 0
    ):
        parser.error("--minutes, --shards, --workers, --fillers and --batch must be positive")
    shares = arguments.pose_dropout, arguments.clip_share, arguments.mouth_share
    if not 0 < arguments.rate < 0.1:
        parser.error("--rate must be positive and below 0.1")
    if not (0 <= min(shares) <= max(shares) <= 1 and arguments.sharpness >= 0):
        parser.error(
            "--pose-dropout, --clip-share and --mouth-share must be 0 to 1, --sharpness not negative"
        )
    if arguments.init is not None and not (arguments.init / "unet").is_dir():
        parser.error(
            f"--init {arguments.init} holds no exported networks; name a folder such as checkpoints/mini"
        )
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    options = _arguments(argv)
    torch.set_num_threads(1)
    torch.set_flush_denormal(
        True
    )  # with denormals the first hundred iterations are several times slower
    auto = options.precision == "auto"
    recipe = Recipe(
        options.seed, options.minutes * 60,
        fast_precision(options.device) if auto else PRECISIONS[options.precision],
        options.batch, options.pose_dropout, options.sharpness, options.clip_share, options.mouth_share,
        options.rate,
    )  # fmt: skip
    run = prepare(
        options.run,
        options.seed,
        options.shards,
        options.init,
        options.ears,
        options.device,
        options.fillers,
    )
    held = held_out(options.run)
    if options.workers > 1:
        run.save()
        context = multiprocessing.get_context("spawn")
        for worker in range(1, options.workers):
            place = (options.run, recipe, options.init, options.ears, worker, options.workers)
            context.Process(target=join, args=place, daemon=True).start()
    train(run, recipe, options.out, held, (0, options.workers))
    restore_temporal(run.mini.unet)
    figures = test(run, held, options.out)
    print(
        json.dumps({"better": figures["result_face"] > figures["warp_face"]} | figures), flush=True
    )
    return 0
