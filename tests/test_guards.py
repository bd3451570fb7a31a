"""Steps that are not finite change nothing and are counted, and bad schedules never begin."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from tests.small_runs import small, tensors

from immiscible_diffusion import training
from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.pairing import Independent
from immiscible_diffusion.runs.checkpoints import newest_checkpoint
from immiscible_diffusion.runs.images import Run, advance, open_run
from immiscible_diffusion.runs.loop import NonFiniteError
from immiscible_diffusion.runs.training_state import Progress
from immiscible_diffusion.training import TornUpdateError, TrainingStep, make_batch, training_steps


@dataclasses.dataclass
class Spoiled:
    """Gaussian noise that is `value` in one pixel where a batch begins with one of the rows given."""

    run: Run
    steps: tuple[int, ...]
    value: float = math.nan

    def __call__(
        self, clean: torch.Tensor, *, generator: Any = None, condition: Any = None, mask: Any = None
    ):
        noise = Independent()(clean, generator=generator)
        for step in self.steps:
            if torch.equal(clean, make_batch(self.run.experiment, self.run.data, step - 1).clean):
                noise[0, 0, 0, 0] = self.value
        return noise


def spoiled(experiment: Experiment, folder: Path, steps: tuple[int, ...], value: float = math.nan) -> Run:
    run = open_run(experiment, folder, resume=True, log_with="none")
    return dataclasses.replace(run, pairing=Spoiled(run, steps, value))


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(tmp_path: Path, value: float) -> None:
    """1e30 squared is infinite in float32; its loss is, its gradient need not be."""
    run, seen = spoiled(small(), tmp_path / "run", (5,), value), {}
    for done in advance(run, log_every=4, sheet_every=0):
        assert done.skipped == (done.step == 5)
        state = [p.detach().clone() for p in run.network.parameters()]
        moments = [v.clone() for s in run.optimizer.state.values() for v in s.values()]
        seen[done.step] = [*state, *moments, *(p.clone() for p in run.ema.shadow_params)]
    assert all(torch.equal(a, b) for a, b in zip(seen[4], seen[5], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(seen[5], seen[6], strict=True))
    by_step = {record["step"]: record for record in records(tmp_path / "run")}
    assert sorted(by_step) == [4, 5, 8, 12] and by_step[5]["loss"] is None
    assert [by_step[step]["skipped"] for step in (4, 5, 12)] == [0, 1, 1]
    assert by_step[5]["skipped_rows"] == make_batch(run.experiment, run.data, 4).rows.tolist()


@pytest.mark.parametrize("stop", [4, 5, 6, 8])
def test_a_run_with_skipped_steps_resumes_exactly(tmp_path: Path, stop: int) -> None:
    bad = (5, 7, 8)
    for _ in advance(spoiled(small(), tmp_path / "whole", bad), sheet_every=0):
        pass
    steps = advance(spoiled(small(), tmp_path / "halved", bad), sheet_every=0)
    for done in steps:
        if done.step == stop:
            break
    steps.close()
    for _ in advance(spoiled(small(), tmp_path / "halved", bad), sheet_every=0):
        pass
    whole, halved = tensors(tmp_path / "whole"), tensors(tmp_path / "halved")
    assert whole.keys() == halved.keys() and all(torch.equal(whole[key], halved[key]) for key in whole)


def test_too_many_in_a_row_stop_the_run_and_name_step_rows_and_checkpoint(tmp_path: Path) -> None:
    run = spoiled(small(), tmp_path / "run", (3, 5, 6, 7, 8))
    with pytest.raises(NonFiniteError) as stopped:
        for _ in advance(run, skip_limit=3, sheet_every=0):
            pass
    rows = make_batch(run.experiment, run.data, 6).rows.tolist()
    place = tmp_path / "run" / "checkpoints" / "step-00000007"
    said = str(stopped.value)
    assert "not finite in 3 steps in a row, the last of them step 7 (loss nan, gradient norm nan" in said
    assert f"data rows {', '.join(map(str, rows[:8]))}, …" in said and f"checkpoint is {place}" in said
    assert all(bool(t.isfinite().all()) for t in tensors(tmp_path / "run").values())
    # The count goes on where it stood: one more bad step is enough, a good one is not held against it.
    with pytest.raises(NonFiniteError, match="in 4 steps in a row, the last of them step 8"):
        list(advance(spoiled(small(), tmp_path / "run", (8,)), skip_limit=3, sheet_every=0))
    done = list(advance(spoiled(small(), tmp_path / "run", ()), skip_limit=3, sheet_every=0))
    assert [step.step for step in done] == [9, 10, 11, 12]


def scaled_steps(
    scale: float, pairing: Any, count: int, monkeypatch: pytest.MonkeyPatch
) -> list[TrainingStep]:
    """Some steps as accelerate takes them in fp16 on a GPU: with torch's scaler, here over float32."""
    accelerator, network = Accelerator(cpu=True), build_network("mlp", (1, 8, 8))
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    optimizer = torch.optim.AdamW(network.parameters())
    monkeypatch.setattr(accelerator, "scaler", scaler)
    monkeypatch.setattr(accelerator, "unscale_gradients", lambda: scaler.unscale_(optimizer))
    prepared = accelerator.prepare_optimizer(optimizer)
    return list(
        training_steps(small(steps=count), load_images("digits"), pairing, network, prepared, accelerator)
    )


def test_fp16_steps_that_look_for_the_scale_are_no_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    # The scaled gradient overflows until the scale has been halved often enough.
    found = scaled_steps(2.0**127, lambda clean, **_: 300 * torch.randn_like(clean), 20, monkeypatch)
    skipped = [done.skipped for done in found]
    assert skipped[0] and not all(skipped)
    assert [done.scaling for done in found] == skipped

    def not_a_number(clean: torch.Tensor, **named: Any) -> torch.Tensor:
        return torch.full_like(clean, math.nan)

    # No scale helps: once it is down at 1, steps count as failures.
    hopeless = scaled_steps(8.0, not_a_number, 6, monkeypatch)
    assert [done.skipped for done in hopeless] == [True] * 6
    assert [done.scaling for done in hopeless] == [True, True, True, False, False, False]
    progress = Progress()
    for done in hopeless:
        progress = progress.after(done)
    assert progress.skipped == 6 and progress.skipped_in_a_row == 3


def fails(*arguments: object, **named: object) -> None:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("break_it", "kept"),
    [
        (lambda run, patch: patch.setattr(training.Tensor, "backward", fails), 5),
        (lambda run, patch: patch.setattr(run.optimizer.optimizer, "step", fails), 4),
        (lambda run, patch: patch.setattr(run.ema, "step", fails), 4),
    ],
)
def test_an_error_between_updates_is_saved_and_half_an_update_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: Callable[..., None], kept: int
) -> None:
    for _ in advance(open_run(small(), tmp_path / "whole", log_with="none"), sheet_every=0):
        pass
    run = open_run(small(), tmp_path / "run", log_with="none")
    steps = advance(run, checkpoint_every=4, sheet_every=0)
    for done in steps:
        if done.step == 5:
            break
    with monkeypatch.context() as patch:
        break_it(run, patch)
        with pytest.raises(RuntimeError, match="out of memory") as failed:
            next(steps)
    held = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert held is not None and held.step == kept
    assert (kept == 5) or (
        isinstance(failed.value, TornUpdateError) and "whole checkpoint is" in str(failed.value)
    )
    for _ in advance(open_run(small(), tmp_path / "run", resume=True, log_with="none"), sheet_every=0):
        pass
    whole, resumed = tensors(tmp_path / "whole"), tensors(tmp_path / "run")
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_second_ctrl_c_in_a_step_saves_nothing_half_done(tmp_path: Path) -> None:
    run, calls = open_run(small(), tmp_path / "run", log_with="none"), []

    def pairing(clean: torch.Tensor, **named: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return Independent()(clean, generator=named["generator"])

    steps = advance(dataclasses.replace(run, pairing=pairing), checkpoint_every=4, sheet_every=0)
    with pytest.raises(KeyboardInterrupt, match=r"the last whole checkpoint is .*step-00000004"):
        list(steps)
    held = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert held is not None and held.step == 4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"keep": 0}, "keep must be 1 or more, got 0"),
        ({"skip_limit": 0}, "skip_limit must be 1 or more, got 0"),
        ({"checkpoint_every": -1}, "checkpoint_every must be 0 or more, got -1"),
        ({"evaluate_every": 5}, "evaluate_every needs evaluate"),
    ],
)
def test_bad_schedules_are_refused_before_work(tmp_path: Path, given: dict[str, int], words: str) -> None:
    run = open_run(small(), tmp_path / "run", log_with="none")
    with pytest.raises(ValueError, match=words):
        advance(run, **given)
