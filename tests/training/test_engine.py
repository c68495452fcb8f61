"""The loop of APV-Gen's training: it goes on as if it had not stopped, alone or in company."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.training import checkpoint
from pipeline.training.checkpoint import CheckpointError
from pipeline.values import InputError
from tests.helpers.small_disk import small_file_system
from tests.helpers.train_run import SOURCES, losses_of, make_trainer

ROOT = Path(__file__).resolve().parents[2]


def values(rows):
    return [value for row in rows for value in row.values()]


def test_a_run_that_was_cut_off_goes_on_with_the_same_losses(tmp_path):
    whole = losses_of(make_trainer(tmp_path / "whole"), 4)
    first = make_trainer(tmp_path / "cut")
    begun = losses_of(first, 2)
    first.save()
    second = make_trainer(tmp_path / "cut")
    second.resume()
    assert second.iteration == 2
    rest = losses_of(second, 4)
    assert values(begun + rest) == values(whole)
    third = make_trainer(tmp_path / "whole")
    assert third.average.values.keys() == first.average.values.keys()


def test_an_iteration_is_a_step_on_faces_and_one_on_bodies(tmp_path):
    trainer = make_trainer(tmp_path)
    (losses,) = losses_of(trainer, 1)
    assert list(losses) == ["face", "refer", "body"]
    steps = {int(state["step"]) for state in trainer.optimizer.state.values()}
    assert steps == {2}


def test_accumulated_batches_are_the_means_of_a_step(tmp_path):
    one = losses_of(make_trainer(tmp_path / "one"), 4)
    two = losses_of(make_trainer(tmp_path / "two", accumulation=2), 4)
    assert values(one) != values(two)
    # the first step's two batches are the first and the second of a run without accumulation
    first_two = make_trainer(tmp_path / "still", learning_rate=0.0)
    rows = losses_of(first_two, 2)
    for name, value in two[0].items():
        if name != "body":  # the body step comes after an update on faces
            assert value == pytest.approx((rows[0][name] + rows[1][name]) / 2, rel=1e-5)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_with_accumulation(tmp_path):
    one = losses_of(make_trainer(tmp_path / "one", accumulation=2), 4)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
    ]
    command += ["-m", "tests.helpers.train_run", str(tmp_path / "two")]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=300)
    two = json.loads((tmp_path / "two" / "losses.json").read_text())
    assert values(two) == pytest.approx(values(one), abs=1e-5)


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, caplog):
    trainer = make_trainer(tmp_path / "run")
    trainer.save()
    size = (tmp_path / "run" / checkpoint.NAME).stat().st_size
    with small_file_system(tmp_path / "disk", size + size // 2) as disk:
        small = make_trainer(disk, ema=0.0)
        small.save()
        losses_of(small, 1)  # now with the optimizer's state, which does not fit beside the first
        with pytest.raises(CheckpointError):
            small.save()
        small.try_to_save()
        assert "the last one is kept" in caplog.text
        again = make_trainer(disk, ema=0.0)
        again.resume()
        assert again.iteration == 0
        assert [path.name for path in disk.iterdir()] == [checkpoint.NAME]


def test_checkpoints_of_other_runs_are_refused(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.save()
    with pytest.raises(InputError, match="holds a run of seed 0, not 1"):
        make_trainer(tmp_path, seed=1).resume()
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="is no checkpoint of this trainer"):
        make_trainer(tmp_path).resume()


def test_the_average_follows_and_can_stand_in(tmp_path):
    trainer = make_trainer(tmp_path)
    losses_of(trainer, 2)
    name = next(name for name in trainer.parameters if name.endswith("conv_in.weight"))
    now = trainer.parameters[name].detach().clone()
    average = trainer.average.values[name]
    assert not torch.equal(average, now)
    with trainer.average.applied():
        assert torch.equal(trainer.parameters[name], average)
    assert torch.equal(trainer.parameters[name], now)


def test_without_mixed_data_there_are_no_steps_on_bodies(tmp_path):
    trainer = make_trainer(tmp_path)
    faces_only = type(SOURCES)(SOURCES.faces, None)
    losses = next(trainer.iterations(faces_only, 4))
    assert list(losses) == ["face", "refer"]
