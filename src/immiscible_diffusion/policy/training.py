"""A policy's training: batches of chunks through the loop that images use."""

import math
from collections.abc import Iterator

from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer

from immiscible_diffusion.batches import Batch
from immiscible_diffusion.data.images import batch_rows
from immiscible_diffusion.pairing import Independent, Pairing, Staged
from immiscible_diffusion.policy.chunks import Chunks
from immiscible_diffusion.policy.experiment import PolicyExperiment
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.training import TrainingStep, steps_on, warmed_up


def chunk_batch(
    experiment: PolicyExperiment, chunks: Chunks, step: int, rank: int = 0, processes: int = 1
) -> Batch:
    """Assemble the batch of step `step` (from 0): rows and times are the same for every pairing."""
    own = slice(rank, None, processes)
    rows = batch_rows(len(chunks), experiment.batch_size, step, experiment.seed)
    progress = step / experiment.steps
    time = experiment.objective.draw_times(len(rows), generator_for(experiment.seed, "time", step), progress)
    return Batch(chunks.action[rows[own]], chunks.observation[rows[own]], time[own], rows[own])


def learning_rate_at(experiment: PolicyExperiment, step: int) -> float:
    """The published schedule at step `step` (from 0): a linear rise, then half a cosine down to 0."""
    if step < experiment.warmup_steps:
        return warmed_up(experiment, step)
    done = (step - experiment.warmup_steps) / max(1, experiment.steps - experiment.warmup_steps)
    return experiment.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def pairing_begins(experiment: PolicyExperiment, count: int) -> int:
    """The first step with paired noise: `pairing_start` epochs of `count` chunks in whole batches."""
    return min(experiment.steps, math.ceil(experiment.pairing_start * count / experiment.batch_size))


def policy_steps(
    experiment: PolicyExperiment,
    chunks: Chunks,
    pairing: Pairing,
    network: nn.Module,
    optimizer: Optimizer,
    accelerator: Accelerator,
    first_step: int = 0,
) -> Iterator[TrainingStep]:
    """Train from `first_step` completed steps to the end, yielding after every step; see `steps_on`."""
    return steps_on(
        experiment,
        lambda step, rank, processes: chunk_batch(experiment, chunks, step, rank, processes),
        _from_step(pairing, pairing_begins(experiment, len(chunks)), experiment.steps),
        network,
        optimizer,
        accelerator,
        first_step,
        lambda step: learning_rate_at(experiment, step),
    )


def _from_step(pairing: Pairing, begins: int, steps: int) -> Pairing:
    """The pairing from a step on, and unpaired noise before it."""
    if begins == 0:
        return pairing
    return Staged(pairing, begins / steps) if begins < steps else Independent()
