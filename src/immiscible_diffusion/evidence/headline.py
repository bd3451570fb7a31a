"""The evidence in a table and a sentence a pairing: what the README's first screen says."""

from statistics import median

from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.evidence.effects import (
    Effect,
    percent,
    percent_change,
    unconditional_effects,
    vanilla_distance,
)
from immiscible_diffusion.evidence.result import Result

FEWEST_SEEDS = 3  # one seed or two bound nothing
SHOWN = 3  # pairings that the table has columns for


def headline(results: dict[str, Result]) -> str:
    """What the pairings that were tried in most comparisons change, at few evaluations and at many."""
    found = [e for e in unconditional_effects(results) if len(e.change.per_seed) >= FEWEST_SEEDS]
    if not found:
        return f"Nothing has been measured with {FEWEST_SEEDS} seeds yet.\n"
    tried: dict[str, set[str]] = {}
    for effect in found:
        tried.setdefault(effect.pairing, set()).add(effect.comparison)
    columns = sorted(tried, key=lambda pairing: -len(tried[pairing]))[:SHOWN]
    shown = [name for name in results if any(name in tried[pairing] for pairing in columns)]
    by = {(e.comparison, e.pairing, e.evaluations): e for e in found}
    lines = [
        f"Change of the distance against vanilla, {FEWEST_SEEDS} seeds or more, small networks on a CPU, "
        "Fréchet distance in a classifier's features, which is not FID; negative is better, **bold** stands "
        "out of seed noise:\n",
        "| comparison (evaluations) | vanilla | " + " | ".join(f"`{pairing}`" for pairing in columns) + " |",
        "|---|" + "---:|" * (1 + len(columns)),
    ]
    for name in shown:
        few, *_, many = results[name].comparison.evaluations
        baseline = vanilla_distance(results[name])
        cells = [f"{say.number(baseline[few])} → {say.number(baseline[many])}"]
        cells += [
            " → ".join(percent_change(by[name, pairing, n]) for n in (few, many))
            if (name, pairing, few) in by
            else ""
            for pairing in columns
        ]
        lines.append(f"| {name} ({few} → {many}) | {' | '.join(cells)} |")
    verdicts = [f"`{pairing}` {_verdict(found, results, pairing)}" for pairing in columns]
    return "\n".join([*lines, "", f"Beyond seed noise, {'; '.join(verdicts)}."]) + "\n"


def _verdict(found: list[Effect], results: dict[str, Result], pairing: str) -> str:
    """How often a pairing helps and harms, with the fewest evaluations and with the most."""
    words = []
    for place, name in ((0, "few"), (-1, "many")):
        chosen = [
            e
            for e in found
            if e.pairing == pairing and e.evaluations == results[e.comparison].comparison.evaluations[place]
        ]
        helps, harms = (
            sum(e.outcome in kind for e in chosen) for kind in (("helps",), ("harms", "diverged"))
        )
        middle = percent(median(e.change.value for e in chosen))
        words.append(
            f"helps in {helps} of {len(chosen)} and harms in {harms} at {name} evaluations (median {middle})"
        )
    return say.listed(words)
