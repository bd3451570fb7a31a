"""Where a run's metrics go besides metrics.jsonl: TensorBoard, or another tracker that accelerate knows."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType

from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.processes import join


def tracker_or_none(log_with: str) -> str | None:
    """Check a tracker's name, so that an error comes before any work; None for "none".

    Raises ValueError for a name that accelerate does not know, or whose package is not installed.
    """
    if log_with == "none":
        return None
    known = [str(kind.value) for kind in LoggerType if kind is not LoggerType.ALL]
    if log_with not in known:
        raise ValueError(unknown("log_with", log_with, ["none", *known]))
    if log_with not in [str(kind.value) for kind in get_available_trackers()]:
        raise ValueError(
            f"log_with {log_with!r} is not installed; pip install {log_with}, or choose tensorboard or none"
        )
    return log_with


def open_accelerator(
    precision: str, log_with: str, folder: Path, processes: int | None = None
) -> Accelerator:
    """Make a run's accelerator, its tracker writing into `folder`; processes: as for `join`.

    Raises ValueError as `tracker_or_none` and `join` do, and for fp16 without a GPU.
    """
    tracker = tracker_or_none(log_with)
    accelerator = join(
        processes,
        mixed_precision=precision,
        log_with=tracker,
        project_dir=str(folder) if tracker else None,
    )
    if precision == "fp16" and accelerator.scaler is None:  # accelerate would train in float32
        raise ValueError(
            f"precision 'fp16' needs a GPU, and this run is on {accelerator.device.type}; "
            "choose --precision bf16 or no"
        )
    return accelerator


def start_tracking(accelerator: Accelerator, experiment: Any, first_step: int) -> None:
    """Open the accelerator's tracker, if it has one, at a step that the run is taken up at."""
    if not accelerator.log_with:
        return
    if "tensorboard" in map(str, accelerator.log_with):
        # What a killed run logged after its last checkpoint is done again: TensorBoard is to forget it.
        accelerator.init_trackers(
            "tensorboard", init_kwargs={"tensorboard": {"purge_step": first_step + 1} if first_step else {}}
        )
        return
    settings: dict[str, Any] = dataclasses.asdict(experiment)
    objective = settings.pop("objective")
    settings |= {f"objective.{name}": value for name, value in objective.items()}
    # W&B would write into the working folder, under a name of its own making.
    folder = accelerator.project_dir
    own = {"dir": folder, "name": Path(folder).name, "group": Path(folder).name}
    accelerator.init_trackers(
        "immiscible-diffusion",
        config={name: value for name, value in settings.items() if value is not None},
        init_kwargs={"wandb": own},
    )


def end_tracking(accelerator: Accelerator) -> None:
    """Close the accelerator's tracker; one that cannot be is warned of, as the run itself is saved."""
    for tracker in accelerator.trackers if accelerator.log_with else ():
        try:
            tracker.finish()
        except Exception as error:  # whatever it is: it must not stand before the run's own
            warnings.warn(f"the tracker could not be closed: {error}", stacklevel=2)
