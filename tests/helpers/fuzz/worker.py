"""Run cases in this process: a line of JSON before and after each, so that a watcher sees all.

A result and an `InputError` are successes; what else a case raises is reported as a failure.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.studio.cli.parser import build_parser
from pipeline.studio.messages import name_options, quiet_libraries
from pipeline.studio.request import FLAGS
from pipeline.values import InputError
from tests.helpers.fuzz.cases import Case, Workshop, make_case
from tests.helpers.fuzz.originals import write_originals

RESULT, REFUSED, FAILED = "result", "refused", "failed"
MAX_SENTENCE = 600
KILOBYTES_PER_MEGABYTE = 1024
# What a sentence for a user must not show: types, addresses, numbers of the system's errors
INTERNAL = re.compile(r"Traceback|<class|object at 0x|Errno|numpy\.|np\.\w+\(|\n", re.IGNORECASE)
# The words that a command cannot do without; the case's own come instead
NEEDED = {
    "preview": ("reference", "audio", "output"),
    "generate": ("reference", "audio", "output"),
    "pose": ("input", "output"),
}
POSITIONAL = ("input",)


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        index: its number.
        kind: what was done to which input.
        outcome: "result", "refused" or "failed".
        sentence: what the user is told, or the exception's type, place and text.
        seconds: how long it took.
        peak_mb: the most memory of the process so far.
        details: the traceback of a failure.
        noise: warnings of libraries that the user would see, with the line that raised them.
    """

    index: int
    kind: str
    outcome: str
    sentence: str
    seconds: float
    peak_mb: int
    details: str = ""
    noise: tuple[str, ...] = ()


def run_case(case: Case) -> tuple[str, str, str]:
    """Run a case; return its outcome, a sentence and details."""
    try:
        facts = _facts(case)
        json.dumps(facts, allow_nan=False)
    except InputError as error:
        sentence = name_options(str(error), FLAGS)
        return _judged(sentence, case)
    except SystemExit as error:
        return FAILED, f"SystemExit {error.code}", ""
    except Exception as error:  # that is what this is for
        return FAILED, _place(error), traceback.format_exc()
    return RESULT, "", ""


def _facts(case: Case) -> dict[str, Any]:
    """Run the command as the command line does; return the facts that `--json` prints."""
    args = build_parser().parse_args(_words(case))
    for name, value in case.values.items():
        setattr(args, name, value)
    command = importlib.import_module(f"pipeline.studio.cli.{case.command}")
    return command.main(args)


def _words(case: Case) -> list[str]:
    words = [case.command]
    for name, value in case.options.items():
        if value is None:
            continue
        if name in POSITIONAL:
            words.insert(1, value)
            continue
        words.append(f"{FLAGS.get(name, '--' + name)}={value}")
    return [*words, "--json"]


def _judged(sentence: str, case: Case) -> tuple[str, str, str]:
    """Return the outcome of a refusal: one that shows internals or blames the output is a failure.

    Outputs are where they should be in all cases but those about outputs.
    """
    if "cannot be written" in sentence and "output" not in case.kind:
        return FAILED, "a sentence that blames the output", sentence
    internal = INTERNAL.search(sentence)
    if internal or not sentence.strip() or len(sentence) > MAX_SENTENCE:
        shown = internal[0] if internal else f"{len(sentence)} letters"
        return FAILED, f"a sentence with {shown!r}", sentence
    return REFUSED, sentence, ""


def _place(error: BaseException) -> str:
    """Return type, innermost place in our code and text of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}pipeline{os.sep}" in frame.filename]
    where = "outside"
    if own:
        name = own[-1].filename.rpartition(f"{os.sep}pipeline{os.sep}")[2]
        where = f"{name}:{own[-1].lineno}"
    text = str(error).partition("\n")[0][:200]
    return f"{type(error).__name__} at {where}: {text}"


def _noise(warning: warnings.WarningMessage) -> str:
    text = str(warning.message).partition("\n")[0]
    name = os.sep.join(Path(warning.filename).parts[-2:])
    return f"{warning.category.__name__} at {name}:{warning.lineno}: {text}"


def peak_megabytes() -> int:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KILOBYTES_PER_MEGABYTE


def open_workshop(folder: Path) -> Workshop:
    """Make the valid files that all cases start from, or find those of an earlier worker."""
    from tests.helpers.fuzz.originals import Originals
    from tests.helpers.tiny import tiny_pipeline

    kept = folder / "originals"
    model = folder / "model"
    done = folder / "originals.done"
    if done.exists():
        groups = {name: _files(kept / name) for name in Originals.__dataclass_fields__}
        return Workshop(Originals(**groups), model)
    shutil.rmtree(kept, ignore_errors=True)
    originals = write_originals(kept)
    tiny_pipeline().save_pretrained(model)
    done.touch()
    return Workshop(originals, model)


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.iterdir()))


def run(seed: int, indices: range, folder: Path, keep: Path | None) -> None:
    """Run cases one after the other; print a line before and after each.

    Args:
        seed, indices: which cases.
        folder: for originals, caches and what the cases write.
        keep: where the files of failing cases are copied; None = nowhere.
    """
    report = sys.stdout
    sys.stdout = sys.stderr  # what a command prints is not the report
    shop = open_workshop(folder)
    _warm_up(shop, folder)
    for index in indices:
        place = folder / f"case_{index}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        case = make_case(shop, seed, index, place)
        print(json.dumps({"begins": index, "kind": case.kind}), file=report, flush=True)
        start = time.perf_counter()
        os.chdir(place)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            outcome, sentence, details = run_case(case)
        os.chdir(folder)
        seconds = round(time.perf_counter() - start, 3)
        noise = tuple(sorted({_noise(warning) for warning in caught}))
        row = Outcome(
            index, case.kind, outcome, sentence, seconds, peak_megabytes(), details, noise
        )
        print(json.dumps(asdict(row)), file=report, flush=True)
        if outcome == FAILED and keep is not None:
            keep_files(place, keep / f"{seed}_{index}")
        shutil.rmtree(place, ignore_errors=True)


def _warm_up(shop: Workshop, folder: Path) -> None:
    """Run the usual inputs once, so that no case is charged for the loading of libraries."""
    options = {
        "reference": str(shop.originals.named("photo.jpg")),
        "audio": str(shop.originals.named("speech.wav")),
        "output": str(folder / "warm.mp4"),
    }
    outcome, sentence, details = run_case(Case("valid", "preview", options))
    if outcome != RESULT:
        raise RuntimeError(f"the valid inputs fail: {sentence}\n{details}")


def keep_files(place: Path, target: Path) -> None:
    """Copy what a failing case was made of."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(place, target, symlinks=True)


def main() -> None:
    """Run the cases that the arguments name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--stop", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    quiet_libraries()
    faulthandler.register(signal.SIGUSR1)  # the watcher asks where a hanging case stands
    faulthandler.enable()
    import torch

    torch.set_num_threads(1)
    run(args.seed, range(args.first, args.stop), args.folder, args.keep)


if __name__ == "__main__":
    main()
