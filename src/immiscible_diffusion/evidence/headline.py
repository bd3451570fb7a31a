"""The evidence in a table and a sentence a pairing: what the README's first screen says."""

from collections import Counter
from statistics import median

from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.evidence.alike import least_distances
from immiscible_diffusion.evidence.effects import (
    FEWEST_SEEDS,
    Effect,
    compares_pairings_alone,
    effects_by_pairing,
    few_and_many,
    percent,
    vanilla_distance,
)
from immiscible_diffusion.evidence.result import Result

SHOWN = 3  # pairings that the table has columns for


def headline(results: dict[str, Result]) -> str:
    """What the pairings that were tried in most comparisons change, at few evaluations and at many."""
    found = {name: _bounded(result) for name, result in results.items() if compares_pairings_alone(result)}
    tried = Counter(pairing for by in found.values() for pairing in by)
    if not tried:
        return f"Nothing has been measured with {FEWEST_SEEDS} seeds yet.\n"
    columns = [pairing for pairing, _ in tried.most_common(SHOWN)]
    lines = [
        f"Change of the distance against vanilla, {FEWEST_SEEDS} seeds or more, small networks on a CPU, "
        "Fréchet distance in a classifier's features, which is not FID; negative is better, **bold** stands "
        "out of seed noise:\n",
        "| comparison (evaluations) | vanilla | " + " | ".join(f"`{pairing}`" for pairing in columns) + " |",
        "|---|" + "---:|" * (1 + len(columns)),
    ]
    for name, by in found.items():
        if not any(pairing in by for pairing in columns):
            continue
        few, *_, many = results[name].comparison.evaluations
        vanilla = vanilla_distance(results[name])
        cells = [f"{say.number(vanilla[few])} → {say.number(vanilla[many])}"]
        cells += [few_and_many(by[pairing]) if pairing in by else "" for pairing in columns]
        lines.append(f"| {name} ({few} → {many}) | {' | '.join(cells)} |")
    said = ["Beyond seed noise:\n"]
    for pairing in columns:
        changes = [by[pairing] for by in found.values() if pairing in by]
        said.append(f"- `{pairing}`: {_verdict(changes, 0, 'few')}; {_verdict(changes, -1, 'many')}")
    said += [f"- {sentence}" for sentence in least_distances(results)]
    return "\n".join([*lines, "", *said]) + "\n"


def _bounded(result: Result) -> dict[str, list[Effect]]:
    """The effects of the pairings that ran with enough seeds."""
    return {
        pairing: found
        for pairing, found in effects_by_pairing(result).items()
        if len(found[0].change.per_seed) >= FEWEST_SEEDS
    }


def _verdict(changes: list[list[Effect]], place: int, name: str) -> str:
    """How often a pairing helps and harms at one end of the evaluations."""
    chosen = [found[place] for found in changes]
    helps = sum(e.outcome == "helps" for e in chosen)
    harms = sum(e.outcome in ("harms", "diverged") for e in chosen)
    middle = percent(median(e.change.value for e in chosen))
    return (
        f"at {name} evaluations better in {helps} and worse in {harms} of {len(chosen)} comparisons "
        f"(median {middle})"
    )
