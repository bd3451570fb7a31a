"""Vanilla and each pairing under whichever objective suits it best: what a user who may choose can get."""

from immiscible_diffusion.comparison import Summary
from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.evidence.alike import differing_in_objective
from immiscible_diffusion.evidence.effects import FEWEST_SEEDS, summaries
from immiscible_diffusion.evidence.result import Result

BASELINE = "vanilla"


def best_of_objectives(results: dict[str, Result], pairings: list[str], brief: bool = False) -> str:
    """A table: data and evaluations down, vanilla and `pairings` across, each the least over the objectives.

    Only objectives under which all of them ran with `FEWEST_SEEDS` seeds or more count, so that every column
    is the least of as many tries; where there is none, those pairings that ran under every objective stand
    beside vanilla. "" where there are none either. brief: the fewest evaluations and the most only.
    """
    lines = []
    for group in differing_in_objective(results):
        whole, columns = _comparable(group, pairings)
        if not columns:
            continue
        counts = sorted(set.intersection(*(set(found[BASELINE].distance) for found in whole.values())))
        settings = group[0].comparison.settings
        data = settings["data"]
        tries = f"{len(whole)} objective{'' if len(whole) == 1 else 's'}"
        for n in (counts[0], counts[-1]) if brief else counts:
            cells = [
                _least(whole, column, n, f"{data}-") if column in columns else ""
                for column in (BASELINE, *pairings)
            ]
            lines.append(
                f"| {data}, {say.steps(settings['steps'])} steps ({tries}), {n} | {' | '.join(cells)} |"
            )
    head = [
        "| data, evaluations | vanilla | " + " | ".join(f"`{pairing}`" for pairing in pairings) + " |",
        "|---|" + "---:|" * (1 + len(pairings)),
    ]
    return "\n".join([*head, *lines]) + "\n" if lines else ""


def _comparable(group: list[Result], pairings: list[str]) -> tuple[dict[str, dict[str, Summary]], list[str]]:
    """Summaries of the comparisons that count, by name and pairing, and the pairings to show of them."""
    ran = {one.name: found for one in group if BASELINE in (found := _enough(one))}
    whole = {name: found for name, found in ran.items() if set(pairings) <= set(found)}
    ran = whole or ran
    shared = [pairing for pairing in pairings if all(pairing in found for found in ran.values())]
    return ran, [BASELINE, *shared] if ran and shared else []


def _enough(result: Result) -> dict[str, Summary]:
    """Summaries with `FEWEST_SEEDS` seeds or more by pairing, vanilla's by `BASELINE`."""
    vanilla, *others = summaries(result)
    named = {BASELINE: vanilla} | {summary.pairing: summary for summary in others}
    return {name: summary for name, summary in named.items() if len(summary.seeds) >= FEWEST_SEEDS}


def _least(whole: dict[str, dict[str, Summary]], column: str, evaluations: int, prefix: str) -> str:
    name = min(whole, key=lambda one: whole[one][column].distance[evaluations].value)
    distance = say.mean_with_interval(whole[name][column].distance[evaluations])
    return f"{distance} ({name.removeprefix(prefix)})"
