"""The evidence in short: what the README's first screen says, and the table behind it."""

from statistics import median

from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.evidence.best import best_of_objectives
from immiscible_diffusion.evidence.effects import (
    FEWEST_SEEDS,
    Effect,
    change_row,
    compares_pairings_alone,
    effects_by_pairing,
    percent,
    summaries,
)
from immiscible_diffusion.evidence.result import Result

SHOWN = ("assigned:above", "assigned", "nearest:8")  # ours, what it is made of, and the paper's


def headline(results: dict[str, Result], brief: bool = False) -> str:
    """How often each of a few pairings helps and harms, and what can be got with it.

    brief: for the README; without what lies between few evaluations and many.
    """
    found = _found(results)
    columns = _columns(found)
    if not columns:
        return f"Nothing has been measured with {FEWEST_SEEDS} seeds yet.\n"
    said = ["Objective by objective, against vanilla, beyond seed noise:\n"]
    for pairing in columns:
        changes = [by[pairing] for by in found.values() if pairing in by]
        verdicts = f"{_verdict(changes, 0, 'few')}; {_verdict(changes, -1, 'many')}"
        sooner = _sooner([results[name] for name, by in found.items() if pairing in by], pairing)
        said.append(f"- `{pairing}`: {verdicts}; {sooner}")
    table = best_of_objectives(results, columns, brief)
    if table:
        said += [
            f"\n{_distances(results)} after the same training, lower is better, ± half a 95 % interval over "
            "seeds. Vanilla and each pairing are given the objective (in brackets) that suits it best, so "
            "every column is the least of as many tries:\n",
            table.rstrip("\n"),
        ]
    return "\n".join(said) + "\n"


def changes_table(results: dict[str, Result]) -> str:
    """What those pairings change in every comparison, at few evaluations and at many; "" without any."""
    found = _found(results)
    columns = _columns(found)
    lines = [
        f"Change of the distance against vanilla, {FEWEST_SEEDS} seeds or more, few evaluations → many; "
        "negative is better, **bold** stands out of seed noise:\n",
        "| comparison (evaluations) | vanilla | " + " | ".join(f"`{pairing}`" for pairing in columns) + " |",
        "|---|" + "---:|" * (1 + len(columns)),
    ]
    for name, by in found.items():
        if not any(pairing in by for pairing in columns):
            continue
        head, cells = change_row(results[name], by, columns)
        lines.append(f"| {head} | {cells} |")
    return "\n".join(lines) + "\n" if columns else ""


def _found(results: dict[str, Result]) -> dict[str, dict[str, list[Effect]]]:
    return {name: _bounded(result) for name, result in results.items() if compares_pairings_alone(result)}


def _columns(found: dict[str, dict[str, list[Effect]]]) -> list[str]:
    """Those of the pairings to show that were tried."""
    return [pairing for pairing in SHOWN if any(pairing in by for by in found.values())]


def _distances(results: dict[str, Result]) -> str:
    networks = dict.fromkeys(one.comparison.feature_network for one in results.values())
    return f"Fréchet distance (features {say.listed(list(networks))}, so no FID)"


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


def _sooner(results: list[Result], pairing: str) -> str:
    """In how many comparisons the pairing needs fewer steps than vanilla to vanilla's best distance."""
    ratios = [
        summary.reach[result.comparison.judged_at].speed_up
        for result in results
        for summary in summaries(result)
        if summary.pairing == pairing
    ]
    ahead = [ratio.value for ratio in ratios if ratio.interval is not None and ratio.interval.low > 1]
    if not ahead:
        return "vanilla's best distance is reached in fewer steps in none"
    span = say.listed([say.speed_up(value) for value in dict.fromkeys((min(ahead), max(ahead)))])
    return (
        f"vanilla's best distance is reached in fewer steps in {len(ahead)} ({span.replace(' and ', ' to ')})"
    )
