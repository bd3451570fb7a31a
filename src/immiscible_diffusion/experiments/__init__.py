"""The named experiments: one file per model and data set, never per pairing."""

import pkgutil
from importlib import import_module

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.pairing.suggestions import unknown


def experiment_names() -> list[str]:
    """List the names that `named_experiment` takes: the files of this folder."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def named_experiment(name: str) -> Experiment:
    """Load an experiment by its file's name, e.g. "digits-ddim". Raises ValueError for an unknown one."""
    if name not in experiment_names():
        raise ValueError(unknown("experiment", name, experiment_names()))
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    experiment: Experiment = module.experiment
    return experiment


def experiment_notes(name: str) -> str:
    """Give an experiment's docstring: command, hardware, duration, the paper's number and ours."""
    named_experiment(name)
    return (import_module(f"{__name__}.{name.replace('-', '_')}").__doc__ or "").strip()
