"""What a run writes down of its steps: losses, skipped batches, distances, and which checkpoint is best."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from immiscible_diffusion.runs.checkpoints import has_checkpoint
from immiscible_diffusion.runs.metrics import append_record, read_records
from immiscible_diffusion.runs.training_state import Progress
from immiscible_diffusion.training import TrainingStep

SHOWN_ROWS = 8  # of a batch, in an error


def record_step(
    file: Path,
    done: TrainingStep,
    progress: Progress,
    batch_size: int,
    source_rows: Callable[[Tensor], list[int]],
    accelerator: Accelerator,
) -> None:
    """Write a step's numbers to metrics.jsonl and the tracker; null stands for what is not finite.

    A skipped step is recorded with its rows, so that they can be looked at.
    source_rows: turns row numbers of the data into those of its source.
    """
    record = step_values(done, progress) | {"images_per_second": batch_size / done.seconds}
    rows = {"skipped_rows": source_rows(done.rows)} if done.skipped else {}
    record_values(file, done.step, record, accelerator, **rows)


def step_values(done: TrainingStep, progress: Progress) -> dict[str, Any]:
    """A step's numbers, of whatever is trained; None stands for what is not finite."""
    return {
        "loss": _finite(float(done.loss)),
        "gradient_norm": _finite(float(done.gradient_norm)),
        "learning_rate": done.learning_rate,
        "skipped": progress.skipped,
        "pairing_share": done.pairing_seconds / done.seconds,
        "seconds": progress.seconds,
    }


def record_values(
    file: Path, step: int, values: dict[str, Any], accelerator: Accelerator, **untracked: Any
) -> None:
    """Write numbers of a step to metrics.jsonl, and those that are finite to the tracker."""
    append_record(file, {"step": step, **values, **untracked})
    if accelerator.log_with:
        accelerator.log({name: value for name, value in values.items() if value is not None}, step=step)


def record_evaluation(file: Path, step: int, result: dict[str, Any], accelerator: Accelerator) -> None:
    """Write what an evaluation returned to metrics.jsonl and the tracker."""
    record = {name: _finite(value) if isinstance(value, float) else value for name, value in result.items()}
    numbers = {name: value for name, value in record.items() if isinstance(value, float)}
    record_values(file, step, numbers, accelerator, **{n: v for n, v in record.items() if n not in numbers})


def evaluated_at(file: Path, step: int) -> bool:
    """Say whether metrics.jsonl has an evaluation of this step."""
    return any("distance" in record and record["step"] == step for record in read_records(file))


def best_evaluated(file: Path, checkpoints: Path, present: int | None = None) -> int | None:
    """Find the step of least distance among those that have a checkpoint; None without any.

    present: a step that is about to have one. Only distances measured as the last one are compared: all
    entries that are no floats are equal.
    """
    records = [record for record in read_records(file) if "distance" in record]
    if not records:
        return None
    comparable = [record for record in records if _measure(record) == _measure(records[-1])]
    there = [
        record
        for record in comparable
        if record["distance"] is not None
        and (record["step"] == present or has_checkpoint(checkpoints, record["step"]))
    ]
    return min(there, key=lambda record: float(record["distance"]))["step"] if there else None


def skip_report(done: TrainingStep, rows: list[int], in_a_row: int) -> str:
    """Say which step and rows made a run stop."""
    shown = ", ".join(map(str, rows[:SHOWN_ROWS])) + (", …" if len(rows) > SHOWN_ROWS else "")
    return (
        f"loss or gradient was not finite in {in_a_row} steps in a row, the last of them step {done.step} "
        f"(loss {float(done.loss):g}, gradient norm {float(done.gradient_norm):g}, data rows {shown}; "
        "metrics.jsonl has all rows)"
    )


def _measure(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in record.items()
        if name != "step" and value is not None and not isinstance(value, float)
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
