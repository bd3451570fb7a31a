"""Comparisons on the paper's data: 3,072 pixels, a network that a CPU can begin to train, minutes a run."""

import dataclasses

from immiscible_diffusion.comparison import Plan
from immiscible_diffusion.evidence.listed.comparison import LONGEST, STEPS, WITH_CLASSES, Listed, on_a_cpu
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import Diffusion


def comparisons() -> tuple[Listed, ...]:
    """All of them, in the order of their worth."""
    flow, ddim = _experiment("flow"), _experiment("ddim")
    main = Plan(LONGEST, seeds=3, points=2, count=1000, features="resnet")
    # Sampling at 50 evaluations takes as long as a third of the training.
    fewest = dataclasses.replace(main, pairings=LONGEST[:2], evaluations=(5, 20))
    return (
        Listed(
            "cifar10-flow",
            "Flow matching on the paper's data, 3,072 pixels, with a network that a CPU can begin to train.",
            flow,
            main,
        ),
        Listed(
            "cifar10-ddim",
            "DDIM on the paper's data with a network that a CPU can begin to train.",
            ddim,
            fewest,
        ),
        Listed(
            "cifar10-ddim-v",
            "DDIM that predicts v, on the paper's data.",
            dataclasses.replace(ddim, objective=Diffusion(prediction="v")),
            fewest,
        ),
        Listed(
            "cifar10-consistency",
            "Consistency training on the paper's data with a network that a CPU can begin to train.",
            _experiment("consistency"),
            dataclasses.replace(main, pairings=STEPS, evaluations=(1, 2, 4), judged_at=1),
        ),
        Listed(
            "cifar10-conditional",
            "Flow matching on the paper's data told apart by class: are 3,072 pixels enough for the class "
            "not to matter?",
            dataclasses.replace(flow, class_conditional=True),
            dataclasses.replace(main, pairings=WITH_CLASSES, evaluations=(5, 20), points=1),
        ),
    )


def _experiment(kind: str) -> Experiment:
    return on_a_cpu(f"cifar10-{kind}", "unet-patch", 64, 1000, 0.002)
