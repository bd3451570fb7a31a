"""The averaged network of a run's checkpoint, for sampling."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.networks import build_network
from immiscible_diffusion.runs.checkpoints import trained_checkpoint, with_averages
from immiscible_diffusion.runs.folder import read_description, read_experiment


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What sampling from a finished (or interrupted) run needs."""

    experiment: Experiment
    network: nn.Module  # averaged weights, in evaluation mode
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    step: int


def load_trained(folder: Path, checkpoint: str = "newest") -> TrainedModel:
    """Load the averaged network of a run folder's checkpoint, on the CPU.

    checkpoint: "newest", "best" (by the distance that `--evaluate-every` measured), or a step's number.
    Raises FileNotFoundError where the folder holds no run or not that checkpoint, ValueError where the run's
    files are damaged or do not fit together.
    """
    experiment, described = read_experiment(folder), read_description(folder)
    held = trained_checkpoint(folder, checkpoint)
    shape, class_names = tuple(described["shape"]), tuple(described["class_names"])
    network = build_network(
        experiment.network, shape, len(class_names) if experiment.class_conditional else None
    )
    return TrainedModel(experiment, with_averages(network, held), shape, class_names, held.step)
