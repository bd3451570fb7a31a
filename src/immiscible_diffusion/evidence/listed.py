"""The comparisons that the evidence consists of, in the order of their worth."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from immiscible_diffusion.comparison import Plan, variants
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment
from immiscible_diffusion.objectives import Diffusion, FlowMatching
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
    "nearest:8:from50",
)
LARGER = (
    "independent",
    "nearest:8",
    "assigned",
    "nearest:8:until50",
    "nearest:8:uncentred",
    "nearest:8:coarse2",
    COARSE,
    "nearest:8:dot",
    "nearest:2",
    "nearest:4",
    "nearest:16",
    "nearest:64",
)
LONGEST = ("independent", "nearest:8", "assigned", COARSE)  # what the largest and longest runs have time for
STEPS = ("independent", "nearest:4", "assigned", COARSE)  # of consistency models; 4 is the paper's k
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
    longest = dataclasses.replace(larger, pairings=LONGEST)
    cifar10 = dataclasses.replace(longest, count=1000, features="resnet")
    # Sampling at 50 evaluations takes as long as a third of the training.
    cifar10_few = dataclasses.replace(cifar10, pairings=LONGEST[:2], evaluations=(5, 20))
    consistency = Plan(STEPS, seeds=5, evaluations=(1, 2, 4), judged_at=1, points=2)
    image_stds = Plan(("independent",), seeds=5, points=4, image_stds=(0.5, 1.0, 2.0, 4.0))
    conditional = Plan(("independent", "nearest:8", "assigned", "assigned:within", COARSE), 5, points=2)
    flow, ddim = named_experiment("digits-flow"), named_experiment("digits-ddim")
    fashion_flow = _on_a_cpu("fashion-mnist-flow", "mlp-wide", 256, 1000, 0.001)
    fashion_ddim = _on_a_cpu("fashion-mnist-ddim", "mlp-wide", 256, 1000, 0.001)
    cifar10_flow = _on_a_cpu("cifar10-flow", "unet-patch", 64, 1000, 0.002)
    cifar10_ddim = _on_a_cpu("cifar10-ddim", "unet-patch", 64, 1000, 0.002)
    return (
        Listed(
            "digits-flow",
            "Which pairing, which k, which rule, until when? Flow matching on 64 pixels.",
            flow,
            digits,
            DIGITS_TOO,
        ),
        Listed("digits-ddim", "The same for DDIM.", ddim, digits, DIGITS_TOO),
        Listed(
            "fashion-mnist-flow",
            "Flow matching on 784 pixels, whose images share half of their energy.",
            fashion_flow,
            larger,
            again=1000,
        ),
        Listed("fashion-mnist-ddim", "DDIM on 784 pixels.", fashion_ddim, larger, again=1000),
        Listed(
            "cifar10-flow",
            "Flow matching on the paper's data, 3,072 pixels, with a network that a CPU can begin to train.",
            cifar10_flow,
            cifar10,
            again=0,
        ),
        Listed(
            "cifar10-ddim",
            "DDIM on the paper's data with a network that a CPU can begin to train.",
            cifar10_ddim,
            cifar10_few,
            again=0,
        ),
        Listed(
            "digits-ddim-v",
            "DDIM that predicts v instead of the noise: does it matter what a paired network predicts?",
            dataclasses.replace(ddim, objective=Diffusion(prediction="v")),
            dataclasses.replace(longest, seeds=5, points=4),
        ),
        Listed(
            "digits-edm",
            "EDM, whose network predicts images where noise is high and noise where it is low.",
            named_experiment("digits-edm"),
            dataclasses.replace(longest, seeds=5, points=4),
        ),
        Listed(
            "digits-flow-logit1",
            "Flow matching trained more where noise is high: does pairing move the times to train at?",
            dataclasses.replace(flow, objective=FlowMatching(logit_mean=1.0)),
            dataclasses.replace(longest, seeds=5, points=4),
            again=0,
        ),
        Listed(
            "digits-flow-logit0",
            "Flow matching trained most where noise and image are even, which suits vanilla best.",
            dataclasses.replace(flow, objective=FlowMatching(logit_mean=0.0)),
            dataclasses.replace(longest, seeds=5, points=4),
            again=0,
        ),
        Listed(
            "fashion-mnist-flow-logit1",
            "Flow matching trained more where noise is high, on 784 pixels.",
            dataclasses.replace(fashion_flow, objective=FlowMatching(logit_mean=1.0)),
            longest,
            again=0,
        ),
        Listed(
            "fashion-mnist-flow-logit0",
            "Flow matching trained most where noise and image are even, on 784 pixels.",
            dataclasses.replace(fashion_flow, objective=FlowMatching(logit_mean=0.0)),
            longest,
            again=0,
        ),
        Listed(
            "fashion-mnist-ddim-v",
            "DDIM that predicts v, on 784 pixels.",
            dataclasses.replace(fashion_ddim, objective=Diffusion(prediction="v")),
            longest,
            again=0,
        ),
        Listed(
            "fashion-mnist-edm",
            "EDM on 784 pixels.",
            _on_a_cpu("fashion-mnist-edm", "mlp-wide", 256, 1000, 0.001),
            longest,
            again=0,
        ),
        Listed(
            "cifar10-ddim-v",
            "DDIM that predicts v, on the paper's data.",
            dataclasses.replace(cifar10_ddim, objective=Diffusion(prediction="v")),
            cifar10_few,
            again=0,
        ),
        Listed(
            "digits-flow-long",
            "Does longer training change the verdict? Flow matching on 64 pixels, five times the steps.",
            dataclasses.replace(flow, steps=5000),
            dataclasses.replace(longest, points=5),
            again=0,
        ),
        Listed(
            "digits-ddim-long",
            "The same for DDIM.",
            dataclasses.replace(ddim, steps=5000),
            dataclasses.replace(longest, points=5),
            again=0,
        ),
        Listed(
            "digits-conditional",
            "Flow matching on digits told apart by class: does assignment harm where there is a condition, "
            "and does assigning within the class mend it?",
            dataclasses.replace(flow, class_conditional=True),
            conditional,
            again=0,
        ),
        Listed(
            "digits-conditional-edm",
            "The same for EDM, where pairing helps most without a class.",
            dataclasses.replace(named_experiment("digits-edm"), class_conditional=True),
            conditional,
            again=0,
        ),
        Listed(
            "cifar10-conditional",
            "The same on the paper's data: is 3,072 pixels enough for the class not to matter?",
            dataclasses.replace(cifar10_flow, class_conditional=True),
            dataclasses.replace(
                conditional, seeds=3, evaluations=(5, 20), points=1, count=1000, features="resnet"
            ),
            again=0,
        ),
        Listed(
            "digits-consistency",
            "Consistency training on 64 pixels.",
            named_experiment("digits-consistency"),
            consistency,
            again=0,
        ),
        Listed(
            "fashion-mnist-consistency",
            "Consistency training on 784 pixels.",
            _on_a_cpu("fashion-mnist-consistency", "mlp-wide", 256, 1000, 0.001),
            dataclasses.replace(consistency, seeds=3),
            again=0,
        ),
        Listed(
            "cifar10-consistency",
            "Consistency training on the paper's data with a network that a CPU can begin to train.",
            _on_a_cpu("cifar10-consistency", "unet-patch", 64, 1000, 0.002),
            dataclasses.replace(consistency, seeds=3, count=1000, features="resnet"),
            again=0,
        ),
        Listed(
            "digits-ddim-std",
            "Scaling the images instead of pairing (Fig. 8), DDIM.",
            ddim,
            image_stds,
            again=0,
        ),
        Listed(
            "fashion-mnist-ddim-std",
            "The same on 784 pixels.",
            fashion_ddim,
            dataclasses.replace(image_stds, seeds=3, points=2),
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
