"""What a comparison asks of what it compares: how its runs are loaded, opened, trained and measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from immiscible_diffusion.couplings import semidiscrete_of
from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation import Reference
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.runs.folder import load_data
from immiscible_diffusion.runs.images import Run, advance, open_run
from immiscible_diffusion.runs.loop import Schedule
from immiscible_diffusion.scoring import Scores, score_network
from immiscible_diffusion.training import TrainingStep


@dataclass(frozen=True)
class Subject:
    """A kind of experiment, as functions of this module's level, so that other processes can be sent them."""

    load: Callable[[Any], Any]  # experiment -> what all of its runs share
    real_images: Callable[[Any], ImageData]  # of it, those that distances are measured to
    open: Callable[[Any, Path, Any], Any]  # experiment, folder, what was loaded -> a run, taken up or begun
    advance: Callable[[Any, Schedule], Iterator[TrainingStep]]
    # run, averaged network, reference, numbers of evaluations, count -> distances and images by number
    score: Callable[[Any, nn.Module, Reference, tuple[int, ...], int], Scores]
    prepare: Callable[[Any, Any], Any] | None = None  # experiment, loaded: once before a semidiscrete pairing


def _open(experiment: Experiment, folder: Path, data: ImageData) -> Run:
    return open_run(experiment, folder, resume=True, data=data, log_with="none")


def _advance(run: Run, schedule: Schedule) -> Iterator[TrainingStep]:
    return advance(run, schedule)


def _same(data: ImageData) -> ImageData:
    return data


def _score(
    run: Run, network: nn.Module, reference: Reference, evaluations: tuple[int, ...], count: int
) -> Scores:
    return score_network(run.experiment, network, run.data, reference, evaluations, count)


IMAGES = Subject(load_data, _same, _open, _advance, _score, semidiscrete_of)
