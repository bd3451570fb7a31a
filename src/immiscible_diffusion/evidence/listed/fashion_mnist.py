"""Comparisons on Fashion-MNIST: 784 pixels, whose images share half of their energy, minutes a run."""

import dataclasses

from immiscible_diffusion.comparison import Plan
from immiscible_diffusion.evidence.listed.entry import (
    ABOVE,
    COARSE,
    DOT_ABOVE,
    LONGEST,
    NEAREST_ABOVE,
    NOISIER,
    NOISIEST,
    SHARPEST_ABOVE,
    SWEEP,
    Listed,
    on_a_cpu,
)
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import EDM, Diffusion

LARGER = (
    *SWEEP,
    COARSE,
    NEAREST_ABOVE,
    SHARPEST_ABOVE,
    DOT_ABOVE,
    "nearest:8:coarse2",
    "nearest:8:until50",
)
LEVELS = (f"{ABOVE}1.2", f"{ABOVE}5")  # half and twice what is measured on Fashion-MNIST, 2.5


def comparisons() -> tuple[Listed, ...]:
    """All of them, in the order of their worth."""
    flow, ddim, edm = (_experiment(kind) for kind in ("flow", "ddim", "edm"))
    every = Plan(LARGER, seeds=3, points=2, count=2000)
    main = dataclasses.replace(every, pairings=(*LONGEST, ABOVE))
    batch = dataclasses.replace(every, pairings=("independent", "assigned", ABOVE))
    return (
        Listed(
            "fashion-mnist-flow",
            "Flow matching on 784 pixels, whose images share half of their energy.",
            flow,
            every,
            again=1000,
        ),
        Listed(
            "fashion-mnist-ddim",
            "DDIM on 784 pixels.",
            ddim,
            dataclasses.replace(every, pairings=(*SWEEP, COARSE, NEAREST_ABOVE, SHARPEST_ABOVE, DOT_ABOVE)),
            again=1000,
        ),
        Listed(
            "fashion-mnist-ddim-v",
            "DDIM that predicts v, on 784 pixels.",
            dataclasses.replace(ddim, objective=Diffusion(prediction="v")),
            main,
        ),
        Listed("fashion-mnist-edm", "EDM on 784 pixels.", edm, main),
        Listed(
            "fashion-mnist-edm-noisier",
            "EDM trained where noise is higher, on 784 pixels.",
            dataclasses.replace(edm, objective=EDM(log_mean=NOISIER)),
            batch,
        ),
        Listed(
            "fashion-mnist-edm-noisiest",
            "EDM trained where noise is higher still, on 784 pixels.",
            dataclasses.replace(edm, objective=EDM(log_mean=NOISIEST)),
            dataclasses.replace(main, pairings=(*main.pairings, *LEVELS)),
        ),
        Listed(
            "fashion-mnist-edm-long",
            "EDM at its own noise levels, which suit vanilla best, in five times the steps.",
            dataclasses.replace(edm, steps=5000),
            dataclasses.replace(batch, points=5, pairings=("independent", ABOVE)),
            again=1000,
        ),
        Listed(
            "fashion-mnist-consistency",
            "Consistency training on 784 pixels.",
            _experiment("consistency"),
            Plan((*SWEEP, COARSE), seeds=3, evaluations=(1, 2, 4), judged_at=1, points=2),
        ),
        Listed(
            "fashion-mnist-ddim-std",
            "Scaling the images instead of pairing (Fig. 8), DDIM on 784 pixels.",
            ddim,
            Plan(("independent",), seeds=3, points=2, image_stds=(0.5, 1.0, 2.0, 4.0)),
        ),
    )


def _experiment(kind: str) -> Experiment:
    return on_a_cpu(f"fashion-mnist-{kind}", "mlp-wide", 256, 1000, 0.001)
