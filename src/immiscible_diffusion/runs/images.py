"""A run on images: its folder opened, and trained to its end."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.optim import Optimizer

from immiscible_diffusion.couplings import check_same_coupling, semidiscrete_of
from immiscible_diffusion.data.images import ImageData, source_rows, to_clean
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.generation import sample_sheet
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.noise_moments import DRAWN, fitted_marginal, paired_rows
from immiscible_diffusion.pairing import (
    Pairing,
    Semidiscrete,
    is_levelled,
    is_rescaled,
    is_whitened,
    pairing_from_name,
    told_apart,
    unscaled_name,
    whitening,
)
from immiscible_diffusion.processes import all_or_none
from immiscible_diffusion.randomness import derived_seed
from immiscible_diffusion.runs.folder import (
    check_same_settings,
    check_vacant,
    describe_run,
    load_data,
    read_experiment,
)
from immiscible_diffusion.runs.loop import Evaluate, Schedule, advance_on, taken_up
from immiscible_diffusion.runs.trackers import open_accelerator
from immiscible_diffusion.runs.training_state import Progress
from immiscible_diffusion.training import TrainingStep, training_steps

ROWS_AT_ONCE = 256  # in measuring a pairing's moments: small batches take ten times as long


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
    start: Progress  # where the run is taken up

    @property
    def class_count(self) -> int | None:
        """Classes that the network is conditioned on; None if unconditional."""
        return len(self.data.class_names) if self.experiment.class_conditional else None

    def source_rows(self, rows: Tensor) -> list[int]:
        """Row numbers of the data's source, where bad rows were left out."""
        return source_rows(self.data, rows)

    def sheet(self, network: nn.Module) -> Tensor:
        """Sample the sheet that the run's progress is watched on."""
        return sample_sheet(self.experiment, network, self.data.shape, self.class_count)


def open_run(
    experiment: Experiment,
    folder: Path,
    *,
    resume: bool = False,
    data: ImageData | None = None,
    log_with: str = "tensorboard",
    processes: int | None = None,
) -> Run:
    """Start a run in `folder`, or with `resume` take one up at its newest whole checkpoint.

    data: already loaded, else loaded here. log_with: where metrics go besides metrics.jsonl: "tensorboard",
    "none", or another tracker of accelerate's that is installed. processes: how many there are to be, as a
    launcher started them; None for what it says. Every process must call this, with the same arguments.
    A resumed run may be given more steps, unless its objective has a curriculum over them; every other
    setting must be the one it began with.
    Raises FileExistsError where the folder holds a run and `resume` is off, ValueError where settings, data
    or weights differ from the run's, for fp16 on a CPU, an unknown tracker, or another number of processes
    than asked for, OSError where the folder cannot be written. What one process raises ends all of them.
    """
    accelerator = open_accelerator(experiment.precision, log_with, folder, processes)
    with all_or_none(accelerator):
        check_vacant(folder, resume)
        if (folder / "config.json").exists():
            check_same_settings(read_experiment(folder), experiment, folder)
        data = data or load_data(experiment)
        network = build_network(
            experiment.network,
            data.shape,
            len(data.class_names) if experiment.class_conditional else None,
            seed=derived_seed(experiment.seed, "weights"),
        )
        coupling = semidiscrete_of(experiment, data) if experiment.pairing == "semidiscrete" else None
    with all_or_none(accelerator):  # the first process writes
        centre = describe_run(folder, experiment, data, accelerator.is_main_process)
        if coupling is not None:
            check_same_coupling(folder, coupling, accelerator.is_main_process)
    pairing = pairing_of(experiment, data, centre, coupling)
    optimizer: Optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=experiment.learning_rate,
        weight_decay=experiment.weight_decay,
        fused=True,
    )
    wrapped, optimizer, ema, start = taken_up(
        network, optimizer, accelerator, folder, experiment, data.fingerprint, decay=experiment.ema_decay
    )
    return Run(folder, experiment, data, pairing, wrapped, optimizer, ema, accelerator, start)


def pairing_of(
    experiment: Experiment, data: ImageData, centre: Tensor, coupling: Semidiscrete | None = None
) -> Pairing:
    """Build an experiment's pairing with what it needs of its data: a fit, axes, the moments of its noise, a
    noise level.

    coupling: the fit, where it has been read. Raises ValueError where one is missing, or images are too large
    for their axes.
    """
    if experiment.pairing == "semidiscrete":
        coupling = coupling or semidiscrete_of(experiment, data)
    axes = None
    if is_whitened(experiment.pairing):
        pixels = torch.cat([data.pixels, data.pixels.flip(-1)]) if experiment.flip else data.pixels
        axes = whitening(to_clean(pixels, experiment.image_std))
    level = None
    if is_levelled(experiment.pairing):
        level = told_apart(to_clean(part, experiment.image_std) for part in data.pixels.split(ROWS_AT_ONCE))
    if not is_rescaled(experiment.pairing):
        return pairing_from_name(experiment.pairing, centre, coupling, axes, level=level)
    name = unscaled_name(experiment.pairing)
    unscaled = pairing_from_name(name, centre, whitening=axes)
    if "batch" not in name.split(":"):  # then every image is chosen for alone
        larger = max(experiment.batch_size, min(ROWS_AT_ONCE, len(data.pixels)))
        experiment = replace(experiment, batch_size=larger)
    left = fitted_marginal(paired_rows(experiment, data, unscaled, DRAWN)[1])
    return pairing_from_name(
        experiment.pairing, centre, whitening=axes, moments=(left.mean, left.std), level=level
    )


def advance(
    run: Run,
    schedule: Schedule | None = None,
    *,
    evaluate: Evaluate | None = None,
    compile: bool = False,
    **every: int,
) -> Iterator[TrainingStep]:
    """Train a run to its end, yielding every step; saves, logs, evaluates and draws sample sheets on the way.

    schedule: or its fields by name, such as checkpoint_every=100. evaluate: called with the averaged network
    every `evaluate_every` steps; what it returns goes to metrics.jsonl, and the checkpoint of least
    "distance" is kept as the best (among those whose entries other than floats are equal). compile:
    torch.compile the network for training; checkpoints have the same form, numbers differ in rounding.

    Ctrl-C and SIGTERM let the step finish, save, and raise KeyboardInterrupt; a second one raises it at once
    and saves nothing. Closing the generator saves, too. Raises NonFiniteError past `skip_limit` and OSError
    where something cannot be written, both naming the last whole checkpoint; ValueError for a bad argument.
    """
    plan = replace(schedule or Schedule(), **every)
    network: Any = torch.compile(run.network) if compile else run.network
    steps = training_steps(
        run.experiment, run.data, run.pairing, network, run.optimizer, run.accelerator, run.start.step
    )
    return advance_on(run, steps, plan, evaluate)
