"""Whether what a run's network predicts suits paired noise."""

from immiscible_diffusion.objectives import Diffusion, Objective


def prediction_advice(objective: Objective, pairing: str, pretrained: bool = False) -> str | None:
    """Advise, in a line, against predicting the noise where it is paired; None where there is nothing to say.

    pretrained: the network's weights come from elsewhere, and what it predicts with them. docs/results.md has
    the measurements.
    """
    predicts_noise = isinstance(objective, Diffusion) and objective.prediction == "epsilon"
    if pairing == "independent" or pretrained or not predicts_noise:
        return None
    return (
        "note: paired noise tells of its image where noise is high, and a network that predicts the noise "
        "can hardly say so there; on small images pairing did far better with --prediction v "
        "(docs/results.md)"
    )
