"""Comparisons on the paper's data: 3,072 pixels, a network that a CPU can begin to train, minutes a run."""

import dataclasses

from immiscible_diffusion.comparison import Plan
from immiscible_diffusion.evidence.listed.entry import (
    ABOVE,
    COARSE,
    DOT_ABOVE,
    NEAREST_ABOVE,
    NOISIEST,
    SHARPEST_ABOVE,
    SWEEP,
    Listed,
    on_a_cpu,
)
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import EDM, Diffusion

CONDITIONAL = ("independent", "assigned", "assigned:within", "assigned:within:above")


def comparisons() -> tuple[Listed, ...]:
    """All of them, in the order of their worth."""
    flow, ddim, edm = (_experiment(kind) for kind in ("flow", "ddim", "edm"))
    main = Plan(SWEEP, seeds=3, points=2, count=1000, features="resnet")
    # Sampling at 50 evaluations takes as long as a third of the training.
    few = dataclasses.replace(main, evaluations=(5, 20))
    paper = dataclasses.replace(few, pairings=("independent", "nearest:8", ABOVE))
    batch = dataclasses.replace(few, pairings=("independent", "assigned", ABOVE))
    return (
        Listed(
            "cifar10-flow",
            "Flow matching on the paper's data, 3,072 pixels, with a network that a CPU can begin to train.",
            flow,
            dataclasses.replace(main, pairings=(*SWEEP, COARSE, NEAREST_ABOVE, SHARPEST_ABOVE, DOT_ABOVE)),
        ),
        Listed(
            "cifar10-flow-long",
            "The same in three times the steps: does longer training change the verdict?",
            dataclasses.replace(flow, steps=3000),
            dataclasses.replace(main, pairings=("independent", ABOVE), points=3),
            again=1000,
        ),
        Listed(
            "cifar10-flow-window",
            "The noise of 16 batches of 64 assigned as one pool.",
            dataclasses.replace(flow, pairing_window=16),
            dataclasses.replace(main, pairings=("independent", ABOVE)),
            aside=True,
        ),
        Listed(
            "cifar10-ddim",
            "DDIM on the paper's data with a network that a CPU can begin to train.",
            ddim,
            dataclasses.replace(few, pairings=SWEEP),
        ),
        Listed(
            "cifar10-ddim-v",
            "DDIM that predicts v, on the paper's data.",
            dataclasses.replace(ddim, objective=Diffusion(prediction="v")),
            paper,
        ),
        Listed("cifar10-edm", "EDM on the paper's data.", edm, batch),
        Listed(
            "cifar10-edm-noisiest",
            "EDM trained where noise is higher, on the paper's data.",
            dataclasses.replace(edm, objective=EDM(log_mean=NOISIEST)),
            batch,
        ),
        Listed(
            "cifar10-consistency",
            "Consistency training on the paper's data with a network that a CPU can begin to train.",
            _experiment("consistency"),
            dataclasses.replace(main, pairings=SWEEP, evaluations=(1, 2, 4), judged_at=1),
        ),
        Listed(
            "cifar10-conditional",
            "Flow matching on the paper's data told apart by class: are 3,072 pixels enough for the class "
            "not to matter?",
            dataclasses.replace(flow, class_conditional=True),
            dataclasses.replace(few, pairings=CONDITIONAL, points=1),
        ),
        Listed(
            "cifar10-ddim-std",
            "Scaling the images instead of pairing (Fig. 8), DDIM on the paper's data.",
            ddim,
            dataclasses.replace(few, pairings=("independent",), points=1, image_stds=(0.5, 1.0, 2.0, 4.0)),
        ),
    )


def _experiment(kind: str) -> Experiment:
    return on_a_cpu(f"cifar10-{kind}", "unet-patch", 64, 1000, 0.002)
