"""Trains Audio2Pose on synthetic speech: `python -m pipeline train audio2pose --out FOLDER --minutes 35
--seed 0`.

`--init FOLDER` goes on from given weights at half the learning rate. Many voices speak over music,
some are sung, and music alone keeps the mouth shut (`beds`, `sung`).

The corpus (0.7 GB of sound, about 4 minutes to make) lives in the user's cache and is never shipped. Training
can be stopped and started again; every few minutes the averaged weights are written to --out as fp16
safetensors.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import os
import time
import zlib
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_dir
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from pipeline.models.audio2pose import SAMPLE_RATE, Audio2Pose, log_mel, mel_bank, normalize
from pipeline.motion.face_animation import PARAMETERS
from pipeline.training.data.speech import augment, engines, music, singing
from pipeline.training.data.speech.visemes import labels

log = logging.getLogger(__name__)
SECONDS, BATCH, SILENT, MUSIC = 3.0, 24, 2, 3  # crops a batch; of them noise, music alone
BED_SHARE, SUNG_SHARE, HELD_SHARE = (
    0.4,
    0.15,
    0.15,
)  # of the voices: over a bed, sung, with held vowels
RECORDED_SHARE = 0.6  # flite and festival (built from recordings) against espeak (formants)
PEAK_RATE, INIT_RATE, AVERAGING = 2e-3, 1e-3, 0.995
GAP, CLOSE = PARAMETERS.index("gap"), PARAMETERS.index("close")
WEIGHTS = "diffusion_pytorch_model.safetensors"


class Corpus:
    """The utterances on disk (samples memory-mapped) with their label curves at 100 Hz."""

    def __init__(self, folder: Path) -> None:
        self.samples = np.memmap(folder / "audio.i16", np.int16, "r")
        rows = json.loads((folder / "utterances.json").read_text())
        self.train, self.held_out = [], []
        for row in rows:
            phones = [tuple(p) for p in row["phones"]]
            params, classes = labels(phones, row["length"] / SAMPLE_RATE)
            item = (
                row["offset"],
                row["length"],
                params.astype(np.float16),
                classes.astype(np.int8),
                row,
            )
            (self.held_out if row["voice"] in engines.HELD_OUT else self.train).append(item)
        voices = [item[4]["voice"] for item in self.train]
        self.sung = [k for k, voice in enumerate(voices) if voice.endswith(engines.SINGING.name)]
        spoken = [k for k in range(len(voices)) if k not in set(self.sung)]
        self.espeak = [k for k in spoken if voices[k].startswith("espeak")]
        self.recorded = [k for k in spoken if k not in set(self.espeak)] or self.espeak

    def sound(self, item: tuple) -> np.ndarray:
        return self.samples[item[0] : item[0] + item[1]].astype(np.float32) / 32768

    def crop(
        self, rng: np.random.Generator, seconds: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Samples, parameters (100 Hz) and classes of a random stretch; silence fills what is missing."""
        if self.sung and rng.random() < SUNG_SHARE:
            pool = self.sung
        else:
            pool = self.recorded if rng.random() < RECORDED_SHARE else self.espeak
        item = self.train[int(rng.choice(pool))]
        frames = int(seconds * 100) + 1
        sound, params, classes = (
            self.sound(item),
            item[2].astype(np.float32),
            item[3].astype(np.int64),
        )
        start = int(rng.integers(min(0, len(params) - frames), max(1, len(params) - frames + 1)))
        before, after = max(0, -start), max(0, start + frames - len(params))
        rows = slice(max(0, start), start + frames)
        params = np.pad(params[rows], ((before, after), (0, 0)), mode="edge")
        classes = np.pad(classes[rows], (before, after))
        cut = sound[max(0, start) * 160 : (start + frames) * 160]
        cut = np.pad(cut, (before * 160, max(0, frames * 160 - before * 160 - len(cut))))[
            : frames * 160
        ]
        return cut, params, classes


def quiet_crop(
    rng: np.random.Generator, n: int, musical: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bed or a noise alone, n frames long, with labels of a closed mouth that does not speak."""
    if musical:
        sound = augment.degrade(0.1 * music.music(rng, n * 160), rng, None)
    else:
        sound = augment.no_speech(rng, n * 160)
    params = np.zeros((n, len(PARAMETERS)), np.float32)
    params[:, GAP] = 0.05
    return sound, params, np.zeros(n, np.int64)


def voice_crop(
    corpus: Corpus, rng: np.random.Generator, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A degraded voice, n frames long, spoken or sung, with or without music, and its labels."""
    pace = float(rng.uniform(0.82, 1.22))
    sound, params, classes = corpus.crop(rng, SECONDS * pace + 0.05)
    sound, params, classes = augment.change_pace(sound, params, classes, pace, n)
    if rng.random() < HELD_SHARE:
        sound, params, classes = singing.held(sound, params, classes, rng, n)
    babble = corpus.crop(rng, SECONDS + 0.05)[0][: n * 160] if rng.random() < 0.12 else None
    if rng.random() < BED_SHARE:
        sound = music.under(sound, music.music(rng, n * 160), float(rng.uniform(*music.SNR)))
    return augment.degrade(sound, rng, babble), params, classes


def make_batch(
    corpus: Corpus, rng: np.random.Generator, banks: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Features (B, 64, 2M - 1), parameters (B, 10, M) and classes (B, M) of augmented crops."""
    n = int(SECONDS * 100) + 1
    sounds, params, classes, bank = [], [], [], []
    for k in range(BATCH):
        if k < SILENT + MUSIC:
            sound, target, kind = quiet_crop(rng, n, k >= SILENT)
        else:
            sound, target, kind = voice_crop(corpus, rng, n)
        sounds.append(sound[: (n - 1) * 160])
        params.append(target[::2])
        classes.append(kind[::2])
        bank.append(
            banks[int(rng.integers(len(banks)))] if rng.random() < 0.7 else banks[len(banks) // 2]
        )
    mel = log_mel(torch.from_numpy(np.stack(sounds).astype(np.float32)), torch.stack(bank))
    mel = torch.from_numpy(augment.mask(normalize(mel).numpy(), rng))
    return (
        mel,
        torch.from_numpy(np.stack(params)).transpose(1, 2),
        torch.from_numpy(np.stack(classes)),
    )


def loss(model: Audio2Pose, mel: Tensor, params: Tensor, classes: Tensor) -> Tensor:
    """10 MSE + 20 MSE(gap, closures counted 2.5 times) + 5 MSE(2-frame difference) + 0.25 cross-entropy."""
    predicted, logits, _ = model(mel)
    error = (predicted - params).square()
    step = (predicted[..., 2:] - predicted[..., :-2]) - (params[..., 2:] - params[..., :-2])
    gap = (error[:, GAP] * (1 + 1.5 * params[:, CLOSE])).mean()
    return (
        10 * error.mean()
        + 20 * gap
        + 5 * step.square().mean()
        + 0.25 * F.cross_entropy(logits, classes)
    )


def learning_rate(share: float, peak: float = PEAK_RATE) -> float:
    """One cycle: linear rise over the first 8 %, then cosine to 0."""
    if share < 0.08:
        return peak * (0.1 + 0.9 * share / 0.08)
    return peak * max(0.002, 0.5 + 0.5 * math.cos(math.pi * (share - 0.08) / 0.92))


def export(model: Audio2Pose, folder: Path) -> None:
    """Writes config.json and fp16 safetensors that `Audio2Pose.from_pretrained` loads."""
    copy.deepcopy(model).half().save_pretrained(folder)


def beginning(args: argparse.Namespace) -> Audio2Pose:
    """The network at step 0: random from the seed, or in float32 what --init holds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        if args.init is None:
            return Audio2Pose(channels=args.channels)
        model = Audio2Pose.from_config(Audio2Pose.load_config(args.init))
    model.load_state_dict(
        load_file(args.init / WEIGHTS)
    )  # not from_pretrained: the config would name --init
    return model


def train(corpus: Corpus, args: argparse.Namespace, state_path: Path) -> Audio2Pose:
    """The averaged model after --minutes of training (or --steps), resumed from `state_path` if there."""
    model, peak = beginning(args), INIT_RATE if args.init else PEAK_RATE
    average = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.01)
    step, spent = 0, 0.0
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
        print(f"resumed at step {step}, {spent / 60:.1f} min", flush=True)
    banks = [mel_bank(warp=w) for w in np.linspace(0.84, 1.2, 25)]
    saved, mean = time.monotonic(), None
    while (share := step / args.steps if args.steps else spent / (args.minutes * 60)) < 1:
        began = time.process_time()  # a busy machine trains longer, not less
        rng = np.random.default_rng(
            (args.seed, step)
        )  # a resumed run sees an unbroken run's batches
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(share, peak)
        batch = make_batch(corpus, rng, banks)
        with torch.random.fork_rng(devices=[]):  # dropout knows no generator of its own
            torch.manual_seed(args.seed * 1_000_003 + step)
            value = loss(model.train(), *batch)
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            decay = min(AVERAGING, (step + 1) / (step + 10))
            for old, new in zip(average.parameters(), model.parameters(), strict=True):
                old.lerp_(new, 1 - decay)
        mean = value.item() if mean is None else 0.98 * mean + 0.02 * value.item()
        step, spent = step + 1, spent + time.process_time() - began
        if step % 50 == 0:
            print(f"step {step} minutes {spent / 60:.1f} loss {mean:.4f}", flush=True)
        if time.monotonic() - saved > args.checkpoint_minutes * 60:
            _save(state_path, model, average, optimiser, step, spent)
            export(average, Path(args.out))
            saved = time.monotonic()
    _save(state_path, model, average, optimiser, step, spent)
    export(average, Path(args.out))
    return average


def state_name(args: argparse.Namespace) -> str:
    """The file that a stopped run goes on from; runs from other weights have other files."""
    if args.init is None:
        return f"train-{args.seed}-{args.channels}.pt"
    return f"train-{args.seed}-{zlib.crc32((args.init / WEIGHTS).read_bytes()):08x}.pt"


def _save(
    path: Path,
    model: Audio2Pose,
    average: Audio2Pose,
    optimiser: torch.optim.Optimizer,
    step: int,
    spent: float,
) -> None:
    """Writes everything that a resumed run needs; a broken write leaves the old file."""
    state = {
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    part = path.with_suffix(".part")
    torch.save({**state, "step": step, "spent": spent}, part)
    os.replace(part, path)


@torch.no_grad()
def held_out_report(model: Audio2Pose, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Per held-out voice: correlation of the gap, viseme accuracy, share of p b m that close, false closures.

    A closure counts when the smallest gap inside the phone is under 25 % of the utterance's 90th percentile.
    """
    model.eval()
    bank, found = mel_bank(), {}
    for item in corpus.held_out:
        mel = normalize(log_mel(torch.from_numpy(corpus.sound(item))[None], bank))
        params, logits, _ = (y[0].numpy() for y in model(mel))
        n = min(params.shape[1], (len(item[2]) + 1) // 2)
        gap, truth = params[GAP, :n], item[2][::2][:n, GAP].astype(np.float32)
        row = found.setdefault(
            item[4]["voice"], {"r": [], "accuracy": [], "closed": [], "false": []}
        )
        row["r"].append(np.corrcoef(gap, truth)[0, 1])
        row["accuracy"].append((logits.argmax(0)[:n] == item[3][::2][:n]).mean())
        level = np.percentile(gap, 90)
        for name, start, end in item[4]["phones"]:
            a, b = int(start * 50), int(math.ceil(end * 50)) + 1
            if name in ("p", "b", "m"):
                row["closed"].append(gap[a:b].min() < 0.25 * level)
            elif name in ("aa", "ae", "ah", "eh", "iy", "ey", "ay"):
                row["false"].append(gap[(a + b) // 2] < 0.25 * level)
    return {
        voice: {k: round(float(np.mean(x)), 4) for k, x in row.items()}
        | {"closures": len(row["closed"])}
        for voice, row in found.items()
    }


def main(argv: list[str]) -> int:
    """Makes the corpus if it is not there, trains, writes the checkpoint, prints the held-out figures."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train audio2pose", description=__doc__
    )
    parser.add_argument("--out", required=True, help="folder for config.json and the weights")
    parser.add_argument("--minutes", type=float, default=35, help="processor time to train for")
    parser.add_argument(
        "--steps", type=int, default=0, help="train this many steps instead (repeatable to the bit)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--channels", type=int, default=160)
    parser.add_argument("--init", type=Path, help="begin with the weights of this exported folder")
    parser.add_argument(
        "--corpus", type=Path, help="folder of the corpus (default: in the user's cache)"
    )
    parser.add_argument("--corpus-scale", type=float, default=1.0, help="1 = about 6 h of speech")
    parser.add_argument("--checkpoint-minutes", type=float, default=3.0)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.init is not None and not (args.init / WEIGHTS).is_file():
        parser.error(
            f"--init {args.init} holds no {WEIGHTS}; name a folder such as checkpoints/mini/audio2pose"
        )
    torch.set_num_threads(1)
    cache = Path(os.environ.get("APV_CACHE") or user_cache_dir("apv-studio"))
    folder = args.corpus or cache / f"audio2pose-corpus-{args.seed}-{args.corpus_scale:g}"
    if not (folder / "utterances.json").exists():
        engines.make_corpus(folder, args.seed, args.corpus_scale)
    corpus = Corpus(folder)
    print(
        f"{len(corpus.train)} utterances to train on, {len(corpus.held_out)} held out", flush=True
    )
    model = train(corpus, args, folder / state_name(args))
    print(json.dumps(held_out_report(model, corpus), indent=1))
    return 0
