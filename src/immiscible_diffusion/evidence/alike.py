"""Comparisons that differ in one thing: what the network predicts, at which times, or for how long."""

import json
from collections import Counter
from collections.abc import Callable

from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.evidence.effects import (
    change_row,
    compares_pairings_alone,
    effects_by_pairing,
    few_and_many,
)
from immiscible_diffusion.evidence.result import Result, with_later_settings

# Settings that name or measure a comparison, or follow from its objective.
PASSED_OVER = ("name", "pairing", "sampler", "points", "features", "runs at once")
PREDICTED = {
    "FlowMatching": "noise − image",
    "EDM": "image where noise is high, noise where it is low",
    "Consistency": "image, one step",
}


def predictions(results: dict[str, Result]) -> str:
    """The same data, network and steps under several objectives: what pairing does to each."""
    tables = [_prediction_table(group) for group in differing_in_objective(results) if len(group) > 1]
    opening = (
        "**Does it matter what the network predicts, and at which times it trains?** The same data, network, "
        "steps and images; vanilla's distance and the change against it, few evaluations → many. Paired "
        "noise tells of its image where noise is high. A network that predicts the noise can say so there "
        "only through a factor √ᾱ/√(1 − ᾱ), nearly 0; one that seldom trains there does not learn it."
    )
    return "\n\n".join([opening, *tables]) if tables else ""


def differing_in_objective(results: dict[str, Result]) -> list[list[Result]]:
    """Comparisons that differ in their objective alone, without labels and at one image std, in groups.

    Consistency models are no part of them: their images take one evaluation, not five.
    """
    several = {name: result for name, result in results.items() if result.comparison.evaluations[0] > 1}
    return [group for group in _alike(several, "objective") if compares_pairings_alone(group[0])]


def lengths(results: dict[str, Result]) -> str:
    """The same comparison trained for longer: does the verdict stay?"""
    lines = _by_setting(results, "steps", lambda steps: f"after {say.steps(steps)}")
    question = (
        "**Does longer training change the verdict?** Change against vanilla after as many steps, few "
        "evaluations → many:"
    )
    return "\n".join([question, *lines]) if lines else ""


def windows(results: dict[str, Result]) -> str:
    """The same comparison with the noise of several steps paired as one pool."""
    lines = _by_setting(
        results, "pairing_window", lambda w: f"in pools of {w} batches" if w > 1 else "batch by batch"
    )
    question = (
        "**Is a pool of several batches better than a batch?** `--pairing-window`: the noise of so many "
        "steps is drawn and assigned as one. Change against vanilla, few evaluations → many:"
    )
    return "\n".join([question, *lines]) if lines else ""


def _by_setting(results: dict[str, Result], setting: str, said_of: Callable[[int], str]) -> list[str]:
    """A line for each pairing of comparisons that differ in one setting alone, from its least value up."""
    lines = []
    for group in _alike(results, setting):
        values = {one.name: with_later_settings(one.comparison.settings)[setting] for one in group}
        group.sort(key=lambda one: values[one.name])
        by = [effects_by_pairing(one) for one in group]
        for pairing in by[0] if len(group) > 1 else ():
            said = [
                f"{few_and_many(found[pairing])} {said_of(values[one.name])}"
                for one, found in zip(group, by, strict=True)
                if pairing in found
            ]
            if len(said) == len(group):
                lines.append(f"- {group[0].name}, `{pairing}`: {', '.join(said)}")
    return lines


def _prediction_table(group: list[Result]) -> str:
    by = [effects_by_pairing(one) for one in group]
    tried = Counter(pairing for found in by for pairing in found)
    columns = [pairing for pairing, count in tried.items() if 2 * count > len(group)]
    lines = [
        "| comparison (evaluations) | predicts | vanilla | " + " | ".join(f"`{p}`" for p in columns) + " |",
        "|---|---|---:|" + "---:|" * len(columns),
    ]
    for one, found in zip(group, by, strict=True):
        head, cells = change_row(one, found, columns)
        lines.append(f"| {head} | {_predicted(one)} | {cells} |")
    return "\n".join(lines)


def _predicted(result: Result) -> str:
    objective = result.comparison.settings["objective"]
    if objective["kind"] == "Diffusion":
        return {"epsilon": "noise", "v": "√ᾱ noise − √(1 − ᾱ) image"}[objective["prediction"]]
    for setting, level in (("logit_mean", "logit t"), ("log_mean", "ln σ")):
        if (mean := objective.get(setting)) is not None:
            std = objective[setting.replace("mean", "std")]
            return f"{PREDICTED[objective['kind']]}, trained at {level} ~ N({_number(mean)}, {_number(std)}²)"
    return PREDICTED[objective["kind"]]


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _alike(results: dict[str, Result], differing: str) -> list[list[Result]]:
    """The results in groups whose settings agree but for one and what follows from it."""
    groups: dict[str, list[Result]] = {}
    for result in results.values():
        settings = {
            name: value
            for name, value in with_later_settings(result.comparison.settings).items()
            if name not in (*PASSED_OVER, differing)
        }
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(result)
    return list(groups.values())
