"""A policy's run folder: the loop with averaging, exact resume, and averaged weights kept for evaluation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn
from torch.optim import Optimizer

from immiscible_diffusion.atomic_files import write_text
from immiscible_diffusion.experiment import to_json
from immiscible_diffusion.pairing import Pairing
from immiscible_diffusion.policy.chunks import Chunks, load_chunks
from immiscible_diffusion.policy.experiment import PolicyExperiment, policy_from_json
from immiscible_diffusion.policy.kept import KEPT, KEPT_FOLDER
from immiscible_diffusion.policy.networks import build_policy_network
from immiscible_diffusion.policy.paired_chunks import policy_pairing
from immiscible_diffusion.policy.training import policy_steps
from immiscible_diffusion.processes import OtherProcessError, all_or_none, anywhere, is_lost
from immiscible_diffusion.randomness import derived_seed
from immiscible_diffusion.runs.checkpoints import Checkpoint, save_checkpoint
from immiscible_diffusion.runs.folder import check_same_data, check_same_settings, check_vacant, read_settings
from immiscible_diffusion.runs.interruption import stop_requests, undisturbed
from immiscible_diffusion.runs.loop import NonFiniteError, taken_up
from immiscible_diffusion.runs.metrics import forget_after, on_disk
from immiscible_diffusion.runs.records import record_values, step_values
from immiscible_diffusion.runs.trackers import end_tracking, open_accelerator, start_tracking
from immiscible_diffusion.runs.training_state import Progress, average, capture
from immiscible_diffusion.training import TornUpdateError, TrainingStep

WHOLE_EVERY = 5  # kept policies between checkpoints that a run can be resumed from
SKIP_LIMIT = 10  # steps in a row without a finite loss and gradient to stop after
BETAS = (0.95, 0.999)  # Chi et al.
AVERAGING_POWER = 0.75  # of the averaged weights' warm-up, Chi et al.


@dataclass(frozen=True, eq=False)
class PolicyRun:
    """An open run: everything that a further training step needs."""

    folder: Path
    experiment: PolicyExperiment
    chunks: Chunks
    pairing: Pairing
    network: nn.Module  # prepared by the accelerator
    optimizer: Optimizer
    ema: EMAModel
    accelerator: Accelerator
    start: Progress  # where the run is taken up


def open_policy_run(
    experiment: PolicyExperiment,
    folder: Path,
    *,
    resume: bool = False,
    log_with: str = "none",
    processes: int | None = None,
) -> PolicyRun:
    """Start a run in `folder`, or with `resume` take one up at its newest checkpoint.

    Every setting must be the one it began with: the learning rate depends on the number of steps too.
    log_with, processes: as for `open_run`.
    Raises FileExistsError where the folder holds a run and `resume` is off, ValueError where settings or
    data differ from the run's, and for fp16 on a CPU.
    """
    accelerator = open_accelerator(experiment.precision, log_with, folder, processes)
    with all_or_none(accelerator):
        check_vacant(folder, resume)
        chunks = load_experiment_chunks(experiment)
        if (folder / "config.json").exists():
            _check_same_run(experiment, folder)
        network = build_policy_network(
            experiment.network,
            (experiment.horizon, chunks.action.shape[2]),
            (experiment.observation_steps, chunks.observation.shape[2]),
            seed=derived_seed(experiment.seed, "weights"),
        )
    with all_or_none(accelerator):
        if accelerator.is_main_process:
            _describe(folder, experiment, chunks)
    optimizer: Optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=experiment.learning_rate,
        betas=BETAS,
        weight_decay=experiment.weight_decay,
        fused=True,
    )
    wrapped, optimizer, ema, start = taken_up(
        network,
        optimizer,
        accelerator,
        folder,
        experiment,
        chunks.fingerprint,
        decay=experiment.ema_decay,
        use_ema_warmup=True,
        power=AVERAGING_POWER,
    )
    pairing = policy_pairing(experiment, chunks)
    return PolicyRun(folder, experiment, chunks, pairing, wrapped, optimizer, ema, accelerator, start)


def advance_policy(
    run: PolicyRun, *, checkpoint_every: int | None = None, log_every: int = 50
) -> Iterator[TrainingStep]:
    """Train a run to its end, yielding every step; saves and logs on the way.

    checkpoint_every: steps between the averaged weights that are kept for evaluation, the last 10 of them; by
    default a sixtieth of the run, as 50 of 3,000 epochs are; 0 for the end only. Every fifth time all that
    resuming needs is saved. Ctrl-C and SIGTERM let the step finish, save, and raise KeyboardInterrupt; a
    second one raises it at once and saves nothing. Raises NonFiniteError after 10 steps in a row without a
    finite loss and gradient; such a step changes nothing.
    """
    main, total = run.accelerator.is_main_process, run.experiment.steps
    every = max(1, total // 60) if checkpoint_every is None else checkpoint_every
    metrics, progress, saved = run.folder / "metrics.jsonl", run.start, run.start.step

    def save() -> None:
        nonlocal saved
        if main and progress.step > saved:
            with undisturbed():
                on_disk(metrics)
                save_checkpoint(run.folder / "checkpoints", _captured(run, progress))
                saved = progress.step

    try:
        with stop_requests() as stop:
            if main:
                forget_after(metrics, saved)
            start_tracking(run.accelerator, run.experiment, saved)
            for done in policy_steps(
                run.experiment, run.chunks, run.pairing, run.network, run.optimizer, run.accelerator, saved
            ):
                if not done.skipped:
                    average(run.ema, run.network, done.step)
                progress = progress.after(done)
                last = done.step == total
                if main and (last or (log_every and done.step % log_every == 0) or done.skipped):
                    _log(run, done, progress, metrics)
                if main and (last or (every and done.step % every == 0)):
                    _keep(run, progress)
                if last or (every and done.step % (every * WHOLE_EVERY) == 0):
                    save()
                yield done
                if progress.skipped_in_a_row >= SKIP_LIMIT:
                    raise NonFiniteError(
                        f"loss or gradient was not finite in {SKIP_LIMIT} steps in a row, the last of them "
                        f"step {done.step}; the weights are untouched by them; lower --learning-rate, or use "
                        "--precision no or bf16, with another --out"
                    )
                if anywhere(run.accelerator, stop.is_set()) and not last:
                    save()
                    raise KeyboardInterrupt
    except (KeyboardInterrupt, TornUpdateError) as error:  # what is in memory may be half an update
        place = run.folder / "checkpoints"
        words = f"the last whole checkpoint is of step {saved} in {place}" if saved else "nothing is saved"
        raise type(error)(f"{error}; {words}" if str(error) else words) from None
    except BaseException as error:  # closed by the caller, or an error between updates: all is whole
        save()
        if is_lost(error):
            raise OtherProcessError(
                f"another process of the run is gone, and this one stops after step {progress.step}; "
                "go on with --resume"
            ) from error
        raise
    finally:
        end_tracking(run.accelerator)


def load_experiment_chunks(experiment: PolicyExperiment) -> Chunks:
    """Load what an experiment trains on."""
    return load_chunks(
        experiment.data,
        experiment.observations,
        horizon=experiment.horizon,
        observation_steps=experiment.observation_steps,
        action_steps=experiment.action_steps,
        episodes=experiment.episodes,
    )


def _check_same_run(experiment: PolicyExperiment, folder: Path) -> None:
    stored = read_settings(folder, policy_from_json)
    check_same_settings(stored, experiment, folder)
    if stored.steps != experiment.steps:
        raise ValueError(
            f"run {str(folder)!r} began with {stored.steps} steps, by which its learning rate "
            f"falls to 0, got {experiment.steps}; resume it with its own, or choose another --out"
        )


def _describe(folder: Path, experiment: PolicyExperiment, chunks: Chunks) -> None:
    """Store what the run is and which data it saw, with the scale that its actions are restored by."""
    description: dict[str, Any] = {
        "name": chunks.name,
        "fingerprint": chunks.fingerprint,
        "chunks": len(chunks),
    }
    for name, limits in (("action", chunks.action_limits), ("observation", chunks.observation_limits)):
        description[name] = {"low": limits.low.tolist(), "high": limits.high.tolist()}
    check_same_data(folder, experiment.data, chunks.fingerprint)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "data.json", json.dumps(description, indent=2) + "\n")
    write_text(folder / "config.json", to_json(experiment))  # last: who has it has the rest


def _captured(run: PolicyRun, progress: Progress) -> Checkpoint:
    network = run.accelerator.unwrap_model(run.network)
    return capture(progress, network, run.optimizer, run.ema, run.accelerator)


def _keep(run: PolicyRun, progress: Progress) -> None:
    tensors = {"averaged": _captured(run, progress).tensors["averaged"]}
    save_checkpoint(run.folder / KEPT_FOLDER, Checkpoint(progress.step, tensors, {}), keep=KEPT)


def _log(run: PolicyRun, done: TrainingStep, progress: Progress, metrics: Path) -> None:
    epoch = done.step * run.experiment.batch_size / len(run.chunks)
    record_values(metrics, done.step, {"epoch": epoch} | step_values(done, progress), run.accelerator)
