"""Train the embedded denoiser on drawn presenters: `python -m pipeline train video --out DIR`.

It learns the whitened residual between the truth and the warp of the reference image (clean-sample
prediction, EDM preconditioning). `denoising_step` withholds pose and sound from a share of the
clips. Side processes draw the data. Logs, held-out figures and contact sheets go to the run's
folder; the same command continues a run.

5 minutes on 2 cores:   --minutes 5 --shards 12 --init checkpoints/mini --out runs/five
20 minutes on a GPU:    --minutes 20 --device cuda --batch 8 --fillers 12 --pose-dropout 0.3
--clip-share 0.15
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from pipeline.models.audio2pose import Audio2Pose
from pipeline.models.temporal import restore_temporal, skip_idle_temporal
from pipeline.training import denoising_step, mini_model
from pipeline.training.data.batches import Pool, step_generator
from pipeline.training.data.clips import HELD_OUT_SEED, Clips, shards
from pipeline.training.data.filming import draw_clips
from pipeline.training.data.shard_writer import SHARDS, start_filling
from pipeline.training.run_state import EXCHANGE_SECONDS, LEARNING_RATE, Run
from pipeline.training.video_steps import MOUTH_SHARE, Recipe, step_loss

log = logging.getLogger(__name__)

SAVE_SECONDS = 180.0
TEST_SECONDS = 600.0
FIRST_SHARDS = 6  # the codec's whitening is measured on these
HELD_OUT_CLIPS = 80  # a fifth of them with withheld lips
HELD_OUT_SIZE = (192, 128)
TESTED_CLIPS = 4  # at a time
LOG_STEPS = 20
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class HeldOutClips:
    """Clips of people that no training seed draws, in groups of four."""

    shown: list[Clips]  # with lips
    withheld: list[Clips]  # with withheld lips


@dataclass(frozen=True)
class Worker:
    """One of several processes that train the same networks; number 0 saves, tests and exports."""

    number: int = 0
    count: int = 1


ALONE = Worker()


def fast_precision(device: str) -> torch.dtype:
    """Choose bfloat16 where the processor multiplies in it: a fifth less time on a CPU."""
    if torch.device(device).type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported()
    else:
        has_bfloat16 = torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32


def prepare_networks(mini: mini_model.Mini, device: str) -> mini_model.Mini:
    """Move the networks to a device and make them ready for training on single frames."""
    for part in (*mini.networks.values(), mini.vae):
        part.to(device)
    skip_idle_temporal(mini.unet)
    if torch.device(device).type == "cpu":
        # here backward through fused attention takes twice the time of plain matrix products
        mini.unet.set_attn_processor(AttnProcessor())
    return mini


def load_held_out(folder: Path) -> HeldOutClips:
    """Read the held-out clips of a run; draw them first where there are none."""
    path = folder / "held.npz"
    if not path.exists():
        generator = torch.Generator().manual_seed(HELD_OUT_SEED)
        draw_clips(generator, HELD_OUT_CLIPS, HELD_OUT_SIZE).save(path)
    clips = Clips.load(path)
    shown = clips[torch.nonzero(clips.lips == 1).flatten()]
    withheld = clips[torch.nonzero(clips.lips == 0).flatten()]
    return HeldOutClips(_groups(shown)[:6], _groups(withheld)[:4])


def _groups(clips: Clips) -> list[Clips]:
    """Split clips into full groups of four."""
    starts = range(0, len(clips) - TESTED_CLIPS + 1, TESTED_CLIPS)
    return [clips[start : start + TESTED_CLIPS] for start in starts]


def test(run: Run, held_out: HeldOutClips, out: Path | None) -> dict[str, float]:
    """Measure the averaged networks, draw a contact sheet, export them if they beat the warp."""
    from PIL import Image

    first = held_out.shown[0]
    with run.averaged() as mini:
        figures = mini_model.evaluate(mini, held_out.shown)
        figures |= _gain_of_steps(mini, held_out.shown[:2])
        if held_out.withheld:
            figures |= mini_model.evaluate_hearing(mini, held_out.withheld)
        sheet = mini_model.contact_sheet(mini, Clips.join([first, *held_out.withheld[:1]]))
        has_better_picture = figures["result_psnr"] > figures["warp_psnr"]
        has_better_face = figures["result_face"] > figures["warp_face"]
        if out is not None and has_better_picture and has_better_face:
            mini_model.export(mini, out)
    Image.fromarray(sheet).save(run.folder / f"sheet_{run.step:05d}.png")
    row = {"step": run.step, "minutes": round(run.seconds / 60, 1)}
    row |= {name: round(value, 4) for name, value in figures.items()}
    _append(run.folder / "held.csv", row)
    print(json.dumps(row), flush=True)
    return figures


def _gain_of_steps(mini: mini_model.Mini, clips: list[Clips]) -> dict[str, float]:
    """Measure by how much four steps of the sampler are better than one."""
    one = mini_model.evaluate(mini, clips, 1)
    four = mini_model.evaluate(mini, clips, denoising_step.SAMPLER_STEPS)
    gains = {}
    for name in ("psnr", "face"):
        gains[f"four_less_one_{name}"] = four[f"result_{name}"] - one[f"result_{name}"]
    return gains


def prepare(options: argparse.Namespace) -> Run:
    """Start to draw the data, wait for the first shards, build or resume the run."""
    folder = options.run
    pool = folder / "pool"
    pool.mkdir(parents=True, exist_ok=True)
    shards_per_filler = -(-options.shards // options.fillers)
    for number in range(options.fillers):
        seed = options.seed + 100 * number
        start_filling(pool, seed, shards_per_filler, device=options.device)
    first = min(FIRST_SHARDS, options.shards)
    while len(shards(pool)) < first:
        time.sleep(1)
    codec_folder = folder / "vae"
    if not (codec_folder / "config.json").exists():
        if options.init:
            codec = mini_model.HaarLatent.from_pretrained(options.init / "vae")
        else:
            codec = measure_codec(pool, first)
        codec.save_pretrained(codec_folder)
    mini = load_networks(folder, options.seed, options.init, options.ears)
    run = Run(prepare_networks(mini, options.device), folder)
    run.resume()
    return run


def measure_codec(pool: Path, count: int) -> mini_model.HaarLatent:
    """Measure the codec's whitening on those of the first shards that have one size."""
    clips = [Clips.load(path) for path in shards(pool)[:count]]
    same_size = [part for part in clips if part.size == clips[0].size]
    return mini_model.measure_codec(Clips.join(same_size))


def load_networks(folder: Path, seed: int, init: Path | None, ears: Path) -> mini_model.Mini:
    """Make new networks, or load those of an exported folder.

    An interaction is new where that folder has none.

    Args:
        folder: of the run; it holds the codec.
        seed: of new networks.
        init: exported folder, or None.
        ears: folder of the Audio2Pose that initializes a new interaction's audio features.
    """
    codec = mini_model.HaarLatent.from_pretrained(folder / "vae")
    if init is None:
        mini = mini_model.build(codec, seed)
    else:
        mini = mini_model.load(init)
        if mini.interaction is not None:
            return mini
        mini.interaction = mini_model.new_interaction(mini.unet, mini.controlnext, seed)
    if (ears / "config.json").is_file():
        mini_model.init_audio_projection(mini.interaction, Audio2Pose.from_pretrained(ears))
    return mini


def train(
    run: Run,
    recipe: Recipe,
    out: Path | None,
    held_out: HeldOutClips,
    worker: Worker = ALONE,
) -> None:
    """Train until the recipe's seconds are used up over all continuations of the run.

    Args:
        run: networks and optimizer.
        recipe: the choices of the run.
        out: folder of the exported components; None exports nothing.
        held_out: clips to test on.
        worker: which of the processes this is.
    """
    seed = recipe.seed + 1000 * worker.number
    pool = Pool(run.folder / "pool", step_generator(seed + 1, run.step))
    last_save = time.monotonic()
    last_test = last_save
    last_exchange = last_save
    recent: list[tuple[Tensor, Tensor]] = []
    while run.seconds < recipe.seconds:
        start = time.monotonic()
        share = run.seconds / recipe.seconds
        loss, warp_loss = step_loss(run, pool, recipe, share, seed)
        run.update(loss, share, recipe.learning_rate)
        recent.append((loss.detach(), warp_loss.detach()))
        run.seconds += time.monotonic() - start
        if run.step % LOG_STEPS == 0:
            _log(run, recent, pool, worker.number)
            recent.clear()
        now = time.monotonic()
        if worker.count > 1 and now - last_exchange > EXCHANGE_SECONDS:
            run.average_with_workers(worker.number, worker.count)
            last_exchange = now
        if worker.number:
            if not multiprocessing.parent_process().is_alive():
                return
            continue
        if now - last_save > SAVE_SECONDS:
            run.save()
            last_save = now
        if now - last_test > TEST_SECONDS:
            test(run, held_out, out)
            last_test = time.monotonic()
    if not worker.number:
        run.save()


def join(folder: Path, recipe: Recipe, init: Path | None, ears: Path, worker: Worker) -> None:
    """Train in a further process: begin with the saved run, meet the others every minute."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    os.nice(5)
    mini = load_networks(folder, recipe.seed, init, ears)
    run = Run(prepare_networks(mini, "cpu"), folder)
    run.resume()
    train(run, recipe, None, HeldOutClips([], []), worker)


def _log(run: Run, recent: list[tuple[Tensor, Tensor]], pool: Pool, worker: int) -> None:
    """Append mean loss and its ratio to the loss of the warp itself.

    Under 1 the networks have learned something.
    """
    loss = float(torch.stack([step[0] for step in recent]).mean())
    warp_loss = float(torch.stack([step[1] for step in recent]).mean())
    row = {
        "step": run.step,
        "wall": round(run.seconds, 1),
        "cpu": round(time.process_time(), 1),
        "loss": round(loss, 4),
        "ratio": round(loss / warp_loss, 4),
        "shards": pool.ready(),
        "worker": worker,
    }
    _append(run.folder / "log.csv", row)
    print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)


def _append(path: Path, row: dict[str, float]) -> None:
    """Add a row to a CSV file, and to TensorBoard's log where that is installed."""
    is_new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row.keys())
        if is_new:
            writer.writeheader()
        writer.writerow(row)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(str(path.parent / "events")) as board:
        for name, value in row.items():
            board.add_scalar(f"{path.stem}/{name}", value, row["step"])


def _parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train video",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mini = Path("checkpoints/mini")
    add = parser.add_argument
    add("--out", type=Path, default=mini, help="folder of the components")
    add("--minutes", type=float, default=90.0, help="wall time, over all continuations")
    add("--seed", type=int, default=0)
    add("--run", type=Path, default=Path("runs/video"), help="logs, data pool and saved state")
    add("--init", type=Path, help="begin with the weights of this exported folder")
    ears_help = "Audio2Pose whose output heads initialize new audio features"
    add("--ears", type=Path, default=mini / "audio2pose", help=ears_help)
    add("--workers", type=int, default=1, help="processes, each with one thread; on a GPU 1")
    add("--fillers", type=int, default=1, help="processes that draw data")
    add("--shards", type=int, default=SHARDS, help="training shards of 32 frames, 6 MB each")
    add("--device", default="cpu", help="cpu or cuda")
    precisions = ("auto", *PRECISIONS)
    add("--precision", choices=precisions, default="auto", help="of the networks' products")
    add("--batch", type=int, default=1, help="factor on the batch sizes that suit a CPU")
    pose_dropout = denoising_step.POSE_DROPOUT
    add("--pose-dropout", type=float, default=pose_dropout, help="share of clips")
    add("--sharpness", type=float, default=0.0, help="weight of the loss of local contrast")
    clip_help = "last share of the run: clips, temporal layers on"
    add("--clip-share", type=float, default=0.0, help=clip_help)
    mouth_help = "share of steps: mouths that only the sound moves"
    add("--mouth-share", type=float, default=MOUTH_SHARE, help=mouth_help)
    rate_help = "learning rate at the start; it falls to 3 %% of that"
    add("--rate", type=float, default=LEARNING_RATE, help=rate_help)
    return parser


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse and check the command line."""
    parser = _parser()
    options = parser.parse_args(argv)
    counts = (options.shards, options.workers, options.fillers, options.batch)
    if min(options.minutes, *counts) <= 0:
        parser.error("--minutes, --shards, --workers, --fillers and --batch must be positive")
    if not 0 < options.rate < 0.1:
        parser.error("--rate must be positive and below 0.1")
    shares = (options.pose_dropout, options.clip_share, options.mouth_share)
    has_shares = min(shares) >= 0 and max(shares) <= 1
    if not (has_shares and options.sharpness >= 0):
        parser.error(
            "--pose-dropout, --clip-share and --mouth-share must be 0 to 1, "
            "--sharpness not negative"
        )
    if options.init is not None and not (options.init / "unet").is_dir():
        parser.error(
            f"--init {options.init} holds no exported networks; "
            "name a folder such as checkpoints/mini"
        )
    return options


def _recipe(options: argparse.Namespace) -> Recipe:
    """Return the recipe that the command line asks for."""
    precision = PRECISIONS.get(options.precision)
    if precision is None:
        precision = fast_precision(options.device)
    return Recipe(
        seed=options.seed,
        seconds=options.minutes * 60,
        precision=precision,
        batch=options.batch,
        pose_dropout=options.pose_dropout,
        sharpness=options.sharpness,
        clip_share=options.clip_share,
        mouth_share=options.mouth_share,
        learning_rate=options.rate,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    options = _arguments(argv)
    torch.set_num_threads(1)
    # with denormals the first hundred iterations are several times slower
    torch.set_flush_denormal(True)
    recipe = _recipe(options)
    run = prepare(options)
    held_out = load_held_out(options.run)
    if options.workers > 1:
        run.save()
        context = multiprocessing.get_context("spawn")
        for number in range(1, options.workers):
            worker = Worker(number, options.workers)
            arguments = (options.run, recipe, options.init, options.ears, worker)
            context.Process(target=join, args=arguments, daemon=True).start()
    train(run, recipe, options.out, held_out, Worker(0, options.workers))
    restore_temporal(run.mini.unet)
    figures = test(run, held_out, options.out)
    summary = {"better": figures["result_face"] > figures["warp_face"]}
    print(json.dumps(summary | figures), flush=True)
    return 0
