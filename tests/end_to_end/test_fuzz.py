"""Mutated inputs through `preview`: a result or an `InputError`, never a traceback, crash or hang."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.studio.cli import preview
from pipeline.values import InputError
from tests.helpers.fuzz.cases import MAKERS, Case, Workshop, edited_model_case, make_case
from tests.helpers.fuzz.model_folders import PLANTED_MODULE
from tests.helpers.fuzz.originals import Originals, write_originals
from tests.helpers.fuzz.watcher import LIMITS, Limits, Summary, watch
from tests.helpers.fuzz.worker import FAILED, REFUSED, RESULT, run_case
from tests.helpers.tiny import tiny_pipeline

SEED = 13
INPUTS = 200
MODEL_FOLDERS = 40

# Stands in for a worker: each case but the first has a fault of its own.
WORKER = """
import argparse, faulthandler, json, os, signal, time
parser = argparse.ArgumentParser()
for name in ("seed", "first", "stop"):
    parser.add_argument(f"--{name}", type=int)
for name in ("folder", "keep"):
    parser.add_argument(f"--{name}")
args = parser.parse_args()
faulthandler.register(signal.SIGUSR1)
for index in range(args.first, args.stop):
    print(json.dumps({"begins": index, "kind": f"planted {index}"}), flush=True)
    if index == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    while index == 2:
        pass
    if index == 3:
        held = b"1" * 400_000_000
        time.sleep(60)
    if index == 4:
        time.sleep(60)
    row = {"index": index, "kind": f"planted {index}", "outcome": "result", "sentence": ""}
    print(json.dumps({**row, "seconds": 0.1, "peak_mb": 50}), flush=True)
"""


@pytest.mark.slow
def test_mutated_inputs_give_a_result_or_a_sentence(tmp_path) -> None:
    summary = Summary(SEED, 0)
    for row in watch(SEED, 0, INPUTS, tmp_path):
        summary.add(row)
    told = json.dumps(summary.to_dict(), indent=1)
    assert summary.failures == [], told
    assert summary.peak_mb < LIMITS.megabytes, told
    assert summary.results + summary.refused == INPUTS, told
    assert min(summary.results, summary.refused) > INPUTS // 5, told  # both are reached


@pytest.mark.slow
def test_edited_model_folders_render_or_give_a_sentence(shop, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("APV_CACHE", str(tmp_path / "cache"))
    outcomes = []
    for index in range(MODEL_FOLDERS):
        folder = tmp_path / str(index)
        folder.mkdir()
        monkeypatch.chdir(folder)
        case = edited_model_case(np.random.default_rng((SEED, index)), shop, folder)
        outcome, sentence, details = run_case(case)
        assert outcome in (RESULT, REFUSED), f"{index} {case.kind}: {sentence}\n{details}"
        assert PLANTED_MODULE not in sys.modules and not (folder / "model" / "pwned").exists()
        outcomes.append(outcome)
    assert set(outcomes) == {RESULT, REFUSED}


def test_the_watcher_goes_on_after_crashes_hangs_and_hunger(tmp_path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    rows = watch(
        0, 0, 6, tmp_path, command=(sys.executable, str(script)),
        limits=Limits(seconds=1.0, still_seconds=2.0, megabytes=300),
    )  # fmt: skip
    summary = Summary(0, 0)
    for row in rows:
        summary.add(row)
    assert [row["index"] for row in summary.rows] == list(range(6))
    assert [row["outcome"] for row in summary.rows] == ["result", *["failed"] * 4, "result"]
    crash, hang, hunger, wait = summary.failures
    assert "dies with exit code -11" in crash["sentence"]
    assert "hangs for over 1 s" in hang["sentence"] and "worker.py" in hang["details"]
    assert "MB of memory" in hunger["sentence"] and summary.peak_mb >= 300
    assert "stands still for over 2 s" in wait["sentence"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    folder = tmp_path_factory.mktemp("fuzz")
    model = folder / "model"
    tiny_pipeline().save_pretrained(model)
    return Workshop(write_originals(folder / "originals"), model)


def test_an_input_comes_from_its_numbers_alone(shop, tmp_path) -> None:
    kinds = set()
    for index in range(60):
        made = []
        for run in ("one", "other"):
            folder = tmp_path / run / str(index)
            folder.mkdir(parents=True)
            case = make_case(shop, SEED, index, folder)
            files = {path.name: content_of(path) for path in folder.iterdir()}
            words = repr((case.kind, case.options, case.values)).replace(str(folder), "")
            made.append((words, files))
        assert made[0] == made[1]
        kinds.add(made[0][0].split()[0])
    assert len(kinds) >= 6  # of the makers'


def content_of(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_the_shares_of_the_kinds_are_all_of_them() -> None:
    assert np.isclose(sum(share for _, share in MAKERS), 1)


def test_originals_are_small(shop) -> None:
    assert isinstance(shop.originals, Originals)
    sizes = {path.name: path.stat().st_size for path in shop.originals.files}
    assert len(sizes) > 60 and max(sizes.values()) < 500_000


@pytest.mark.parametrize(
    ("error", "outcome", "told"),
    [
        (None, RESULT, ""),
        (InputError("picture a.png is empty; give another"), REFUSED, "a.png is empty"),
        (InputError("a.npz is wrong ([Errno 22] Invalid)"), FAILED, "Errno"),
        (InputError("a sentence\non two lines"), REFUSED, "a sentence on two lines"),
        (InputError("without an end " * 100), FAILED, "a sentence with '1500 letters'"),
        (InputError("output out.mp4 cannot be written; choose"), FAILED, "blames the output"),
        (ValueError("planted"), FAILED, "ValueError at outside: planted"),
        (MemoryError(), FAILED, "MemoryError"),
        (SystemExit(3), FAILED, "SystemExit 3"),
    ],
)
def test_what_counts_as_a_failure(monkeypatch, error, outcome: str, told: str) -> None:
    def command(args: object) -> dict[str, int]:
        if error is not None:
            raise error
        return {"frames": 1}

    monkeypatch.setattr(preview, "main", command)
    options = {"reference": "a.png", "audio": "a.wav", "output": "out.mp4"}
    found, sentence, _ = run_case(Case("planted", "preview", options))
    assert found == outcome and told in sentence
