"""The comparisons that the evidence consists of, in the order of their worth."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from immiscible_diffusion.comparison import Plan, variants
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.pairing.suggestions import unknown

COARSE = "nearest:8:coarse2:rescaled"
DIGITS = (
    "independent",
    "nearest:8",
    "assigned",
    "nearest:8:until50",
    "nearest:8:coarse2",
    COARSE,
    "nearest:8:rescaled",
    "nearest:8:uncentred",
    "nearest:8:dot",
    "nearest:4",
    "semidiscrete",
)
DIGITS_TOO = (
    "nearest:64",
    "nearest:2",
    "nearest:16",
    "nearest:64:dot",
    "nearest:8:whitened",
    "nearest:8:dot:whitened",
    "assigned:until50",
)
LARGER = (
    "independent",
    "nearest:8",
    "assigned",
    "nearest:8:until50",
    "nearest:8:uncentred",
    "nearest:8:coarse2",
    COARSE,
)
FEWER_SEEDS = 3


@dataclass(frozen=True)
class Listed:
    """One comparison. name: of results/NAME.json. question: what it is run for, for the page.

    plan: all pairings. fewer: those of them that are run with no more than `FEWER_SEEDS` seeds. again:
    images for each start and feature network that finished runs are measured with again; 0 for none.
    compile: torch.compile the networks for training. command: that makes it, where the driver's does not.
    """

    name: str
    question: str
    experiment: Experiment
    plan: Plan
    fewer: tuple[str, ...] = ()
    again: int = 2000
    compile: bool = False
    command: str = ""

    def runs(self) -> list[tuple[str, Experiment]]:
        """All runs, by the name of their curve, in the order to make them in.

        The first three seeds come before others, a seed before the next, so that what is there at any moment
        can be compared.
        """
        runs = [
            (number, kind, dataclasses.replace(one, seed=one.seed + number))
            for number in range(self.plan.seeds)
            for kind, one in variants(self.experiment, self.plan).items()
            if number < FEWER_SEEDS or kind not in self.fewer
        ]
        runs.sort(key=lambda run: (run[0] >= FEWER_SEEDS, run[1] in self.fewer, run[0]))
        return [(kind, one) for _, kind, one in runs]


def listed_comparisons() -> tuple[Listed, ...]:
    """Every comparison of the evidence."""
    digits = Plan(DIGITS + DIGITS_TOO, seeds=5, points=4, count=2000)
    larger = Plan(LARGER, seeds=3, points=2, count=2000)
    cifar10 = dataclasses.replace(larger, pairings=(*LARGER[:3], COARSE), count=1000, features="resnet")
    flow = named_experiment("digits-flow")
    return (
        Listed(
            "digits-flow",
            "Which pairing, which k, which rule, until when? Flow matching on 64 pixels.",
            flow,
            digits,
            DIGITS_TOO,
        ),
        Listed("digits-ddim", "The same for DDIM.", named_experiment("digits-ddim"), digits, DIGITS_TOO),
        Listed(
            "fashion-mnist-flow",
            "Flow matching on 784 pixels, whose images share half of their energy.",
            _on_a_cpu("fashion-mnist-flow", "mlp-wide", 256, 1000, 0.001),
            larger,
            again=1000,
        ),
        Listed(
            "cifar10-flow",
            "Flow matching on the paper's data, 3,072 pixels, with a network that a CPU can begin to train.",
            _on_a_cpu("cifar10-flow", "unet-patch", 64, 1000, 0.002),
            cifar10,
            again=0,
        ),
        Listed(
            "fashion-mnist-ddim",
            "DDIM on 784 pixels.",
            _on_a_cpu("fashion-mnist-ddim", "mlp-wide", 256, 1000, 0.001),
            dataclasses.replace(larger, pairings=(*LARGER[:4], COARSE)),
            again=1000,
        ),
        Listed(
            "digits-conditional",
            "Flow matching on digits told apart by class: does assignment harm where there is a condition, "
            "and does assigning within the class mend it?",
            dataclasses.replace(flow, class_conditional=True),
            Plan(("independent", "nearest:8", "assigned", "assigned:within", COARSE), points=2),
            again=0,
        ),
        Listed(
            "digits-ddim-std",
            "Scaling the images instead of pairing (Fig. 8), DDIM.",
            named_experiment("digits-ddim"),
            Plan(("independent",), points=4, image_stds=(0.5, 1.0, 2.0, 4.0)),
            again=0,
        ),
        Listed(
            "digits-consistency",
            "Consistency training on 64 pixels.",
            named_experiment("digits-consistency"),
            Plan(
                ("independent", "nearest:4", "assigned", COARSE), evaluations=(1, 2, 4), judged_at=1, points=2
            ),
            again=0,
        ),
        Listed(
            "cifar10-ddim",
            "DDIM on the paper's data with a network that a CPU can begin to train.",
            _on_a_cpu("cifar10-ddim", "unet-patch", 64, 1000, 0.002),
            cifar10,
            again=0,
        ),
    )


def chosen_comparisons(names: Sequence[str]) -> tuple[Listed, ...]:
    """The comparisons of these names, or all; ValueError for an unknown one."""
    listed = {one.name: one for one in listed_comparisons()}
    for name in names:
        if name not in listed:
            raise ValueError(unknown("comparison", name, listed))
    return tuple(listed[name] for name in names or listed)


def _on_a_cpu(name: str, network: str, batch_size: int, steps: int, learning_rate: float) -> Experiment:
    """A named experiment with a network and a length that one core has time for."""
    return dataclasses.replace(
        named_experiment(name),
        network=network,
        batch_size=batch_size,
        steps=steps,
        learning_rate=learning_rate,
        warmup_steps=50,
        ema_decay=0.99,
    )
