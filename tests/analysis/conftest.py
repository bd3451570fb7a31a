"""Tiny trained runs that the tests of this folder look at."""

import dataclasses
from pathlib import Path

import pytest
import torch

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.runs.images import advance, open_run


def train(folder: Path, name: str = "digits-ddim", **settings: object) -> Path:
    """Train a few steps on a few digits and return the run's folder."""
    chosen = {"steps": 12, "batch_size": 32, "rows": 200, "warmup_steps": 1, **settings}
    experiment: Experiment = dataclasses.replace(named_experiment(name), **chosen)
    place = folder / f"{name}-{'-'.join(map(str, settings.values()))}".replace(":", "-")
    run = open_run(experiment, place, log_with="none")
    for _ in advance(run, checkpoint_every=0, sheet_every=0, log_every=0):
        pass
    return place


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def run_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two pairings of two seeds each, and one flow-matching run."""
    folder = tmp_path_factory.mktemp("runs")
    runs = {
        f"{pairing}-{seed}": train(folder, pairing=pairing, seed=seed)
        for pairing in ("nearest:4", "independent")
        for seed in (0, 1)
    }
    return runs | {"flow": train(folder, "digits-flow", pairing="independent")}
