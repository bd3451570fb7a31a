"""The comparisons that the evidence consists of, in the order of their worth."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from immiscible_diffusion.comparison import Plan, variants
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.pairing.suggestions import unknown

FEWER_SEEDS = 3


@dataclass(frozen=True)
class Listed:
    """One comparison. name: of results/NAME.json. question: what it is run for, for the page.

    plan: all pairings. fewer: those of them that are run with no more than `FEWER_SEEDS` seeds.
    """

    name: str
    question: str
    experiment: Experiment
    plan: Plan
    fewer: tuple[str, ...] = ()

    def runs(self) -> list[tuple[str, Experiment]]:
        """All runs, by the name of their curve, in the order to make them in.

        Seeds come outermost, so that what is there at any moment can be compared.
        """
        return [
            (kind, dataclasses.replace(one, seed=one.seed + number))
            for number in range(self.plan.seeds)
            for kind, one in variants(self.experiment, self.plan).items()
            if number < FEWER_SEEDS or kind not in self.fewer
        ]


DIGITS = (
    "independent",
    "nearest:4",
    "nearest:8",
    "assigned",
    "nearest:8:uncentred",
    "nearest:8:dot",
    "nearest:8:coarse2",
    "semidiscrete",
)
DIGITS_TOO = (
    "nearest:64",
    "nearest:2",
    "nearest:16",
    "nearest:64:uncentred",
    "nearest:64:dot",
    "nearest:8:whitened",
    "nearest:8:until50",
    "assigned:until50",
    "nearest:8:dot:whitened",
)
# Of 28×28 and 32×32.
LARGER = (
    "independent",
    "nearest:8",
    "assigned",
    "nearest:8:uncentred",
    "nearest:8:whitened",
    "assigned:until50",
)
# Settings of the small network that stands in for a U-Net on 784 and 3,072 pixels.
SMALL = {
    "network": "mlp-wide",
    "batch_size": 256,
    "steps": 1500,
    "learning_rate": 0.001,
    "warmup_steps": 50,
    "ema_decay": 0.99,
}


def listed_comparisons() -> tuple[Listed, ...]:
    """Every comparison of the evidence."""
    digits = Plan(DIGITS + DIGITS_TOO, seeds=5, points=4, count=2000)
    larger = Plan(LARGER, seeds=3, points=3, count=2000)
    fashion = {name: _small(f"fashion-mnist-{name}") for name in ("flow", "ddim")}
    cifar10 = {name: _small(f"cifar10-{name}") for name in ("flow", "ddim")}
    return (
        Listed(
            "digits-flow",
            "Which pairing, which k, which rule? Flow matching on 64 pixels.",
            named_experiment("digits-flow"),
            digits,
            DIGITS_TOO,
        ),
        Listed(
            "digits-ddim",
            "The same for DDIM.",
            named_experiment("digits-ddim"),
            digits,
            DIGITS_TOO,
        ),
        Listed(
            "fashion-mnist-flow",
            "Flow matching on 784 pixels whose images share half of their energy.",
            fashion["flow"],
            larger,
        ),
        Listed(
            "cifar10-flow",
            "Flow matching on the paper's data, 3,072 pixels, with a network for a CPU.",
            cifar10["flow"],
            dataclasses.replace(larger, features="resnet"),
        ),
        Listed("fashion-mnist-ddim", "The same as fashion-mnist-flow for DDIM.", fashion["ddim"], larger),
        Listed(
            "cifar10-ddim",
            "The same as cifar10-flow for DDIM.",
            cifar10["ddim"],
            dataclasses.replace(larger, features="resnet"),
        ),
    )


def chosen_comparisons(names: Sequence[str]) -> tuple[Listed, ...]:
    """The comparisons of these names, or all; ValueError for an unknown one."""
    listed = {one.name: one for one in listed_comparisons()}
    for name in names:
        if name not in listed:
            raise ValueError(unknown("comparison", name, listed))
    return tuple(listed[name] for name in names or listed)


def _small(name: str) -> Experiment:
    return dataclasses.replace(named_experiment(name), **SMALL)
