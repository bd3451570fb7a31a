"""The named experiments: one file per model and data set, never per pairing."""

import pkgutil
from importlib import import_module

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.policy.experiment import PolicyExperiment
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment

AnyExperiment = Experiment | PolicyExperiment | TextToImageExperiment


def experiment_names() -> list[str]:
    """List the names that `named_experiment` takes: the files of this folder."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def named_experiment(name: str) -> Experiment:
    """Load an experiment on images; see `any_experiment`. Raises ValueError for other kinds."""
    experiment = any_experiment(name)
    if not isinstance(experiment, Experiment):
        raise ValueError(
            f"experiment {name!r} trains a {experiment.kind}, not images; load it with any_experiment"
        )
    return experiment


def any_experiment(name: str) -> AnyExperiment:
    """Load an experiment by its file's name, e.g. "digits-ddim". Raises ValueError for an unknown one."""
    if name not in experiment_names():
        raise ValueError(unknown("experiment", name, experiment_names()))
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    experiment: AnyExperiment = module.experiment
    return experiment


def experiment_notes(name: str) -> str:
    """Give an experiment's docstring: command, hardware, duration, the paper's number and ours."""
    any_experiment(name)
    return (import_module(f"{__name__}.{name.replace('-', '_')}").__doc__ or "").strip()
