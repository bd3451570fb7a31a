"""Where harm at many evaluations comes from: noise that training never showed, or a worse network."""

from immiscible_diffusion.evidence.effects import shown_again
from immiscible_diffusion.evidence.result import Result

STARTS = ("gaussian", "marginal", "paired")


def harm(results: dict[str, Result]) -> str:
    """Every pairing's change at the most evaluations by where sampling starts, beside its noise's moments."""
    tables = [
        _table(name, result)
        for name, result in results.items()
        if any(one.start == "marginal" for one in result.again)
    ]
    if not tables:
        return ""
    opening = (
        "**Where does harm at many evaluations come from?** The same networks, sampled from N(0, I), from a "
        "Gaussian of the mean and std that the pairing left its noise (`--start marginal`), and from noise "
        "that the pairing gave to training images (a diagnosis: it needs them). What the last start mends "
        "was the start's fault; what it leaves was learned worse. Change against vanilla from N(0, I), same "
        "seeds. Shorter noise changes vanilla, too, as the first row says: judge a marginal against that. "
        "Lean: mean projection of the noise on its image's direction, in σ; std and mean: of all noise."
    )
    return "\n\n".join([opening, *tables])


def _table(name: str, result: Result) -> str:
    comparison = result.comparison
    most = comparison.evaluations[-1]
    asked = [
        one for one in result.again if (one.features, one.real) == (comparison.feature_network, "training")
    ]
    vanilla = {
        a.seed: a.frechet[most] for a in asked if (a.pairing, a.start) == (comparison.baseline, "gaussian")
    }

    def change(pairing: str, start: str) -> str:
        return shown_again([a for a in asked if (a.pairing, a.start) == (pairing, start)], vanilla, most)

    lines = [
        f"{name}, {most} evaluations:\n",
        "| pairing | lean | std | mean | from N(0, I) | from its marginal | from paired noise |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    if short := change(comparison.baseline, "std 0.9"):
        lines.append(f"| {comparison.baseline}, started at std 0.9 | | | | {short} | | |")
    for pairing in dict.fromkeys(a.pairing for a in asked if a.pairing != comparison.baseline):
        moments = result.marginals.get(pairing, {})
        shown = [f"{moments[key]:.2f}" if key in moments else "" for key in ("lean", "std", "mean length")]
        cells = [change(pairing, start) for start in STARTS]
        lines.append(f"| {pairing} | {' | '.join(shown)} | {' | '.join(cells)} |")
    return "\n".join(lines)
