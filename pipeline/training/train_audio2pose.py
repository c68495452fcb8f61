"""Train Audio2Pose on synthetic speech: `python -m pipeline train audio2pose --out FOLDER`.

`--init FOLDER` goes on from given weights at half the learning rate. Many voices speak over music,
some are sung, and music alone keeps the mouth shut (`data/speech/music.py`, `singing.py`).

The corpus (0.7 GB of sound, about 4 minutes to make) lies in the user's cache and is never
shipped. Training can be stopped and started again; every few minutes the averaged weights are
written to --out as fp16 safetensors.
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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_dir
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from pipeline.models.audio2pose import Audio2Pose, log_mel, mel_bank, normalize
from pipeline.motion.face_animation import PARAMETERS
from pipeline.training.data.speech import augment, engines, music, singing
from pipeline.training.data.speech.corpus import HOP, Corpus, Crop
from pipeline.training.data.speech.visemes import LABEL_RATE, Phones

log = logging.getLogger(__name__)

CROP_SECONDS = 3.0
BATCH = 24  # crops
SILENT = 2  # crops of a batch are noise
MUSIC = 3  # crops of a batch are music alone
# shares of the voices
BED_SHARE = 0.4  # over music
HELD_SHARE = 0.15  # with held vowels
BABBLE_SHARE = 0.12  # with another voice behind
LEARNING_RATE = 2e-3  # at its peak
INIT_LEARNING_RATE = 1e-3  # at its peak, when given weights are trained on
WARM_UP_SHARE = 0.08  # of the run
AVERAGE_DECAY = 0.995  # of the moving average of the weights
LOG_STEPS = 50
GAP = PARAMETERS.index("gap")
CLOSE = PARAMETERS.index("close")
CLOSED_GAP = 0.25  # share of the 90th percentile under which a mouth counts as closed
CLOSED_PHONES = ("p", "b", "m")
OPEN_PHONES = ("aa", "ae", "ah", "eh", "iy", "ey", "ay")
WEIGHTS = "diffusion_pytorch_model.safetensors"
WARPS = np.linspace(0.84, 1.2, 25)  # of the mel bands' frequencies: lengths of vocal tracts


def quiet_crop(rng: np.random.Generator, n: int, musical: bool) -> Crop:
    """Draw music or noise alone, n label frames long, with labels of a closed silent mouth."""
    if musical:
        sound = augment.degrade(0.1 * music.music(rng, n * HOP), rng, None)
    else:
        sound = augment.no_speech(rng, n * HOP)
    params = np.zeros((n, len(PARAMETERS)), np.float32)
    params[:, GAP] = 0.05
    return sound, params, np.zeros(n, np.int64)


def voice_crop(corpus: Corpus, rng: np.random.Generator, n: int) -> Crop:
    """Draw a degraded voice, n label frames long, spoken or sung, with or without music."""
    pace = float(rng.uniform(0.82, 1.22))
    sound, params, classes = corpus.crop(rng, CROP_SECONDS * pace + 0.05)
    sound, params, classes = augment.change_pace(sound, params, classes, pace, n)
    if rng.random() < HELD_SHARE:
        sound, params, classes = singing.hold_vowels(sound, params, classes, rng, n)
    babble = None
    if rng.random() < BABBLE_SHARE:
        other_sound, _, _ = corpus.crop(rng, CROP_SECONDS + 0.05)
        babble = other_sound[: n * HOP]
    if rng.random() < BED_SHARE:
        bed = music.music(rng, n * HOP)
        sound = music.under(sound, bed, float(rng.uniform(*music.SNR_DB)))
    return augment.degrade(sound, rng, babble), params, classes


def make_batch(
    corpus: Corpus, rng: np.random.Generator, banks: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw features (B, 64, 2M - 1), parameters (B, 10, M) and classes (B, M) of crops.

    `banks` are mel banks for vocal tracts of different lengths; the middle one is plain.
    """
    n = int(CROP_SECONDS * LABEL_RATE) + 1
    sounds = []
    params = []
    classes = []
    chosen_banks = []
    for number in range(BATCH):
        if number < SILENT + MUSIC:
            sound, crop_params, crop_classes = quiet_crop(rng, n, number >= SILENT)
        else:
            sound, crop_params, crop_classes = voice_crop(corpus, rng, n)
        sounds.append(sound[: (n - 1) * HOP])
        params.append(crop_params[::2])
        classes.append(crop_classes[::2])
        is_warped = rng.random() < 0.7
        row = int(rng.integers(len(banks))) if is_warped else len(banks) // 2
        chosen_banks.append(banks[row])
    samples = torch.from_numpy(np.stack(sounds).astype(np.float32))
    mel = normalize(log_mel(samples, torch.stack(chosen_banks)))
    mel = torch.from_numpy(augment.mask(mel.numpy(), rng))
    targets = torch.from_numpy(np.stack(params)).transpose(1, 2)
    return mel, targets, torch.from_numpy(np.stack(classes))


def loss(model: Audio2Pose, mel: Tensor, params: Tensor, classes: Tensor) -> Tensor:
    """Return the weighted sum of four losses.

    10 MSE + 20 MSE(gap, closures counted 2.5 times) + 5 MSE(2-frame difference)
    + 0.25 cross-entropy of the visemes.
    """
    predicted, logits, _ = model(mel)
    error = (predicted - params).square()
    predicted_change = predicted[..., 2:] - predicted[..., :-2]
    true_change = params[..., 2:] - params[..., :-2]
    change = predicted_change - true_change
    gap = (error[:, GAP] * (1 + 1.5 * params[:, CLOSE])).mean()
    total = 10 * error.mean() + 20 * gap
    total = total + 5 * change.square().mean()
    return total + 0.25 * F.cross_entropy(logits, classes)


def learning_rate(share: float, peak: float = LEARNING_RATE) -> float:
    """Return the rate of one cycle: linear rise over the first 8 %, then cosine to 0."""
    if share < WARM_UP_SHARE:
        return peak * (0.1 + 0.9 * share / WARM_UP_SHARE)
    angle = math.pi * (share - WARM_UP_SHARE) / (1 - WARM_UP_SHARE)
    return peak * max(0.002, 0.5 + 0.5 * math.cos(angle))


def export(model: Audio2Pose, folder: Path) -> None:
    """Write config.json and fp16 safetensors that `Audio2Pose.from_pretrained` loads."""
    copy.deepcopy(model).half().save_pretrained(folder)


def initial_model(args: argparse.Namespace) -> Audio2Pose:
    """Return the network at step 0: random from the seed, or in float32 what --init holds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        if args.init is None:
            return Audio2Pose(channels=args.channels)
        model = Audio2Pose.from_config(Audio2Pose.load_config(args.init))
    # not by from_pretrained: the config would name --init
    model.load_state_dict(load_file(args.init / WEIGHTS))
    return model


class Training:
    """Networks, optimizer and progress of a run that can be continued."""

    def __init__(self, model: Audio2Pose, peak: float) -> None:
        self.model = model
        self.peak = peak
        self.average = copy.deepcopy(model).eval()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.01)
        self.step = 0
        self.spent = 0.0  # processor seconds

    def share(self, args: argparse.Namespace) -> float:
        """Return how much of the run is done: of --steps where they are given, else of
        --minutes."""
        if args.steps:
            return self.step / args.steps
        return self.spent / (args.minutes * 60)

    def resume(self, path: Path) -> None:
        """Continue where `save` left off."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.spent = state["spent"]

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs; a broken write leaves the old file."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent,
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, path)

    def update(self, batch: tuple[Tensor, Tensor, Tensor], share: float, seed: int) -> float:
        """Take one step at `share` of the run and return the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(share, self.peak)
        with torch.random.fork_rng(devices=[]):  # dropout has no generator of its own
            torch.manual_seed(seed * 1_000_003 + self.step)
            value = loss(self.model.train(), *batch)
        self.optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        decay = min(AVERAGE_DECAY, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for average, parameter in pairs:
                average.lerp_(parameter, 1 - decay)
        self.step += 1
        return value.item()


def train(corpus: Corpus, args: argparse.Namespace, state_path: Path) -> Audio2Pose:
    """Train for --minutes or --steps, resumed from `state_path`; returns the averaged model."""
    peak = INIT_LEARNING_RATE if args.init else LEARNING_RATE
    training = Training(initial_model(args), peak)
    if state_path.exists():
        training.resume(state_path)
        minutes = training.spent / 60
        print(f"resumed at step {training.step}, {minutes:.1f} min", flush=True)
    banks = [mel_bank(warp=warp) for warp in WARPS]
    last_save = time.monotonic()
    mean = None
    while (share := training.share(args)) < 1:
        start = time.process_time()  # a busy machine trains longer, not less
        # a resumed run sees an unbroken run's batches
        rng = np.random.default_rng((args.seed, training.step))
        value = training.update(make_batch(corpus, rng, banks), share, args.seed)
        mean = value if mean is None else 0.98 * mean + 0.02 * value
        training.spent += time.process_time() - start
        if training.step % LOG_STEPS == 0:
            minutes = training.spent / 60
            print(f"step {training.step} minutes {minutes:.1f} loss {mean:.4f}", flush=True)
        if time.monotonic() - last_save > args.checkpoint_minutes * 60:
            training.save(state_path)
            export(training.average, Path(args.out))
            last_save = time.monotonic()
    training.save(state_path)
    export(training.average, Path(args.out))
    return training.average


def state_name(args: argparse.Namespace) -> str:
    """Name the file that a stopped run goes on from; runs from other weights have other files."""
    if args.init is None:
        return f"train-{args.seed}-{args.channels}.pt"
    checksum = zlib.crc32((args.init / WEIGHTS).read_bytes())
    return f"train-{args.seed}-{checksum:08x}.pt"


@dataclass
class _VoiceFigures:
    """What was measured on one held-out voice."""

    correlations: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)  # per p, b, m
    falsely_closed: list[bool] = field(default_factory=list)  # per open vowel

    def means(self) -> dict[str, float]:
        """Return the means by the names of the report."""
        columns = {
            "r": self.correlations,
            "accuracy": self.accuracies,
            "closed": self.closed,
            "false": self.falsely_closed,
        }
        means = {name: round(float(np.mean(values)), 4) for name, values in columns.items()}
        return {**means, "closures": len(self.closed)}


@torch.no_grad()
def held_out_report(model: Audio2Pose, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Measure the gap's correlation, viseme accuracy and closures of every held-out voice.

    A closure counts when the smallest gap inside the phone is under 25 % of the utterance's 90th
    percentile.
    """
    model.eval()
    bank = mel_bank()
    figures: dict[str, _VoiceFigures] = {}
    for utterance in corpus.held_out:
        samples = torch.from_numpy(corpus.sound(utterance))
        mel = normalize(log_mel(samples[None], bank))
        params, logits, _ = model(mel)
        params = params[0].numpy()
        classes = logits[0].numpy().argmax(0)
        count = min(params.shape[1], (len(utterance.params) + 1) // 2)
        gap = params[GAP, :count]
        true_gap = utterance.params[::2][:count, GAP].astype(np.float32)
        true_classes = utterance.classes[::2][:count]
        voice = figures.setdefault(utterance.voice, _VoiceFigures())
        voice.correlations.append(np.corrcoef(gap, true_gap)[0, 1])
        voice.accuracies.append((classes[:count] == true_classes).mean())
        _count_closures(voice, gap, utterance.phones)
    return {name: voice.means() for name, voice in figures.items()}


def _count_closures(voice: _VoiceFigures, gap: np.ndarray, phones: Phones) -> None:
    """Add the true and the false closures of a gap (T,) at 50 Hz."""
    closed_gap = CLOSED_GAP * np.percentile(gap, 90)
    for name, start, end in phones:
        first = int(start * 50)
        last = int(math.ceil(end * 50)) + 1
        if name in CLOSED_PHONES:
            voice.closed.append(gap[first:last].min() < closed_gap)
        elif name in OPEN_PHONES:
            voice.falsely_closed.append(gap[(first + last) // 2] < closed_gap)


def _parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline train audio2pose", description=__doc__
    )
    add = parser.add_argument
    add("--out", required=True, help="folder for config.json and the weights")
    add("--minutes", type=float, default=35, help="processor time to train for")
    steps_help = "train this many steps instead (repeatable to the bit)"
    add("--steps", type=int, default=0, help=steps_help)
    add("--seed", type=int, default=0)
    add("--channels", type=int, default=160)
    add("--init", type=Path, help="begin with the weights of this exported folder")
    add("--corpus", type=Path, help="folder of the corpus (default: in the user's cache)")
    add("--corpus-scale", type=float, default=1.0, help="1 = about 6 h of speech")
    add("--checkpoint-minutes", type=float, default=3.0)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Make the corpus if it is missing, train, write the weights, print the held-out figures."""
    parser = _parser()
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.init is not None and not (args.init / WEIGHTS).is_file():
        parser.error(
            f"--init {args.init} holds no {WEIGHTS}; "
            "name a folder such as checkpoints/mini/audio2pose"
        )
    torch.set_num_threads(1)
    cache = Path(os.environ.get("APV_CACHE") or user_cache_dir("apv-studio"))
    folder = args.corpus or cache / f"audio2pose-corpus-{args.seed}-{args.corpus_scale:g}"
    if not (folder / "utterances.json").exists():
        engines.make_corpus(folder, args.seed, args.corpus_scale)
    corpus = Corpus(folder)
    trained = len(corpus.train)
    print(f"{trained} utterances to train on, {len(corpus.held_out)} held out", flush=True)
    model = train(corpus, args, folder / state_name(args))
    print(json.dumps(held_out_report(model, corpus), indent=1))
    return 0
