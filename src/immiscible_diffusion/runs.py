"""A run folder: the training loop with averaging, checkpoints, metrics, sample sheets and exact resume."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn
from torch.optim import Optimizer

from immiscible_diffusion.checkpoints import (
    checkpoint_steps,
    mark_best,
    newest_checkpoint,
    prune,
    save_checkpoint,
)
from immiscible_diffusion.couplings import check_same_coupling, semidiscrete_of
from immiscible_diffusion.data import ImageData
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.generation import sample_sheet
from immiscible_diffusion.interruption import stop_requests, undisturbed
from immiscible_diffusion.metrics import forget_after, on_disk
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.pairing import Pairing, pairing_from_name
from immiscible_diffusion.pictures import save_sheet
from immiscible_diffusion.processes import OtherProcessError, all_or_none, anywhere, check_agreement, is_lost
from immiscible_diffusion.randomness import derived_seed
from immiscible_diffusion.run_folder import (
    check_same_settings,
    check_vacant,
    describe_run,
    load_data,
    read_experiment,
)
from immiscible_diffusion.run_records import (
    best_evaluated,
    evaluated_at,
    record_evaluation,
    record_step,
    skip_report,
)
from immiscible_diffusion.trackers import end_tracking, open_accelerator, start_tracking
from immiscible_diffusion.training import TornUpdateError, TrainingStep, training_steps
from immiscible_diffusion.training_state import Progress, average, capture, restore_network, restore_rest

Evaluate = Callable[[nn.Module], Mapping[str, Any]]


class NonFiniteError(ArithmeticError):
    """Too many steps in a row whose loss or gradient is not finite."""


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
    # From here on the first process writes.
    with all_or_none(accelerator):
        centre = describe_run(folder, experiment, data, accelerator.is_main_process)
        if coupling is not None:
            check_same_coupling(folder, coupling, accelerator.is_main_process)
        optimizer: Optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=experiment.learning_rate,
            weight_decay=experiment.weight_decay,
            fused=True,
        )
        checkpoint = newest_checkpoint(folder / "checkpoints")
        if checkpoint is not None:
            restore_network(checkpoint, network, optimizer)
    check_agreement(accelerator, experiment, data.fingerprint, checkpoint.step if checkpoint else 0)
    network = network.to(accelerator.device)
    ema = EMAModel(network.parameters(), decay=experiment.ema_decay, foreach=True)
    wrapped, optimizer = accelerator.prepare(network, optimizer)
    start = Progress() if checkpoint is None else restore_rest(checkpoint, network, ema, accelerator)
    pairing = pairing_from_name(experiment.pairing, centre, coupling)
    return Run(folder, experiment, data, pairing, wrapped, optimizer, ema, accelerator, start)


@dataclass(frozen=True)
class Schedule:
    """When `advance` does what, in steps; 0 for never. All but log_every also act at the end."""

    checkpoint_every: int = 500  # at the end even where this is 0
    sheet_every: int = 500
    log_every: int = 20
    evaluate_every: int = 0
    keep: int = 2  # newest checkpoints
    skip_limit: int = 10  # steps in a row without a finite loss and gradient to stop after

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = int(name in ("keep", "skip_limit"))
            if value < least:
                raise ValueError(f"{name} must be {least} or more, got {value}")


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
    every `evaluate_every` steps, on the first process, which alone writes; what it returns goes to
    metrics.jsonl, and the checkpoint of least "distance" is kept as the best (among those whose entries other
    than floats are equal). compile: torch.compile the network for training; checkpoints have the same form,
    numbers differ in rounding.

    Ctrl-C and SIGTERM let the step finish, save, and raise KeyboardInterrupt; a second one raises it at once
    and saves nothing. Closing the generator saves, too. Raises NonFiniteError past `skip_limit` and OSError
    where something cannot be written, both naming the last whole checkpoint; ValueError for a bad argument;
    OtherProcessError where another process is gone.
    """
    plan = replace(schedule or Schedule(), **every)
    if plan.evaluate_every and evaluate is None and run.accelerator.is_main_process:
        raise ValueError("evaluate_every needs evaluate: what to call with the averaged network")
    network: Any = torch.compile(run.network) if compile else run.network
    steps = training_steps(
        run.experiment, run.data, run.pairing, network, run.optimizer, run.accelerator, run.start.step
    )
    return _advance(run, steps, plan, evaluate)


def _advance(
    run: Run, steps: Iterator[TrainingStep], plan: Schedule, evaluate: Evaluate | None
) -> Iterator[TrainingStep]:
    accelerator, total, main = run.accelerator, run.experiment.steps, run.accelerator.is_main_process
    metrics, checkpoints = run.folder / "metrics.jsonl", run.folder / "checkpoints"
    progress, saved = run.start, run.start.step

    def save() -> None:
        nonlocal saved
        if not main or progress.step <= saved:
            return
        with undisturbed():
            on_disk(metrics)
            network = accelerator.unwrap_model(run.network)
            held = capture(progress, network, run.optimizer, run.ema, accelerator)
            save_checkpoint(checkpoints, held, plan.keep)
            saved = progress.step
            mark_best(checkpoints, best_evaluated(metrics, checkpoints))
            prune(checkpoints, saved, plan.keep)  # the best until now

    def last_good() -> str:
        last = saved if main else max(checkpoint_steps(checkpoints), default=0)
        place = f"{checkpoints / f'step-{last:08d}'}"
        return f"the last whole checkpoint is {place}" if last else "there is no checkpoint yet"

    def observe(again: bool) -> None:
        """Evaluate and draw what is due; if not `again`, what a kill between a step and this left undone."""
        step = progress.step
        if _due(step, plan.evaluate_every, total) and evaluate and not evaluated_at(metrics, step):
            with averaged(run) as network:
                record_evaluation(metrics, step, dict(evaluate(network)), accelerator)
        sheet = run.folder / "samples" / f"step-{step:08d}.png"
        if _due(step, plan.sheet_every, total) and (again or not sheet.exists()):
            with averaged(run) as network:
                save_sheet(sample_sheet(run.experiment, network, run.data.shape, run.class_count), sheet)

    try:
        with stop_requests() as stop:
            if main:
                forget_after(metrics, saved)
            start_tracking(accelerator, run.experiment, saved)
            if main:
                observe(again=False)
                mark_best(checkpoints, best_evaluated(metrics, checkpoints))
                prune(checkpoints, saved, plan.keep)
            for done in steps:
                if not done.skipped:
                    average(run.ema, run.network, done.step)
                progress = progress.after(done)
                wanted = _due(done.step, plan.checkpoint_every, total) or done.step == total
                if main:
                    if _due(done.step, plan.log_every, total) or (done.skipped and not done.scaling):
                        record_step(metrics, done, progress, run.experiment, run.data, accelerator)
                    observe(again=True)
                    if _due(done.step, plan.evaluate_every, total):
                        wanted |= best_evaluated(metrics, checkpoints, done.step) == done.step
                if wanted:  # last, so that all that belongs to a step is there where its checkpoint is
                    save()
                yield done
                if progress.skipped_in_a_row >= plan.skip_limit:
                    save()
                    raise NonFiniteError(
                        f"{skip_report(done, run.data, progress.skipped_in_a_row)}; {last_good()}, its "
                        "weights untouched by these steps; look at these rows, lower --learning-rate, or use "
                        "--precision no or bf16, with another --out"
                    )
                if anywhere(accelerator, stop.is_set()) and done.step < total:
                    save()
                    raise KeyboardInterrupt
    except KeyboardInterrupt:  # wherever it was: what is in memory may be half an update
        raise KeyboardInterrupt(last_good()) from None
    except TornUpdateError as error:
        raise TornUpdateError(f"{error}; {last_good()}; go on from it with --resume") from error
    except BaseException as error:  # closed by the caller, or an error between updates: all is whole
        unwritten = error if isinstance(error, OSError) else None
        try:
            save()
        except OSError as again:
            unwritten = again
        if is_lost(error):
            raise OtherProcessError(
                f"another process of the run is gone, and this one stops after step {progress.step} (the "
                f"other's error, if it had time for one, stands beside this); {last_good()}; "
                "go on with --resume"
            ) from error
        if unwritten is None:
            raise
        raise OSError(
            f"run {str(run.folder)!r} cannot be written: {unwritten}; {last_good()}; "
            "make room or give permission there, then go on with --resume"
        ) from error
    finally:
        end_tracking(accelerator)


def _due(step: int, every: int, total: int) -> bool:
    return step > 0 and every > 0 and (step % every == 0 or step == total)


@contextmanager
def averaged(run: Run) -> Iterator[nn.Module]:
    """Lend the run's network with its averaged weights, in evaluation mode."""
    network = run.accelerator.unwrap_model(run.network)
    run.ema.store(network.parameters())
    try:
        run.ema.copy_to(network.parameters())
        network.eval()
        yield network
    finally:
        run.ema.restore(network.parameters())
        network.train()
