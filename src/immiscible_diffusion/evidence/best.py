"""Vanilla and each pairing under whichever objective suits it best: what a user who may choose can get."""

from immiscible_diffusion.comparison import Summary
from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.evidence.alike import differing_in_objective
from immiscible_diffusion.evidence.effects import FEWEST_SEEDS, summaries
from immiscible_diffusion.evidence.result import Result


def best_of_objectives(results: dict[str, Result], pairings: list[str]) -> str:
    """A table: data and evaluations down, vanilla and `pairings` across, each the least over the objectives.

    Only objectives under which all of them ran with `FEWEST_SEEDS` seeds or more count, so that every column
    is the least of as many tries. "" where there are none.
    """
    lines = []
    for group in differing_in_objective(results):
        whole = {one.name: found for one in group if (found := _all_of(one, pairings))}
        if not whole:
            continue
        counts = set.intersection(*(set(found[0].distance) for found in whole.values()))
        data = group[0].comparison.settings["data"]
        tries = f"{len(whole)} objective{'' if len(whole) == 1 else 's'}"
        for n in sorted(counts):
            cells = [_least(whole, column, n, f"{data}-") for column in range(1 + len(pairings))]
            lines.append(f"| {data} ({tries}), {n} | {' | '.join(cells)} |")
    head = [
        "| data, evaluations | vanilla | " + " | ".join(f"`{pairing}`" for pairing in pairings) + " |",
        "|---|" + "---:|" * (1 + len(pairings)),
    ]
    return "\n".join([*head, *lines]) + "\n" if lines else ""


def _all_of(result: Result, pairings: list[str]) -> list[Summary]:
    """Vanilla's summary and those of the pairings; none where one is missing or has too few seeds."""
    vanilla, *others = summaries(result)
    by = {summary.pairing: summary for summary in others}
    found = [vanilla, *(by[pairing] for pairing in pairings if pairing in by)]
    enough = all(len(summary.seeds) >= FEWEST_SEEDS for summary in found)
    return found if enough and len(found) == 1 + len(pairings) else []


def _least(whole: dict[str, list[Summary]], column: int, evaluations: int, prefix: str) -> str:
    name = min(whole, key=lambda one: whole[one][column].distance[evaluations].value)
    distance = say.mean_with_interval(whole[name][column].distance[evaluations])
    return f"{distance} ({name.removeprefix(prefix)})"
