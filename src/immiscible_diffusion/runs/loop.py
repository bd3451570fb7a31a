"""Training an open run to its end: averaging, checkpoints, metrics, evaluation, sheets and exact resume."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.optim import Optimizer

from immiscible_diffusion.pictures import save_sheet
from immiscible_diffusion.processes import OtherProcessError, all_or_none, anywhere, check_agreement, is_lost
from immiscible_diffusion.runs.checkpoints import (
    checkpoint_steps,
    learned,
    mark_best,
    newest_checkpoint,
    prune,
    save_checkpoint,
)
from immiscible_diffusion.runs.interruption import stop_requests, undisturbed
from immiscible_diffusion.runs.metrics import forget_after, on_disk
from immiscible_diffusion.runs.records import (
    best_evaluated,
    evaluated_at,
    record_evaluation,
    record_step,
    skip_report,
)
from immiscible_diffusion.runs.trackers import end_tracking, start_tracking
from immiscible_diffusion.runs.training_state import Progress, average, capture, restore_network, restore_rest
from immiscible_diffusion.training import TornUpdateError, TrainingSettings, TrainingStep

Evaluate = Callable[[nn.Module], Mapping[str, Any]]


class NonFiniteError(ArithmeticError):
    """Too many steps in a row whose loss or gradient is not finite."""


class OpenRun(Protocol):
    """What the loop asks of an open run, whatever it trains."""

    @property
    def folder(self) -> Path: ...
    @property
    def experiment(self) -> TrainingSettings: ...
    @property
    def network(self) -> nn.Module: ...  # prepared by the accelerator
    @property
    def optimizer(self) -> Optimizer: ...
    @property
    def ema(self) -> EMAModel: ...
    @property
    def accelerator(self) -> Accelerator: ...
    @property
    def start(self) -> Progress: ...  # where the run is taken up

    def source_rows(self, rows: Tensor) -> list[int]:
        """Turn row numbers of a batch into those of the data's source."""
        ...

    def sheet(self, network: nn.Module) -> Tensor:
        """Sample what the run's progress is watched on, uint8 [N, C, H, W]."""
        ...


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


def taken_up(
    network: nn.Module,
    optimizer: Optimizer,
    accelerator: Accelerator,
    folder: Path,
    experiment: Any,
    fingerprint: str,
    **averaging: Any,
) -> tuple[nn.Module, Optimizer, EMAModel, Progress]:
    """Prepare network and optimiser for training, where the run in `folder` has got to.

    averaging: as diffusers' `EMAModel` takes it. Raises ValueError where the weights do not fit the network,
    or where settings, data's fingerprint or the checkpoint are not the same on all processes.
    """
    with all_or_none(accelerator):
        checkpoint = newest_checkpoint(folder / "checkpoints")
        if checkpoint is not None:
            restore_network(checkpoint, network, optimizer)
    check_agreement(accelerator, experiment, fingerprint, checkpoint.step if checkpoint else 0)
    network = network.to(accelerator.device)
    ema = EMAModel(learned(network).values(), foreach=True, **averaging)
    wrapped, optimizer = accelerator.prepare(network, optimizer)
    start = Progress() if checkpoint is None else restore_rest(checkpoint, network, ema, accelerator)
    return wrapped, optimizer, ema, start


def advance_on(
    run: OpenRun, steps: Iterator[TrainingStep], plan: Schedule, evaluate: Evaluate | None = None
) -> Iterator[TrainingStep]:
    """Go through `steps` of training and do what `plan` asks for on the way; see `runs.advance`."""
    if plan.evaluate_every and evaluate is None and run.accelerator.is_main_process:
        raise ValueError("evaluate_every needs evaluate: what to call with the averaged network")
    return _advance(run, steps, plan, evaluate)


def _advance(
    run: OpenRun, steps: Iterator[TrainingStep], plan: Schedule, evaluate: Evaluate | None
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
                save_sheet(run.sheet(network), sheet)

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
                        record_step(
                            metrics, done, progress, run.experiment.batch_size, run.source_rows, accelerator
                        )
                    observe(again=True)
                    if _due(done.step, plan.evaluate_every, total):
                        wanted |= best_evaluated(metrics, checkpoints, done.step) == done.step
                if wanted:  # last, so that all that belongs to a step is there where its checkpoint is
                    save()
                yield done
                if progress.skipped_in_a_row >= plan.skip_limit:
                    save()
                    report = skip_report(done, run.source_rows(done.rows), progress.skipped_in_a_row)
                    raise NonFiniteError(
                        f"{report}; {last_good()}, its "
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
def averaged(run: OpenRun) -> Iterator[nn.Module]:
    """Lend the run's network with its averaged weights, in evaluation mode."""
    network = run.accelerator.unwrap_model(run.network)
    changed = list(learned(network).values())
    run.ema.store(changed)
    try:
        run.ema.copy_to(changed)
        network.eval()
        yield network
    finally:
        run.ema.restore(changed)
        network.train()
