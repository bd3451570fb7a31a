"""What of a run a checkpoint holds: out of the network, optimiser and averages, and back into them."""

import warnings
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn
from torch.optim import Optimizer

from immiscible_diffusion.runs.checkpoints import (
    Checkpoint,
    learned,
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    without_frozen,
)
from immiscible_diffusion.training import TornUpdateError, TrainingStep


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int = 0  # completed steps
    seconds: float = 0.0  # training time behind them
    skipped: int = 0  # of them, steps without an update, as loss or gradient was not finite
    skipped_in_a_row: int = 0  # the last of these without a break, fp16's search for its scale left out

    def after(self, done: TrainingStep) -> "Progress":
        """Count one more step."""
        in_a_row = self.skipped_in_a_row + (done.skipped and not done.scaling)
        return Progress(
            done.step,
            self.seconds + done.seconds,
            self.skipped + done.skipped,
            in_a_row if done.skipped else 0,
        )


def average(ema: EMAModel, network: nn.Module, step: int) -> None:
    """Let the averages follow the weights of `step`. Raises TornUpdateError where that breaks off."""
    try:
        ema.step(learned(network).values())
    except Exception as error:
        raise TornUpdateError(f"averaging the weights of step {step} broke off: {error!r}") from error


def capture(
    progress: Progress, network: nn.Module, optimizer: Optimizer, ema: EMAModel, accelerator: Accelerator
) -> Checkpoint:
    """Take what a run needs to go on. network: as `build_network` made it, not wrapped."""
    state: dict[str, Any] = {
        "seconds": progress.seconds,
        "skipped": progress.skipped,
        "skipped_in_a_row": progress.skipped_in_a_row,
        "processes": accelerator.num_processes,
    }
    if accelerator.scaler is not None:
        state["scaler"] = accelerator.scaler.state_dict()
    tensors = {
        "network": without_frozen(network),
        "averaged": dict(zip(learned(network), ema.shadow_params, strict=True)),
        "optimizer": optimizer_tensors(optimizer),
    }
    return Checkpoint(progress.step, tensors, state)


def restore_network(checkpoint: Checkpoint, network: nn.Module, optimizer: Optimizer) -> None:
    """Put weights and optimiser state back, before both are prepared for the device.

    Raises ValueError where the weights do not fit the network.
    """
    load_weights(network, checkpoint.tensors["network"], checkpoint.step)
    restore_optimizer(optimizer, checkpoint.tensors["optimizer"])


def restore_rest(
    checkpoint: Checkpoint, network: nn.Module, ema: EMAModel, accelerator: Accelerator
) -> Progress:
    """Put averages and fp16's loss scale back, once the network is on its device; say how far the run is."""
    progress = Progress(
        checkpoint.step,
        checkpoint.state["seconds"],
        checkpoint.state.get("skipped", 0),
        checkpoint.state.get("skipped_in_a_row", 0),
    )
    shadow = checkpoint.tensors["averaged"]
    ema.shadow_params = [shadow[name].to(accelerator.device) for name in learned(network)]
    ema.optimization_step = progress.step - progress.skipped  # it stands still where no update is made
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(checkpoint.state["scaler"])
    before = checkpoint.state.get("processes", accelerator.num_processes)
    if before != accelerator.num_processes and accelerator.is_main_process:
        warnings.warn(
            f"the run had {before} process(es) at step {progress.step} and goes on with "
            f"{accelerator.num_processes}: on the same batches, but no longer bit for bit",
            stacklevel=3,
        )
    return progress
