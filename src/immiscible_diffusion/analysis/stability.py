"""How far must a noise move before its image becomes another? §3.1, Eq. 1 and Figure 2 of the paper."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from immiscible_diffusion.analysis.finding import Finding
from immiscible_diffusion.analysis.image_grids import plot_grid
from immiscible_diffusion.analysis.perturbation import (
    KEPT,
    Floats,
    Movement,
    Noises,
    draw_noises,
    interval_over_origins,
    largest_kept,
    measure_movement,
)
from immiscible_diffusion.analysis.progress import progress
from immiscible_diffusion.analysis.trained_runs import Group, TrainedRuns
from immiscible_diffusion.comparison import mean_over_seeds
from immiscible_diffusion.comparison.formatting import signed
from immiscible_diffusion.evaluation import FeatureNetwork, classifier_for
from immiscible_diffusion.figures import (
    DOTTED,
    FONT_SIZE,
    LIGHT,
    dress,
    footnote,
    legend,
    line,
    new_figure,
    styles_for,
    to_png,
)
from immiscible_diffusion.randomness import derived_seed

STRENGTHS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
ROWS = 6  # of a grid of images
MEASURES = ("pixels", "features", "changed")


def stability(
    runs: TrainedRuns,
    features: FeatureNetwork,
    *,
    strengths: Sequence[float] = STRENGTHS,
    origins: int = 32,
    perturbations: int = 10,
    evaluations: int = 20,
    renormalised: bool = False,
    seed: int = 0,
) -> Finding:
    """Perturb noises by N_orig + W · N_pert (Eq. 1), and measure how far the images move from the origin's.

    strengths: W, 0.1 for 10 %. origins: noises to start from; perturbations: of each. All runs get the same.
    evaluations: sampler steps. renormalised: divide the sum by √(1 + W²), which the paper does not do.
    Raises ValueError for numbers out of range.
    """
    noises = draw_noises(runs.data.shape, strengths, origins, perturbations, seed, renormalised)
    classifier, said = classifier_for(features, runs.data)
    models = [model for group in runs.groups for model in group.models]
    movements = iter(
        [
            measure_movement(model, noises, features, classifier, evaluations, runs.data.labels)
            for model in progress(models, len(models), "stability")
        ]
    )
    found = {group.name: [next(movements) for _ in group.models] for group in runs.groups}
    values = {group.name: _values(group, found[group.name], noises, seed) for group in runs.groups}
    if classifier:
        _compare(runs.groups, values)
    told = "" if classifier is None else classifier.name
    return Finding(
        question="stability",
        title=f"How far a noise may move before its image changes: {runs.title}, {runs.steps}",
        sentence=_sentence(values, noises, features.name, told),
        values={
            "strengths": list(noises.strengths),
            "groups": values,
            "classes_not_told": "" if classifier else said,
        },
        settings={
            "runs": list(runs.described),
            "features": features.name,
            "classifier": told,
            "classifier_accuracy": classifier.accuracy if classifier else None,
            "strengths": list(noises.strengths),
            "origins": origins,
            "perturbations": perturbations,
            "evaluations": evaluations,
            "renormalised": renormalised,
            "seed": seed,
        },
        pictures={"": _plot(runs, found, noises, features.name, told)}
        | {
            f"images-{_file_name(group.name)}": _grid(group, found[group.name][0], noises, told)
            for group in runs.groups
        },
        warnings=runs.warnings + ((f"{said}.",) if said else ()),
    )


def _values(group: Group, found: list[Movement], noises: Noises, seed: int) -> dict[str, Any]:
    """Means over origins and seeds at every strength, both spreads, and the largest strength that keeps."""
    values: dict[str, Any] = {"seeds": list(group.seeds)}
    for number, name in enumerate(MEASURES):
        shares = [getattr(one, name) for one in found]
        if shares[0] is None:
            continue
        by_seed = np.stack([share.mean(axis=1) for share in shares])  # [S, W]
        values[name] = {
            "mean": by_seed.mean(axis=0).tolist(),
            "std_over_origins": np.mean([share.std(axis=1, ddof=1) for share in shares], axis=0).tolist(),
            "std_over_seeds": by_seed.std(axis=0, ddof=1).tolist() if len(shares) > 1 else None,
            "per_seed": by_seed.tolist(),
            "between_unrelated_images": float(np.mean([one.unrelated[number] for one in found])),
        }
    if found[0].changed is not None:
        changed = [one.changed for one in found if one.changed is not None]
        kept = [float(largest_kept(noises.strengths, share.mean(axis=1))) for share in changed]
        values["largest_kept"] = _kept(kept, changed, noises, seed)
    return values


def _kept(kept: list[float], changed: list[Floats], noises: Noises, seed: int) -> dict[str, Any]:
    """Over seeds a Student-t interval; with one, or some beyond all strengths, a bootstrap of origins."""
    estimate = mean_over_seeds(kept)
    over = "seeds"
    ends = None if estimate.interval is None else (estimate.interval.low, estimate.interval.high)
    if ends is None:
        over = "origins"
        ends = interval_over_origins(noises.strengths, changed, derived_seed(seed, "bootstrap"))
    return {
        "share_that_keeps_its_class": KEPT,
        "mean": _finite(estimate.value),  # None: above the largest strength that was tried
        "low": _finite(max(0.0, ends[0])),
        "high": _finite(ends[1]),
        "interval_over": over,
        "per_seed": [_finite(value) for value in kept],
    }


def _compare(groups: Sequence[Group], values: dict[str, dict[str, Any]]) -> None:
    """Add to every group the difference of `largest_kept` from the first group's, of equal seeds."""
    first, *others = groups
    base = dict(zip(first.seeds, values[first.name]["largest_kept"]["per_seed"], strict=True))
    for group in others:
        own = dict(zip(group.seeds, values[group.name]["largest_kept"]["per_seed"], strict=True))
        pairs = [(own[seed], base[seed]) for seed in group.seeds if seed in base]
        differences = [mine - theirs for mine, theirs in pairs if mine is not None and theirs is not None]
        if differences and len(differences) == len(pairs):
            estimate = mean_over_seeds(differences)
            values[group.name]["largest_kept"]["difference"] = {
                "from": first.name,
                "mean": estimate.value,
                "low": estimate.interval.low if estimate.interval else None,
                "high": estimate.interval.high if estimate.interval else None,
            }


def _sentence(values: dict[str, dict[str, Any]], noises: Noises, features: str, told: str) -> str:
    if not told:
        middle = len(noises.strengths) // 2
        parts = [
            f"{name} {group['features']['mean'][middle] / group['features']['between_unrelated_images']:.0%}"
            for name, group in values.items()
        ]
        return (
            f"Perturbed by W = {noises.strengths[middle]:.0%}, images move by this share of the distance "
            f"between unrelated images ({features} features): {'; '.join(parts)}."
        )
    parts = []
    for name, group in values.items():
        kept = group["largest_kept"]
        limit = noises.strengths[-1]
        ends = [_percent(kept["low"], limit), _percent(kept["high"], limit)]
        parts.append(
            f"{_percent(kept['mean'], limit)} for {name} (95 % interval {ends[0]} to {ends[1]}, "
            f"over {_counted(kept['interval_over'], group['seeds'], noises)}){_difference(kept)}"
        )
    scaled = ", sum scaled back to std 1" if noises.renormalised else ""
    return (
        f"95 % of images keep their class ({told}) while W, the weight of the perturbation{scaled}, is up to "
        f"{'; '.join(parts)}."
    )


def _difference(kept: dict[str, Any]) -> str:
    found = kept.get("difference")
    if found is None or found["low"] is None:
        return ""
    ends = f"{signed(100 * found['low'])} to {signed(100 * found['high'])}"
    clear = "" if found["low"] > 0 or found["high"] < 0 else ", which includes none"
    return f", {signed(100 * found['mean'])} points from {found['from']} ({ends}{clear})"


def _counted(over: str, seeds: Sequence[int], noises: Noises) -> str:
    return f"{len(seeds)} seeds" if over == "seeds" else f"{len(noises.origin)} origins"


def _percent(value: float | None, limit: float) -> str:
    return f"more than {limit:.0%}" if value is None else f"{value:.1%}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _grid(group: Group, movement: Movement, noises: Noises, told: str) -> bytes:
    shown = movement.images
    count = shown.shape[1]
    rows = np.array([0.0, *noises.strengths])
    wanted = np.linspace(0, rows[-1], min(ROWS, len(rows)))
    chosen = sorted({int(np.abs(rows - strength).argmin()) for strength in wanted})
    return plot_grid(
        shown[chosen],
        [f"{rows[row]:.0%}" for row in chosen],
        [str(number + 1) for number in range(count)],
        f"{group.name}, seed {group.seeds[0]}: one noise,\nperturbed by W (rows)",
        "perturbation",
        marked=None if movement.image_changed is None else movement.image_changed[chosen],
        note=f"dashed frame: class changed ({told})" if told else "",
    )


def _plot(
    runs: TrainedRuns, found: dict[str, list[Movement]], noises: Noises, features: str, told: str
) -> bytes:
    labels = {
        "pixels": ("Pixels", "RMS change (levels of 255)"),
        "features": ("Features", f"distance of {features} features"),
        "changed": ("Class", f"share of changed classes ({told})"),
    }
    shown = MEASURES if told else MEASURES[:2]
    chosen = styles_for([group.name for group in runs.groups], LIGHT)
    figure = new_figure(4.9 * len(shown), 5.9, LIGHT)
    panels = figure.subplots(1, len(shown))
    across = [0.0, *(100 * strength for strength in noises.strengths)]
    for axes, name in zip(panels, shown, strict=True):
        title, vertical = labels[name]
        dress(axes, LIGHT, title, "weight W of the perturbation (%)")
        axes.set_ylabel(vertical, fontsize=FONT_SIZE, color=LIGHT.ink)
        unrelated = []
        for group in runs.groups:
            movements = found[group.name]
            curves = np.stack([[0.0, *getattr(one, name).mean(axis=1)] for one in movements])
            style = chosen[group.name]
            if len(curves) > 1:
                axes.fill_between(
                    across,
                    curves.min(axis=0),
                    curves.max(axis=0),
                    color=style.colour,
                    alpha=0.16,
                    linewidth=0,
                )
            axes.add_line(line(style, across, curves.mean(axis=0)))
            unrelated.append(np.mean([one.unrelated[MEASURES.index(name)] for one in movements]))
        axes.axhline(float(np.mean(unrelated)), color=LIGHT.ink, linestyle=DOTTED, linewidth=1.6)
        if name == "changed":
            axes.axhline(1 - KEPT, color=LIGHT.faint, linewidth=1.2)
            look = {"fontsize": FONT_SIZE - 2, "va": "bottom", "ha": "right", "color": LIGHT.ink}
            axes.annotate("5 %", (across[-1], 1 - KEPT), **look)
        axes.autoscale_view()
        axes.set_ylim(bottom=0)
    entries = {f"{group.name} ({_seeds(group)})": line(chosen[group.name]) for group in runs.groups}
    (entries["two unrelated images"],) = panels[0].plot(
        [], [], color=LIGHT.ink, linestyle=DOTTED, linewidth=1.6
    )
    origins, perturbations = noises.perturbation.shape[:2]
    foot = f"{runs.title}, {runs.steps}; {origins} noises × {perturbations} perturbations"
    band = "; bands: range over seeds" if any(len(group.seeds) > 1 for group in runs.groups) else ""
    footnote(figure, foot + band, LIGHT)
    figure.tight_layout(rect=(0, 0.05, 1, 0.93 - 0.05 * ((len(entries) - 1) // 4)), w_pad=2)
    legend(figure, entries, 4, LIGHT)
    return to_png(figure)


def _seeds(group: Group) -> str:
    return f"seed {group.seeds[0]}" if len(group.seeds) == 1 else f"{len(group.seeds)} seeds"
