"""Which k? The largest whose noise is still close enough to what sampling starts from.

Choosing among k noises spends ln k − (k − 1)/k nats on every image. Part of it tells the image
(information, `miscibility`); the rest makes paired noise differ from N(0, I) (distortion, `gaussianity`), and
both grow with k. The rule: the largest k whose shift of noise, `gaussianity.shifts`, is within a budget. The
budget is the one free number, for each kind of prediction, and was set from the k that the paper found best
(`CALIBRATION`): any number between the shift at that k and the shift at twice that k would reproduce it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from matplotlib.ticker import NullLocator

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.distance import CENTRINGS
from immiscible_diffusion.analysis.finding import Finding
from immiscible_diffusion.analysis.gaussianity import predicted_shifts
from immiscible_diffusion.analysis.posterior import posterior
from immiscible_diffusion.analysis.wording import number
from immiscible_diffusion.figures import (
    DOTTED,
    FONT_SIZE,
    LIGHT,
    Style,
    dress,
    footnote,
    legend,
    line,
    new_figure,
    styles_for,
    to_png,
)
from immiscible_diffusion.pairing import Nearest
from immiscible_diffusion.pairing.nearest import Rule
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.randomness import generator_for

KS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Calibration:
    """A best k of the paper (Table 4, uncentred, by distance), and the shifts there and at twice that k."""

    prediction: str
    data: str
    best_k: int
    shift: float
    shift_at_twice: float


# Shifts: CIFAR-10 at std 0.5, its first 10,000 images; 4×32×32 unit Gaussian vectors in the place of latents.
CALIBRATION = (
    Calibration("epsilon", "CIFAR-10, DDIM", 8, 1.17, 1.45),
    Calibration("epsilon", "Stable Diffusion latents", 64, 1.32, 1.46),
    Calibration("flow", "CIFAR-10, flow matching", 4, 0.85, 1.17),
    Calibration("consistency", "CIFAR-10, consistency model", 4, 0.85, 1.17),
)
BUDGETS = {"epsilon": 1.4, "flow": 1.0, "consistency": 1.0}
CAVEAT = (
    "the budget rests on the best k of four trainings in the paper, three of them on CIFAR-10; on 8×8 digits "
    "nearest noise within this budget made DDIM worse (README): compare before you trust it"
)


def choose_k(
    images: CleanImages,
    prediction: str = "epsilon",
    rule: str = "l2",
    centring: str = "centred",
    ks: Sequence[int] = KS,
    *,
    samples: int = 128,
    seed: int = 0,
) -> Finding:
    """Recommend k for a data set, and show what each k gains and costs.

    prediction: epsilon (DDPM, DDIM), flow (flow matching) or consistency. rule, centring: of `Nearest`. ks:
    to choose from. samples: noisy points for the information that noise carries of its image.
    Raises ValueError for unknown names and for a k under 1.
    """
    _check(prediction, rule, centring, ks, samples)
    centre = images.mean() if centring == "centred" else None
    chosen: Rule = rule  # type: ignore[assignment]
    offered = sorted(set(ks))
    shifted = predicted_shifts(images, [(k, chosen) for k in offered], centre)
    rows = []
    for k, shift in zip(offered, shifted, strict=True):
        found = posterior(
            images,
            Nearest(k=k, rule=chosen, centre=centre),
            (0.0,),
            samples,
            generator_for(seed, "noise"),
            generator_for(seed, "samples"),
        )
        rows.append(
            {
                "k": k,
                **shift,
                "information": found.information,
                "distortion": found.distortion,
                "standard_error": found.standard_error,
                "choice": found.choice,
            }
        )
    best = recommended(rows, BUDGETS[prediction])
    named = [point for point in CALIBRATION if point.prediction == prediction]
    return Finding(
        question="choose-k",
        title=f"Which k for nearest noise ({rule}, {centring}), {prediction} prediction: {images.describe()}",
        sentence=_sentence(rows, best, prediction, named),
        values={
            "recommended_k": best,
            "rows": rows,
            "budget": BUDGETS[prediction],
            "calibrated_parameters": 1,
            "calibration_points": [vars(point) for point in named],
        },
        settings=images.settings()
        | {"prediction": prediction, "rule": rule, "centring": centring, "samples": samples, "seed": seed},
        pictures={
            "": _picture(f"{images.describe()}, {rule}, {centring}, seed {seed}", rows, best, prediction)
        },
        warnings=(CAVEAT,),
    )


def recommended(rows: Sequence[dict[str, Any]], budget: float) -> int:
    """The largest k up to which the shift stays within a budget; 1 where the least k is over it already.

    rows: with "k" and "shift", in order of k.
    """
    best = 1
    for row in rows:
        if row["shift"] > budget:
            break
        best = int(row["k"])
    return best


def _check(prediction: str, rule: str, centring: str, ks: Sequence[int], samples: int) -> None:
    for kind, name, valid in (
        ("prediction", prediction, tuple(BUDGETS)),
        ("rule", rule, get_args(Rule)),
        ("centring", centring, CENTRINGS),
    ):
        if name not in valid:
            raise ValueError(unknown(kind, name, valid))
    if not ks or min(ks) < 1:
        raise ValueError(f"k must be numbers of 1 or more, got {list(ks)}")
    if samples < 2:
        raise ValueError(f"samples must be 2 or more, got {samples}")


def _sentence(
    rows: Sequence[dict[str, Any]], best: int, prediction: str, named: Sequence[Calibration]
) -> str:
    budget = BUDGETS[prediction]
    basis = (
        f"The budget of {budget:g} is one number set by {len(named)} best k of the paper "
        f"({'; '.join(f'{point.data}: {point.best_k}' for point in named)})."
    )
    if best == 1:
        return f"Do not choose noise this way: k = {rows[0]['k']} is over the budget of {budget:g}. {basis}"
    row = next(row for row in rows if row["k"] == best)
    limit = (
        f"No k up to {best} is over the budget, so the rule sets no limit here"
        if best == rows[-1]["k"]
        else f"Take k = {best}"
    )
    return (
        f"{limit}: noise shifts by {number(row['shift'])} standard deviations of a draw, and tells "
        f"{number(row['information'])} ± {number(row['standard_error'])} nats of its image out of the "
        f"{number(row['choice'])} spent. {basis}"
    )


def _picture(note: str, rows: Sequence[dict[str, Any]], best: int, prediction: str) -> bytes:
    figure = new_figure(12.5, 6.2, LIGHT)
    gain, cost = figure.subplots(1, 2)
    ks = [row["k"] for row in rows]
    looks = styles_for(["spent", "information", "distortion"], LIGHT)
    words = {
        "choice": ("spent on choosing: ln k − (k − 1)/k", looks["spent"]),
        "information": ("tells the image (information)", looks["information"]),
        "distortion": ("makes noise less Gaussian (distortion)", looks["distortion"]),
    }
    entries = {}
    for name, (label, style) in words.items():
        values = np.array([row[name] for row in rows])
        entries[label] = line(style, ks, list(values))
        gain.add_line(entries[label])
        if name != "choice":
            error = 1.96 * np.array([row["standard_error"] for row in rows])
            gain.fill_between(ks, values - error, values + error, color=style.colour, alpha=0.15, linewidth=0)
    shift = styles_for(["plain", "a", "b", "c"], LIGHT)["c"]
    entries["shift of noise against N(0, I)"] = line(shift, ks, [row["shift"] for row in rows])
    cost.add_line(entries["shift of noise against N(0, I)"])
    cost.axhline(BUDGETS[prediction], color=LIGHT.ink, linestyle=DOTTED, linewidth=1.6)
    entries[f"budget, {prediction}"] = line(Style(LIGHT.ink, "", DOTTED))
    dress(gain, LIGHT, "What k noises to choose from give", "candidates k")
    dress(cost, LIGHT, "What sampling will not meet", "candidates k")
    for axes in (gain, cost):
        if best > 1:
            axes.axvline(best, color=LIGHT.faint, linewidth=1.4)
            axes.annotate(
                f"k = {best}",
                (best, 1),
                xycoords=("data", "axes fraction"),
                xytext=(5, -4),
                textcoords="offset points",
                va="top",
                fontsize=FONT_SIZE,
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(ks, [f"{k:g}" for k in ks], fontsize=FONT_SIZE - 2)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.autoscale_view()
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    gain.set_ylabel("nats an image", fontsize=FONT_SIZE, color=LIGHT.ink)
    cost.set_ylabel("standard deviations of one draw", fontsize=FONT_SIZE, color=LIGHT.ink)
    footnote(figure, f"{note}; bands: 95 % of the mean", LIGHT)
    figure.tight_layout(rect=(0, 0.04, 1, 0.84), w_pad=2)
    legend(figure, entries, 2, LIGHT)
    return to_png(figure)
