"""A run folder: the training loop with averaging, checkpoints, metrics, sample sheets and exact resume."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn
from torch.optim import Optimizer

from immiscible_diffusion.checkpoints import (
    Checkpoint,
    newest_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from immiscible_diffusion.data import ImageData
from immiscible_diffusion.experiment import Experiment, from_json
from immiscible_diffusion.generation import sample_sheet
from immiscible_diffusion.interruption import stop_requests
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.pairing import Pairing, pairing_from_name
from immiscible_diffusion.pictures import save_sheet
from immiscible_diffusion.randomness import derived_seed
from immiscible_diffusion.run_folder import check_same_settings, describe_run, load_data
from immiscible_diffusion.training import TrainingStep, training_steps


@dataclass(frozen=True, eq=False)
class Run:
    """An open run: everything that a further training step needs."""

    folder: Path
    experiment: Experiment
    data: ImageData
    pairing: Pairing
    network: nn.Module  # prepared by the accelerator
    optimizer: Optimizer
    ema: EMAModel
    accelerator: Accelerator
    first_step: int  # completed steps that the run is taken up at
    first_seconds: float  # training time behind them


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What sampling from a finished (or interrupted) run needs."""

    experiment: Experiment
    network: nn.Module  # averaged weights, in evaluation mode
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    step: int


def open_run(
    experiment: Experiment,
    folder: Path,
    *,
    resume: bool = False,
    data: ImageData | None = None,
    track: bool = True,
) -> Run:
    """Start a run in `folder`, or with `resume` take one up at its newest checkpoint.

    data: already loaded, else loaded here. track: write TensorBoard files.
    A resumed run may be given more steps; every other setting must be the one it began with.
    Raises FileExistsError where the folder holds a run and `resume` is off, ValueError where settings or
    data differ from the run's.
    """
    config = folder / "config.json"
    if config.exists() and not resume:
        raise FileExistsError(
            f"folder {str(folder)!r} already holds a run; "
            "add --resume to go on with it, or choose another --out"
        )
    if config.exists():
        check_same_settings(from_json(config.read_text()), experiment, folder)
    data = data or load_data(experiment)
    accelerator = Accelerator(
        mixed_precision=experiment.precision,
        log_with="tensorboard" if track else None,
        project_dir=str(folder),
    )
    network = build_network(
        experiment.network,
        data.shape,
        _class_count(experiment, data.class_names),
        seed=derived_seed(experiment.seed, "weights"),
    )
    centre = describe_run(folder, experiment, data, accelerator.is_main_process)
    accelerator.wait_for_everyone()
    optimizer: Optimizer = torch.optim.AdamW(
        network.parameters(), lr=experiment.learning_rate, weight_decay=experiment.weight_decay
    )
    checkpoint = newest_checkpoint(folder / "checkpoints")
    if checkpoint is not None:
        network.load_state_dict(checkpoint.tensors["network"])
        restore_optimizer(optimizer, checkpoint.tensors["optimizer"])
    network = network.to(accelerator.device)
    ema = EMAModel(network.parameters(), decay=experiment.ema_decay, foreach=True)
    if checkpoint is not None:
        shadow = checkpoint.tensors["averaged"]
        ema.shadow_params = [shadow[name].to(accelerator.device) for name, _ in network.named_parameters()]
        ema.optimization_step = checkpoint.step
    network, optimizer = accelerator.prepare(network, optimizer)
    if checkpoint is not None and accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(checkpoint.state["scaler"])
    return Run(
        folder,
        experiment,
        data,
        pairing_from_name(experiment.pairing, centre),
        network,
        optimizer,
        ema,
        accelerator,
        checkpoint.step if checkpoint else 0,
        checkpoint.state["seconds"] if checkpoint else 0.0,
    )


def advance(
    run: Run, *, checkpoint_every: int = 500, sheet_every: int = 500, log_every: int = 20
) -> Iterator[TrainingStep]:
    """Train a run to its end, yielding every step; saves, logs and draws sample sheets on the way.

    Intervals are in steps; 0 leaves that out (a checkpoint is always written at the end). Ctrl-C and SIGTERM
    let the step finish, save, and raise KeyboardInterrupt. So does closing the generator, without raising.
    """
    accelerator, total = run.accelerator, run.experiment.steps
    main, seconds, saved = accelerator.is_main_process, run.first_seconds, run.first_step
    metrics = run.folder / "metrics.jsonl"
    if main:
        _forget_after(metrics, run.first_step)
    if accelerator.log_with:
        accelerator.init_trackers("tensorboard")
    completed = run.first_step
    steps = training_steps(
        run.experiment, run.data, run.pairing, run.network, run.optimizer, accelerator, run.first_step
    )
    with stop_requests() as stop:
        try:
            for done in steps:
                run.ema.step(run.network.parameters())
                completed, seconds = done.step, seconds + done.seconds
                last = completed == total or stop.is_set()
                if main and log_every and (completed % log_every == 0 or last):
                    _log(run, done, seconds, metrics)
                if checkpoint_every and completed % checkpoint_every == 0 and main:
                    _save(run, completed, seconds)
                    saved = completed
                if main and sheet_every and (completed % sheet_every == 0 or completed == total):
                    with averaged(run) as network:
                        pixels = sample_sheet(
                            run.experiment,
                            network,
                            run.data.shape,
                            _class_count(run.experiment, run.data.class_names),
                        )
                    save_sheet(pixels, run.folder / "samples" / f"step-{completed:08d}.png")
                yield done
                if stop.is_set() and completed < total:
                    raise KeyboardInterrupt
        finally:
            if main and completed > saved:
                _save(run, completed, seconds)
            if accelerator.log_with:
                accelerator.end_training()


@contextmanager
def averaged(run: Run) -> Iterator[nn.Module]:
    """Lend the run's network with its averaged weights, in evaluation mode."""
    network = run.accelerator.unwrap_model(run.network)
    run.ema.store(network.parameters())
    run.ema.copy_to(network.parameters())
    network.eval()
    try:
        yield network
    finally:
        run.ema.restore(network.parameters())
        network.train()


def load_trained(folder: Path) -> TrainedModel:
    """Load the averaged network of a run folder's newest checkpoint, on the CPU.

    Raises FileNotFoundError where the folder holds no run or no checkpoint yet.
    """
    if not (folder / "config.json").exists():
        raise FileNotFoundError(
            f"{str(folder)!r} is no run folder: it has no config.json; give one that `immiscible train` wrote"
        )
    experiment = from_json((folder / "config.json").read_text())
    described = json.loads((folder / "data.json").read_text())
    checkpoint = newest_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        raise FileNotFoundError(f"run {str(folder)!r} has no checkpoint yet; train it further with --resume")
    classes = _class_count(experiment, described["class_names"])
    network = build_network(experiment.network, tuple(described["shape"]), classes)
    network.load_state_dict({**checkpoint.tensors["network"], **checkpoint.tensors["averaged"]})
    return TrainedModel(
        experiment,
        network.eval().requires_grad_(False),
        tuple(described["shape"]),
        tuple(described["class_names"]),
        checkpoint.step,
    )


def _class_count(experiment: Experiment, class_names: Sequence[str]) -> int | None:
    return len(class_names) if experiment.class_conditional else None


def _save(run: Run, step: int, seconds: float) -> None:
    network = run.accelerator.unwrap_model(run.network)
    names = [name for name, _ in network.named_parameters()]
    scaler = run.accelerator.scaler
    state: dict[str, Any] = {"seconds": seconds, "image_std": run.experiment.image_std}
    if scaler is not None:
        state["scaler"] = scaler.state_dict()
    tensors = {
        "network": network.state_dict(),
        "averaged": dict(zip(names, run.ema.shadow_params, strict=True)),
        "optimizer": optimizer_tensors(run.optimizer),
    }
    save_checkpoint(run.folder / "checkpoints", Checkpoint(step, tensors, state))


def _log(run: Run, done: TrainingStep, seconds: float, metrics: Path) -> None:
    values = {
        "loss": float(done.loss),
        "gradient_norm": float(done.gradient_norm),
        "learning_rate": done.learning_rate,
        "images_per_second": run.experiment.batch_size / done.seconds,
        "pairing_share": done.pairing_seconds / done.seconds,
        "seconds": seconds,
    }
    with metrics.open("a") as file:
        file.write(json.dumps({"step": done.step, **values}) + "\n")
    if run.accelerator.log_with:
        run.accelerator.log(values, step=done.step)


def _forget_after(metrics: Path, step: int) -> None:
    """Drop metrics of steps that a resumed run will do again."""
    if metrics.exists():
        lines = [line for line in metrics.read_text().splitlines() if json.loads(line)["step"] <= step]
        metrics.write_text("".join(line + "\n" for line in lines))
