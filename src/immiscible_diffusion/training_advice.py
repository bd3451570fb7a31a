"""Whether what a run's network predicts, and the noise that it trains at, suit its pairing."""

from immiscible_diffusion.objectives import EDM, Diffusion, Objective

STRONG = ("assigned", "semidiscrete")  # that move noise by whole standard deviations, not a fraction of one
USUAL = EDM().log_mean


def training_advice(objective: Objective, pairing: str, pretrained: bool = False) -> str | None:
    """Advise, in a line, on what stands in a pairing's way; None where nothing is known to.

    pretrained: the network's weights come from elsewhere, and what it predicts with them. docs/results.md has
    the measurements.
    """
    if pairing == "independent" or pretrained:
        return None
    if isinstance(objective, Diffusion) and objective.prediction == "epsilon":
        return (
            "note: paired noise tells of its image where noise is high, and a network that predicts the "
            "noise can hardly say so there; on small images pairing did far better with --prediction v "
            "(docs/results.md)"
        )
    if isinstance(objective, EDM) and objective.log_mean <= USUAL and pairing.startswith(STRONG):
        return (
            "note: paired noise tells of its image where noise is high, and EDM's own levels are mostly low; "
            f"on small images {pairing} did better with --log-mean 0 (docs/results.md)"
        )
    return None
