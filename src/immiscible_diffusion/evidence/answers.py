"""The questions that the evidence was gathered for, answered in sentences made of its numbers."""

from statistics import mean

from immiscible_diffusion.comparison import Estimate, mean_over_seeds
from immiscible_diffusion.evidence.alike import lengths, predictions, windows
from immiscible_diffusion.evidence.effects import (
    Effect,
    best_of_nearest,
    compares_pairings_alone,
    effects,
    effects_by_pairing,
    percent,
    percent_change,
    plain_k,
    shown_change,
)
from immiscible_diffusion.evidence.harm import harm
from immiscible_diffusion.evidence.held_out import held_out_changes
from immiscible_diffusion.evidence.result import Result
from immiscible_diffusion.pairing import without_level


def answers(results: dict[str, Result]) -> str:
    """A paragraph a question."""
    found = _unconditional(results)
    parts = [
        _where(found, results),
        _against(
            found,
            results,
            "**Does it help to pair where noise is high only (`above`)?**",
            [
                ("assigned", "assigned:above"),
                ("nearest:8", "nearest:8:above"),
            ],
        ),
        _levels(found, results),
        _against(
            found,
            results,
            "**Which noise for one image at a time, where noise is high only?** A larger k leans more and "
            "shortens more; `rescaled` and `dot` keep the length.",
            [
                ("nearest:8:above", "nearest:64:rescaled:above"),
                ("nearest:8:above", "nearest:64:dot:above"),
            ],
        ),
        predictions(results),
        lengths(results),
        windows(results),
        _which_k(results),
        _rule(found, results),
        _centring(found, results),
        _against(
            found,
            results,
            "**Does it help to choose in whitened axes, or on coarse blocks?**",
            [
                ("nearest:8", "nearest:8:whitened"),
                ("nearest:8:dot", "nearest:8:dot:whitened"),
                ("nearest:8", "nearest:8:coarse2"),
            ],
        ),
        _against(
            found,
            results,
            "**Does it help to bring paired noise back to the mean and std of N(0, I)?**",
            [
                ("nearest:8", "nearest:8:rescaled"),
                ("nearest:8:coarse2", "nearest:8:coarse2:rescaled"),
            ],
        ),
        _against(
            found,
            results,
            "**Does it help to pair in the first half of training only, or in the second?**",
            [
                ("nearest:8", "nearest:8:until50"),
                ("assigned", "assigned:until50"),
                ("nearest:8", "nearest:8:from50"),
            ],
        ),
        harm(results),
        _conditional(results),
        _other_features(results),
        _copies(results),
        held_out_changes(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _where(found: list[Effect], results: dict[str, Result]) -> str:
    words = []
    for place, name in ((0, "fewest"), (-1, "most")):
        chosen = _at(found, results, place)
        counts = {kind: sum(e.outcome == kind for e in chosen) for kind in ("helps", "harms", "cannot tell")}
        words.append(
            f"with the {name} evaluations pairing stands out as better in {counts['helps']} of {len(chosen)} "
            f"cases (pairing × comparison) and as worse in {counts['harms']}"
        )
    return f"**Does pairing help, and where?** Without conditions, {'; '.join(words)}."


def _which_k(results: dict[str, Result]) -> str:
    lines = []
    for name, result in results.items():
        if not compares_pairings_alone(result):
            continue
        best = {n: best_of_nearest(result, n) for n in result.comparison.evaluations}
        said = [f"{plain_k(e.pairing)} at {n} ({percent_change(e)})" for n, e in best.items() if e]
        if said:
            lines.append(f"- {name}: {', '.join(said)}")
    question = (
        "**At what k?** The best of `nearest:k`, k of 2, 4, 8, 16 and 64, and its change against vanilla "
        "(the best of five, chosen after seeing them, flatters itself):"
    )
    return "\n".join([question, *lines]) if lines else ""


def _levels(found: list[Effect], results: dict[str, Result]) -> str:
    lines = []
    for name, result in results.items():
        most = result.comparison.evaluations[-1]
        changes = {e.pairing: e for e in found if e.comparison == name and e.evaluations == most}
        levels = sorted(
            (level, f"{percent_change(effect)} above {level:g}")
            for pairing, effect in changes.items()
            for plain, level in [without_level(pairing)]
            if plain == "assigned" and isinstance(level, float)
        )
        if len(levels) > 1 and "assigned:above" in changes:
            measured = f"{percent_change(changes['assigned:above'])} above the level measured on the data"
            lines.append(f"- {name}, at {most}: {measured}; {', '.join(said for _, said in levels)}")
    question = (
        "**How high must noise be to be paired?** `assigned:above` measures it on the data: the level below "
        "which an image is told from all others. Change against vanilla by level:"
    )
    return "\n".join([question, *lines]) if lines else ""


def _rule(found: list[Effect], results: dict[str, Result]) -> str:
    return _against(
        found,
        results,
        "**How much of it is shorter noise, and is `dot` better than `l2`?** `dot` leaves the noise's length "
        "alone.",
        [("nearest:8", "nearest:8:dot"), ("nearest:64", "nearest:64:dot")],
    )


def _centring(found: list[Effect], results: dict[str, Result]) -> str:
    pairs = [(f"nearest:{k}:uncentred", f"nearest:{k}") for k in (4, 8, 64)]
    pairs.append(("nearest:8:dot:uncentred", "nearest:8:dot"))
    return _against(found, results, "**Does centring help?**", pairs)


def _against(
    found: list[Effect], results: dict[str, Result], question: str, pairs: list[tuple[str, str]]
) -> str:
    """Two pairings side by side, wherever both ran."""
    lines = []
    for name in results:
        for one, other in pairs:
            by = {(e.pairing, e.evaluations): e.change.value for e in found if e.comparison == name}
            counts = [n for n in results[name].comparison.evaluations if (one, n) in by and (other, n) in by]
            if counts:
                said = [" / ".join(percent(by[p, n]) for n in counts) for p in (one, other)]
                lines.append(
                    f"- {name}, at {' / '.join(map(str, counts))}: `{one}` {said[0]}, `{other}` {said[1]}"
                )
    return "\n".join([f"{question} Change against vanilla:", *lines]) if lines else ""


def _conditional(results: dict[str, Result]) -> str:
    lines = [
        f"- {name}, `{pairing}`, at {' / '.join(str(effect.evaluations) for effect in found)}: "
        + " / ".join(map(percent_change, found))
        for name, result in results.items()
        if result.comparison.settings["class_conditional"]
        for pairing, found in effects_by_pairing(result).items()
    ]
    question = "**Does pairing harm conditional models?** Change against vanilla:"
    return "\n".join([question, *lines]) if lines else ""


def _other_features(results: dict[str, Result]) -> str:
    """The same images in the features of another network: do both call the same pairings better?"""
    lines = [
        f"| {name}, {pairing} | " + " | ".join(map(shown_change, changes)) + " |"
        for name, result in results.items()
        for pairing, changes in _by_features(result).items()
    ]
    if not lines:
        return ""
    return "\n".join(
        [
            "**Do other features say the same?** Change against vanilla at the most evaluations, in the "
            "features used everywhere else here, and in the second network's:\n",
            "| comparison, pairing | first | second |",
            "|---|---:|---:|",
            *lines,
        ]
    )


def _by_features(result: Result) -> dict[str, list[Estimate]]:
    """Each pairing's change at the most evaluations, one for each of two feature networks."""
    most, base = result.comparison.evaluations[-1], result.comparison.baseline
    found: dict[tuple[str, str], dict[int, float]] = {}
    for one in result.again:
        if (one.start, one.real) == ("gaussian", "training"):
            found.setdefault((one.pairing, one.features), {})[one.seed] = one.frechet[most]
    networks = list(dict.fromkeys(features for _, features in found))
    changes = {}
    for pairing in dict.fromkeys(pairing for pairing, _ in found if pairing != base):
        each = [(found.get((pairing, f), {}), found.get((base, f), {})) for f in networks]
        if len(networks) == 2 and all(own.keys() & vanilla.keys() for own, vanilla in each):
            changes[pairing] = [
                mean_over_seeds([(own[s] - vanilla[s]) / mean(vanilla.values()) for s in own if s in vanilla])
                for own, vanilla in each
            ]
    return changes


def _copies(results: dict[str, Result]) -> str:
    lines = []
    for name, result in results.items():
        by: dict[str, list[float]] = {}
        for run in result.runs:
            by.setdefault(run.pairing, []).append(
                run.memorisation.distance / run.memorisation.training_distance
            )
        own = mean(by.pop(result.comparison.baseline))
        if by:
            nearest = min(by, key=lambda pairing: mean(by[pairing]))
            lines.append(f"{name} {own:.2f}, nearest under {nearest}: {mean(by[nearest]):.2f}")
    return (
        "**Does it overfit small sets?** Median distance of generated images to their nearest training image "
        f"over that between training images, vanilla's first: {'; '.join(lines)}."
    )


def _unconditional(results: dict[str, Result]) -> list[Effect]:
    """Effects of pairings alone: one image std, no labels."""
    return [
        effect for result in results.values() if compares_pairings_alone(result) for effect in effects(result)
    ]


def _at(found: list[Effect], results: dict[str, Result], place: int) -> list[Effect]:
    return [e for e in found if e.evaluations == results[e.comparison].comparison.evaluations[place]]
