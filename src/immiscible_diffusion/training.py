"""The training loop: a generator that yields after every step. Averaging, saving and logging live outside."""

import time as clock
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from immiscible_diffusion.batches import Batch, BatchAt, noise_of
from immiscible_diffusion.data.images import ImageData, batch_rows, to_clean
from immiscible_diffusion.experiment import Experiment, PairedOver
from immiscible_diffusion.objectives import Objective
from immiscible_diffusion.pairing import Pairing, in_force
from immiscible_diffusion.randomness import derived_seed, generator_for


@dataclass(frozen=True)
class TrainingStep:
    """What one step did; the same on every process but for the times."""

    step: int  # completed steps, from 1
    loss: Tensor  # scalar, mean over the whole batch; no evidence between pairings, which all lower it
    gradient_norm: Tensor  # scalar, before clipping
    learning_rate: float
    seconds: float  # wall time of the step
    pairing_seconds: float  # of which in choosing the noise (on a GPU: until it was queued)
    # int64 [B], rows of the data set: of the whole batch where it was paired as one or skipped, else this
    # process's own
    rows: Tensor
    skipped: bool = False  # loss or gradient was not finite: weights and optimiser are as before the step
    scaling: bool = False  # skipped as fp16's loss scale is being found, which is no failure


class TornUpdateError(RuntimeError):
    """An update of the weights broke off half-way: what is in memory is no state to save."""


class TrainingSettings(Protocol):
    """What the loop asks of an experiment, whatever is trained."""

    @property
    def objective(self) -> Objective: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def accumulation(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup_steps(self) -> int: ...
    @property
    def clip_norm(self) -> float: ...
    @property
    def paired_over(self) -> PairedOver: ...
    @property
    def pairing_window(self) -> int: ...
    @property
    def seed(self) -> int: ...


def make_batch(
    experiment: Experiment, data: ImageData, step: int, rank: int = 0, processes: int = 1
) -> Batch:
    """Assemble the batch of step `step` (from 0): a function of its arguments, the same for every pairing.

    Rank r of n takes every n-th row, so that all ranks together see the rows and times that one would.
    """
    own = slice(rank, None, processes)
    rows = batch_rows(len(data.pixels), experiment.batch_size, step, experiment.seed)
    progress = step / experiment.steps
    time = experiment.objective.draw_times(len(rows), generator_for(experiment.seed, "time", step), progress)
    pixels = data.pixels[rows[own]]
    if experiment.flip:
        flipped = torch.rand(len(rows), generator=generator_for(experiment.seed, "flip", step)) < 0.5
        pixels = torch.where(flipped[own, None, None, None], pixels.flip(-1), pixels)
    labels = data.labels[rows[own]] if experiment.class_conditional and data.labels is not None else None
    return Batch(to_clean(pixels, experiment.image_std), labels, time[own], rows[own])


def training_steps(
    experiment: Experiment,
    data: ImageData,
    pairing: Pairing,
    network: nn.Module,
    optimizer: Optimizer,
    accelerator: Accelerator,
    first_step: int = 0,
) -> Iterator[TrainingStep]:
    """Train on images from `first_step` completed steps to the end; see `steps_on`."""
    return steps_on(
        experiment,
        lambda step, rank, processes: make_batch(experiment, data, step, rank, processes),
        pairing,
        network,
        optimizer,
        accelerator,
        first_step,
    )


def warmed_up(experiment: TrainingSettings, step: int) -> float:
    """The learning rate of step `step` (from 0): a linear rise, then constant."""
    return experiment.learning_rate * min(1.0, (step + 1) / max(1, experiment.warmup_steps))


def steps_on(
    experiment: TrainingSettings,
    batch_at: BatchAt,
    pairing: Pairing,
    network: nn.Module,
    optimizer: Optimizer,
    accelerator: Accelerator,
    first_step: int = 0,
    rate_at: Callable[[int], float] | None = None,
    noise_at: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> Iterator[TrainingStep]:
    """Train on any batches from `first_step` completed steps to the end, yielding after every step.

    network and optimizer: already prepared by `accelerator`. rate_at: the learning rate of a step (from 0),
    by default `warmed_up`. noise_at: changes the paired noise [B, ...], such as by a noise offset, before any
    target is formed, with what it draws from the generator it is given. Every draw depends on the
    experiment and the step alone, so a run taken up at any step goes on as if never stopped. A step whose
    loss or gradient norm is not finite changes no weight and no optimiser state, on any process.
    Paired over "batch", every process draws and pairs the noise of the whole batch and keeps that of its own
    rows, so that the pairs are those of a single process; over "process", each draws and pairs for its own.
    Raises ValueError where processes or pieces do not divide the batch, TornUpdateError where the optimiser
    fails.
    """
    processes, rank, device = accelerator.num_processes, accelerator.process_index, accelerator.device
    if experiment.batch_size % (processes * experiment.accumulation):
        raise ValueError(
            f"batch_size {experiment.batch_size} must divide by {processes} processes × "
            f"{experiment.accumulation} accumulated pieces"
        )
    parameters = [one for one in network.parameters() if one.requires_grad]
    network.train()
    pair_rank, pair_processes = (0, 1) if experiment.paired_over == "batch" else (rank, processes)
    pairs = _pairs(experiment, batch_at, pairing, first_step, pair_rank, pair_processes, device)
    for step in range(first_step, experiment.steps):
        started = clock.perf_counter()
        batch, noise, pairing_seconds = next(pairs)  # Algorithm 1, before any target
        clean, condition, time = batch.clean, batch.condition, batch.time.to(device)
        # Layers such as dropout draw from the default generator.
        torch.manual_seed(derived_seed(experiment.seed, "dropout", step, rank))
        if noise_at is not None:
            noise = noise_at(noise, generator_for(experiment.seed, "offset", step, pair_rank, device))
        if processes > pair_processes:
            own = slice(rank, None, processes)
            clean, noise, time = clean[own], noise[own], time[own]
            condition = None if condition is None else condition[own]
        rate = rate_at(step) if rate_at else warmed_up(experiment, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = _gradients(experiment, accelerator, network, clean, noise, time, condition)
        norm = accelerator.clip_grad_norm_(parameters, experiment.clip_norm).detach()
        loss, finite = _over_all(accelerator, loss, norm)
        scaling = _updated(optimizer, accelerator, finite, step)
        optimizer.zero_grad()
        rows = batch.rows
        if not finite and pair_processes > 1:
            rows = accelerator.gather(rows.to(device)).cpu()
        yield TrainingStep(
            step + 1,
            loss,
            norm,
            rate,
            clock.perf_counter() - started,
            pairing_seconds,
            rows,
            skipped=not finite,
            scaling=scaling,
        )


def _pairs(
    experiment: TrainingSettings,
    batch_at: BatchAt,
    pairing: Pairing,
    first_step: int,
    rank: int,
    processes: int,
    device: torch.device,
) -> Iterator[tuple[Batch, Tensor, float]]:
    """Yield each step's batch on the device, its noise, and the seconds that choosing it took.

    The first step of a window pays for all of it. One taken up in the middle is paired again as a whole.
    """
    size, objective = experiment.pairing_window, experiment.objective
    for first in range(first_step - first_step % size, experiment.steps, size):
        # Beyond the last step as well, which a run made longer goes on to; a curriculum has no times there.
        last = min(first + size, experiment.steps) if objective.depends_on_length else first + size
        batches = [batch_at(step, rank, processes).to(device) for step in range(first, last)]
        generator = generator_for(experiment.seed, "noise", first, rank, device)
        started = clock.perf_counter()
        noises = noise_of(batches, in_force(pairing, first / experiment.steps), generator, objective)
        seconds = clock.perf_counter() - started
        for step, batch, noise in zip(range(first, last), batches, noises, strict=True):
            if step >= first_step:
                yield batch, noise, seconds
                seconds = 0.0


def _gradients(
    experiment: TrainingSettings,
    accelerator: Accelerator,
    network: nn.Module,
    clean: Tensor,
    noise: Tensor,
    time: Tensor,
    condition: Tensor | None,
) -> Tensor:
    """Accumulate the gradient of the mean loss over the batch's pieces; returns that loss."""
    loss = torch.zeros((), device=clean.device)
    pieces = torch.arange(len(clean), device=clean.device).chunk(experiment.accumulation)
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        with nullcontext() if last else accelerator.no_sync(network):
            chosen = None if condition is None else condition[piece]
            with accelerator.autocast():
                losses = experiment.objective.loss(network, clean[piece], noise[piece], time[piece], chosen)
            share = losses.mean() * (len(piece) / len(clean))
            accelerator.backward(share)
            loss += share.detach()
    return loss


def _updated(optimizer: Optimizer, accelerator: Accelerator, finite: bool, step: int) -> bool:
    """Change the weights where all is finite; returns whether the loss scale fell instead."""
    if finite:
        try:
            optimizer.step()
        except Exception as error:
            raise TornUpdateError(f"the update of step {step + 1} broke off: {error!r}") from error
    elif accelerator.scaler is not None:
        before = accelerator.scaler.get_scale()
        accelerator.scaler.update()  # which optimizer.step() does otherwise
        return bool(before > 1 and accelerator.scaler.get_scale() < before)
    return False


def _over_all(accelerator: Accelerator, loss: Tensor, norm: Tensor) -> tuple[Tensor, bool]:
    """The mean loss of all processes, and whether all is finite: the one wait for the GPU in a step."""
    broken = (~(loss.isfinite() & norm.isfinite())).to(loss.dtype)
    if accelerator.num_processes > 1:
        loss, broken = accelerator.reduce(torch.stack([loss, broken]), "mean").unbind()
    return loss, not bool(broken)
