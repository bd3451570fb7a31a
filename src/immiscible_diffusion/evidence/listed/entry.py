"""What one comparison of the evidence is, and what several have in common."""

import dataclasses
from dataclasses import dataclass

from immiscible_diffusion.comparison import Plan, variants
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.experiments import named_experiment

COARSE = "nearest:8:coarse2:rescaled"
LONGEST = ("independent", "nearest:8", "assigned", COARSE)  # what the largest and longest runs have time for
ABOVE, NEAREST_ABOVE = "assigned:above", "nearest:8:above"
# What is compared on every data set under every objective of the paper: k, both rules, centred and not.
SWEEP = (
    "independent",
    "nearest:8",
    "assigned",
    ABOVE,
    "nearest:2",
    "nearest:4",
    "nearest:16",
    "nearest:64",
    "nearest:8:uncentred",
    "nearest:8:dot",
    "nearest:8:dot:uncentred",
)
# Where noise is high only, a larger k is affordable, if the noise keeps its length: two ways to that.
SHARPEST_ABOVE, DOT_ABOVE = "nearest:64:rescaled:above", "nearest:64:dot:above"
NOISIER, NOISIEST = -0.6, 0.0  # EDM's log_mean, whose own is -1.2


@dataclass(frozen=True)
class Listed:
    """One comparison. name: of results/NAME.json. question: what it is run for, for the page.

    plan: all pairings. again: images for each start and feature network that finished runs are measured
    with again; 0 for none.
    compile: torch.compile the networks for training. command: that makes it, where the driver's does not.
    aside: it answers a question of its own, and is left out of the summary.
    """

    name: str
    question: str
    experiment: Experiment
    plan: Plan
    again: int = 0
    compile: bool = False
    command: str = ""
    aside: bool = False

    def runs(self) -> list[tuple[str, Experiment]]:
        """All runs, by the name of their curve, in the order to make them in.

        A seed comes before the next, so that what is there at any moment can be compared.
        """
        return [
            (kind, dataclasses.replace(one, seed=one.seed + number))
            for number in range(self.plan.seeds)
            for kind, one in variants(self.experiment, self.plan).items()
        ]


def on_a_cpu(name: str, network: str, batch_size: int, steps: int, learning_rate: float) -> Experiment:
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
