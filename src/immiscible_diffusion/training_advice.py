"""Whether where a run pairs, what its network predicts and the noise that it trains at go together."""

from immiscible_diffusion.objectives import EDM, Consistency, Diffusion, Objective
from immiscible_diffusion.pairing import is_staged, without_level

USUAL = EDM().log_mean


def training_advice(objective: Objective, pairing: str, pretrained: bool = False) -> str | None:
    """Advise, in a line, on what stands in a pairing's way; None where nothing is known to.

    pairing: its canonical name. pretrained: the network's weights come from elsewhere, and what it predicts
    with them. docs/results.md has the measurements.
    """
    if pairing == "independent" or pretrained:
        return None
    if isinstance(objective, Consistency):
        return (
            "note: on small images consistency models were no better with paired noise, or worse, but with "
            "assigned:above on CIFAR-10 (docs/results.md)"
        )
    everywhere = pairing != "semidiscrete" and without_level(pairing)[1] is None and not is_staged(pairing)
    predicts_noise = isinstance(objective, Diffusion) and objective.prediction == "epsilon"
    if everywhere:
        better = ", and better still with --prediction v" if predicts_noise else ""
        return (
            "note: paired noise helps where noise is high and is in the way where it is low; on small images "
            f"--pairing {_above(pairing)}, which pairs where it is high only, did far better"
            f"{better} (docs/results.md)"
        )
    if predicts_noise:
        return (
            "note: paired noise tells of its image where noise is high, and a network that predicts the "
            "noise can hardly say so there; on small images pairing did far better with --prediction v "
            "(docs/results.md)"
        )
    if isinstance(objective, EDM) and objective.log_mean <= USUAL and pairing == "semidiscrete":
        return (
            "note: paired noise tells of its image where noise is high, and EDM's own levels are mostly low; "
            f"on small images {pairing} did better with --log-mean 0 (docs/results.md)"
        )
    return None


def _above(pairing: str) -> str:
    """What does best above a level: the same, or for nearest noise of one image a larger k at full length."""
    kind, *parts = pairing.split(":")
    plain = all(part.isdecimal() or part in ("dot", "uncentred") for part in parts)
    return "nearest:64:dot:above" if kind == "nearest" and plain else f"{pairing}:above"
