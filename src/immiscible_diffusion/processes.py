"""Several processes as one run: how many there are to be, what one of them refuses, and when to stop."""

import os
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

# As torchrun, and the launchers of MPI, say how many processes they started.
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
# The others wait in a collective while the first one evaluates or saves; NCCL's own limit is 10 minutes.
PATIENCE = timedelta(hours=2)
CLOSING = 0.5  # seconds
SHARDED = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # as accelerate calls them
LAUNCH = "torchrun --nproc_per_node {} -m immiscible_diffusion.cli train ..."


class OtherProcessError(ConnectionError):
    """Another process of the run failed or is gone, and this one cannot go on without it."""


def join(processes: int | None = None, **settings: Any) -> Accelerator:
    """Make the accelerator of all processes that were launched.

    processes: how many there are to be; None for as many as the launcher says. settings: as `Accelerator`
    takes them. Raises ValueError where there are not as many as were asked for, of which `accelerate launch`
    without a GPU says nothing, and where weights would be sharded.
    """
    # accelerate would take each process for the only one where there is neither a GPU nor this word.
    cpu = _launched() > 1 and not torch.accelerator.is_available()
    accelerator = Accelerator(cpu=cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)], **settings)
    _check_count(accelerator.num_processes, processes)
    # Without a GPU accelerate takes these words and then trains with whole weights.
    asked = [name for name in SHARDED if os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true"]
    kind = asked[0] if asked else accelerator.distributed_type.value
    if kind in SHARDED:
        raise ValueError(
            f"the run was launched with {kind}, which cuts the weights up among the processes, and "
            f"their average and checkpoints are of whole ones here; launch it as {LAUNCH.format('N')}"
        )
    return accelerator


def _launched() -> int:
    """Processes that a launcher says it started; 1 without one."""
    return max(int(os.environ.get(name) or 1) for name in SIZES)


def _check_count(present: int, asked: int | None) -> None:
    if asked is not None and asked < 1:
        raise ValueError(f"processes must be 1 or more, got {asked}")
    # `accelerate launch` sets the address for several processes only, and starts one where it finds no GPU.
    lone = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    lone = lone and not any(name in os.environ for name in SIZES)
    if asked is None and present == 1 and lone:
        raise ValueError(
            "`accelerate launch` was asked for several processes and started one, as it does without GPUs: "
            f"launch it as {LAUNCH.format('N')} (or with --processes 1 if one was meant)"
        )
    wanted = max(_launched(), present) if asked is None else asked
    if present != wanted:
        raise ValueError(
            f"{wanted} processes were asked for and this run has {present}; "
            f"launch it as {LAUNCH.format(wanted)}"
        )


@contextmanager
def all_or_none(accelerator: Accelerator) -> Iterator[None]:
    """Let no process pass the block before all have: what one raises in it ends the others, too.

    A process that raised alone would leave the others waiting. Raises OtherProcessError on these.
    """
    if accelerator.num_processes == 1:
        yield
        return
    raised: Exception | None = None
    try:
        yield
    except Exception as error:
        raised = error
    said = _from_all(None if raised is None else f"{raised}")
    if raised is not None:
        raise raised
    for rank, words in enumerate(said):
        if words is not None:
            raise OtherProcessError(f"process {rank} of {len(said)} gave up: {words}")


def check_agreement(accelerator: Accelerator, experiment: Any, fingerprint: str, step: int) -> None:
    """Raise ValueError on every process where two differ in settings, data or the checkpoint's step."""
    if accelerator.num_processes == 1:
        return
    first, *others = _from_all({**vars(experiment), "fingerprint of data": fingerprint, "checkpoint": step})
    for rank, other in enumerate(others, start=1):
        for name, value in first.items():
            if other[name] != value:
                raise ValueError(
                    f"{name} is {value!r} in process 0 and {other[name]!r} in process {rank}; give every "
                    "node the same command, and the same data and --out on a disk that they share"
                )


def anywhere(accelerator: Accelerator, flag: bool) -> bool:
    """Say whether any process says so: one number, summed."""
    if accelerator.num_processes == 1:
        return flag
    total = accelerator.reduce(torch.tensor(float(flag), device=accelerator.device), "sum")
    return bool(total > 0)


def is_lost(error: BaseException) -> bool:
    """Say whether an error is a collective's, of which another process is no longer part."""
    words = str(error)
    return isinstance(error, RuntimeError) and (
        isinstance(error, dist.DistError) or any(sign in words for sign in ("gloo", "Gloo", "by peer"))
    )


def devices(accelerator: Accelerator) -> str:
    """Say what a run is computed on, such as "cpu:0 in 2 processes"."""
    count = accelerator.num_processes
    return f"{accelerator.device}" + (f" in {count} processes" if count > 1 else "")


def leave(accelerator: Accelerator) -> None:
    """Close the connection between the processes, at the end of the command."""
    # Closing holds Python's lock and waits for gloo's threads, of which one that is letting go of the last
    # tensor waits for that lock, for ever: a pause lets it have it (seen once in about 30 runs, under load).
    if accelerator.num_processes > 1:
        clock.sleep(CLOSING)
    accelerator.state.destroy_process_group()


def _from_all(held: Any) -> list[Any]:
    answers: list[Any] = [None] * dist.get_world_size()
    try:
        dist.all_gather_object(answers, held)
    except RuntimeError as error:
        if is_lost(error):
            raise OtherProcessError("another process of the run is gone before its first step") from error
        raise
    return answers
