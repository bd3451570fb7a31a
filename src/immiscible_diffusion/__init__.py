"""Train diffusion and flow models in fewer steps: pair every image with a noise near it.

    from immiscible_diffusion import Nearest

    pairing = Nearest(k=8, centre=mean_image)
    noise = pairing(latents)  # instead of torch.randn_like(latents)

The pairings need torch and scipy only. Everything else is imported when first used, and needs
`pip install 'immiscible-diffusion[train]'`, comparison and evaluation `[evaluate]`.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from immiscible_diffusion.pairing import (
    Above,
    AcrossRanks,
    Assigned,
    AssignedWithin,
    Duals,
    Independent,
    Nearest,
    Pairing,
    Rescaled,
    Semidiscrete,
    Staged,
    assign,
    assign_in_blocks,
    canonical_name,
    fit_duals,
    fit_semidiscrete,
    measure_skew,
    paired,
    pairing_from_name,
    told_apart,
    whitening,
)

if TYPE_CHECKING:
    from immiscible_diffusion.comparison import Comparison, Plan, run_comparison, write_report
    from immiscible_diffusion.data.images import ImageData, load_images, mean_image, to_clean, to_pixels
    from immiscible_diffusion.diagnosis import Diagnosis, diagnose
    from immiscible_diffusion.evaluation import distances, feature_network, prepare_reference
    from immiscible_diffusion.experiment import Experiment
    from immiscible_diffusion.experiments import experiment_names, named_experiment
    from immiscible_diffusion.interception import Interception, paired_noise
    from immiscible_diffusion.networks import build_network
    from immiscible_diffusion.objectives import EDM, Consistency, Diffusion, FlowMatching, Objective
    from immiscible_diffusion.runs.images import advance, open_run
    from immiscible_diffusion.runs.trained_model import load_trained
    from immiscible_diffusion.sampling import sample, sampling_steps

__version__ = version("immiscible-diffusion")

# Where each name that needs an extra lives: (module, extra).
_LATER = {
    **dict.fromkeys(["Comparison", "Plan", "run_comparison", "write_report"], ("comparison", "evaluate")),
    **dict.fromkeys(["Diagnosis", "diagnose"], ("diagnosis", "train")),
    **dict.fromkeys(["Interception", "paired_noise"], ("interception", "train")),
    **dict.fromkeys(["distances", "feature_network", "prepare_reference"], ("evaluation", "evaluate")),
    **dict.fromkeys(
        ["ImageData", "load_images", "mean_image", "to_clean", "to_pixels"], ("data.images", "train")
    ),
    **dict.fromkeys(
        ["EDM", "Consistency", "Diffusion", "FlowMatching", "Objective"], ("objectives", "train")
    ),
    **dict.fromkeys(["advance", "open_run"], ("runs.images", "train")),
    **dict.fromkeys(["experiment_names", "named_experiment"], ("experiments", "train")),
    **dict.fromkeys(["sample", "sampling_steps"], ("sampling", "train")),
    "Experiment": ("experiment", "train"),
    "build_network": ("networks", "train"),
    "load_trained": ("runs.trained_model", "train"),
}

__all__ = [
    "EDM",
    "Above",
    "AcrossRanks",
    "Assigned",
    "AssignedWithin",
    "Comparison",
    "Consistency",
    "Diagnosis",
    "Diffusion",
    "Duals",
    "Experiment",
    "FlowMatching",
    "ImageData",
    "Independent",
    "Interception",
    "Nearest",
    "Objective",
    "Pairing",
    "Plan",
    "Rescaled",
    "Semidiscrete",
    "Staged",
    "advance",
    "assign",
    "assign_in_blocks",
    "build_network",
    "canonical_name",
    "diagnose",
    "distances",
    "experiment_names",
    "feature_network",
    "fit_duals",
    "fit_semidiscrete",
    "load_images",
    "load_trained",
    "mean_image",
    "measure_skew",
    "named_experiment",
    "open_run",
    "paired",
    "paired_noise",
    "pairing_from_name",
    "prepare_reference",
    "run_comparison",
    "sample",
    "sampling_steps",
    "to_clean",
    "to_pixels",
    "told_apart",
    "whitening",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _LATER[name]
    try:
        return getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{name} needs {error.name}, which is not installed; pip install 'immiscible-diffusion[{extra}]'"
        ) from error
