"""Runs on digits that take no time, and what they leave behind."""

import dataclasses
from pathlib import Path

import torch

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.runs.checkpoints import newest_checkpoint


def small(**settings: object) -> Experiment:
    return dataclasses.replace(named_experiment("digits-flow"), **{"steps": 12, "batch_size": 16, **settings})


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = newest_checkpoint(folder / "checkpoints")
    assert checkpoint is not None
    return {f"{kind}.{name}": t for kind, held in checkpoint.tensors.items() for name, t in held.items()}
