"""How much nearer is the noise? Table 4 of the paper: measured, beside what the winner's law predicts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import torch
from matplotlib.ticker import FuncFormatter, NullLocator
from torch import Tensor

from immiscible_diffusion.analysis.clean_images import CleanImages
from immiscible_diffusion.analysis.finding import Finding
from immiscible_diffusion.analysis.laws import Floats, expected_distance, winner_moments
from immiscible_diffusion.analysis.progress import progress
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
from immiscible_diffusion.pairing import Assigned, Independent, Nearest, Pairing
from immiscible_diffusion.pairing.nearest import Rule
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.randomness import generator_for

KS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
CENTRINGS = ("uncentred", "centred")
BATCHES = (64, 256, 1024)
BATCH = 256  # of nearest noise, which no batch changes
# Table 4: D to the change in per cent at each k; its images have unit std, its rule is uncentred.
PAPER = {3072: {4: -1.10, 8: -1.58}, 4096: {64: -2.32}}


def distance(
    images: CleanImages,
    ks: Sequence[float] = KS,
    rules: Sequence[str] = ("l2", "dot"),
    centrings: Sequence[str] = CENTRINGS,
    batches: Sequence[int] | None = None,
    *,
    seed: int = 0,
) -> Finding:
    """Measure the change of the mean L2 image-noise distance against independent noise, over all images.

    ks, rules, centrings: every combination is measured, and predicted. batches: of `assigned`, which no
    closed form predicts, by default those of `BATCHES` that the data fills; images are in random order, a
    last batch that is not full is left out. Raises ValueError for an unknown rule or centring, or a batch
    under 2 or above the number of images.
    """
    batches = [size for size in BATCHES if size <= len(images)] if batches is None else batches
    _check(images, rules, centrings, batches)
    nearest = [(k, rule, centring) for rule in rules for centring in centrings for k in ks]
    centres = {"uncentred": None, "centred": images.mean()}
    pairings: dict[Any, Pairing] = {
        (k, rule, centring): Nearest(k=k, rule=rule, centre=centres[centring])  # type: ignore[arg-type]
        for k, rule, centring in nearest
    }
    order = torch.randperm(len(images), generator=generator_for(seed, "order"))
    found = image_noise_distances(
        images,
        {"plain": Independent(), **pairings},
        BATCH,
        lambda step: generator_for(seed, "noise", step),
        order,
    )
    chosen: list[Any] = [(k, rule) for rule in rules for k in ks]
    predicted = {
        centring: dict(zip(chosen, predicted_changes(images, chosen, centres[centring]), strict=True))
        for centring in centrings
    }
    rows: list[dict[str, Any]] = []
    for k, rule, centring in nearest:
        change, error = change_percent(found[k, rule, centring], found["plain"])
        rows.append(
            {
                "pairing": f"nearest:{k:g}:{rule}:{centring}",
                "k": k,
                "rule": rule,
                "centring": centring,
                "change_percent": change,
                "standard_error": error,
                "predicted_percent": predicted[centring][k, rule],
            }
        )
    assigned = [_assigned(images, batch, order, seed) for batch in batches]
    gaps = [
        abs(row["change_percent"] - row["predicted_percent"]) / row["standard_error"]
        for row in rows
        if row["standard_error"] > 0
    ]
    return Finding(
        question="distance",
        title=f"How much nearer the noise is: {images.describe()}",
        sentence=_sentence(rows, assigned, gaps),
        values={
            "nearest": rows,
            "assigned": assigned,
            "largest_gap_in_standard_errors": max(gaps, default=0.0),
            "mean_distance_independent": float(found["plain"].mean()),
        },
        settings=images.settings() | {"seed": seed, "batch_of_nearest": BATCH},
        pictures={"": _picture(images, seed, rows, assigned)},
    )


def image_noise_distances(
    images: CleanImages,
    pairings: Mapping[Any, Pairing],
    batch: int,
    generator_of: Callable[[int], torch.Generator],
    order: Tensor | None = None,
) -> dict[Any, Tensor]:
    """‖image − noise‖ of every image in turn under each pairing, float64 [N].

    Batch i draws from `generator_of(i)`, whatever the pairing, so all of them start from the same noise.
    """
    found: dict[Any, list[Tensor]] = {name: [] for name in pairings}
    chunks = images.chunks(batch, order)
    for step, clean in enumerate(progress(chunks, -(-len(images) // batch), "distances")):
        for name, pairing in pairings.items():
            noise = pairing(clean, generator=generator_of(step))
            found[name].append((clean - noise).flatten(1).norm(dim=1).double())
    return {name: torch.cat(parts) for name, parts in found.items()}


def change_percent(paired: Tensor, plain: Tensor) -> tuple[float, float]:
    """By how many per cent the mean distance changes, and the standard error of that."""
    change = 100 * (paired.mean() / plain.mean() - 1)
    residual = 100 * (paired - paired.mean() / plain.mean() * plain) / plain.mean()
    return float(change), float(residual.std() / len(plain) ** 0.5)


def predicted_changes(
    images: CleanImages, chosen: Sequence[tuple[float, Rule]], centre: Tensor | None
) -> list[float]:
    """What `change_percent` tends to for nearest noise: the winner's law, averaged over the images.

    chosen: (k, rule) of each.
    """
    lengths, along, energy = image_lengths(images, centre)

    def mean_distance(k: float, rule: Rule) -> float:
        moments = winner_moments(k, rule, lengths, images.dimension)
        return float(expected_distance(moments, along, energy, images.dimension).mean())

    plain = mean_distance(1, "l2")
    return [100 * (mean_distance(k, rule) / plain - 1) for k, rule in chosen]


def image_lengths(images: CleanImages, centre: Tensor | None) -> tuple[Floats, Floats, Floats]:
    """Of every image x with y = x − centre: ‖y‖, ⟨x, y/‖y‖⟩ and ‖x‖², float64 [N] each."""
    shift = torch.zeros(images.dimension) if centre is None else centre.flatten()
    parts: tuple[list[Tensor], ...] = ([], [], [])
    for chunk in images.chunks(2048):
        rows = chunk.flatten(1).double()
        less = rows - shift.double()
        length = less.norm(dim=1)
        parts[0].append(length)
        parts[1].append((rows * less).sum(dim=1) / length.clamp(min=1e-12))
        parts[2].append(rows.square().sum(dim=1))
    lengths, along, energy = (torch.cat(part).numpy() for part in parts)
    return lengths, along, energy


def _assigned(images: CleanImages, batch: int, order: Tensor, seed: int) -> dict[str, Any]:
    whole = order[: len(order) // batch * batch]
    both = image_noise_distances(
        images,
        {"assigned": Assigned(), "plain": Independent()},
        batch,
        lambda step: generator_for(seed, "noise", step),
        whole,
    )
    change, error = change_percent(both["assigned"], both["plain"])
    return {"pairing": "assigned", "batch": batch, "change_percent": change, "standard_error": error}


def _check(
    images: CleanImages, rules: Sequence[str], centrings: Sequence[str], batches: Sequence[int]
) -> None:
    for kind, given, valid in (("rule", rules, get_args(Rule)), ("centring", centrings, CENTRINGS)):
        for name in given:
            if name not in valid:
                raise ValueError(unknown(kind, name, valid))
    for batch in batches:
        if not 2 <= batch <= len(images):
            raise ValueError(f"batches must be from 2 to the number of images, {len(images)}, got {batch}")


def _sentence(rows: list[dict[str, Any]], assigned: list[dict[str, Any]], gaps: list[float]) -> str:
    first = [row for row in rows if (row["rule"], row["centring"]) == (rows[0]["rule"], rows[0]["centring"])]
    shown = [row for row in first if row["k"] in (4, 8, 64)] or first[:1]
    parts = [
        f"{_change(row)} with {row['pairing']} (predicted {number(row['predicted_percent'], 3)} %)"
        for row in shown
    ]
    parts += [f"{_change(row)} assigned in batches of {row['batch']}" for row in assigned]
    agree = (
        f" All nearest noise is within {max(gaps):.1f} standard errors of the closed form." if gaps else ""
    )
    return f"The mean image-noise distance changes by {'; '.join(parts)}.{agree}"


def _change(row: dict[str, Any]) -> str:
    return f"{number(row['change_percent'], 3)} ± {row['standard_error']:.3f} %"


def _picture(
    images: CleanImages, seed: int, rows: list[dict[str, Any]], assigned: list[dict[str, Any]]
) -> bytes:
    figure = new_figure(12.5, 6.4, LIGHT)
    nearest, batched = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    kinds = list(dict.fromkeys((row["rule"], row["centring"]) for row in rows))
    entries = {}
    chosen = styles_for(["plain", *map(str, kinds)], LIGHT)
    for kind in kinds:
        drawn = [row for row in rows if (row["rule"], row["centring"]) == kind]
        style = chosen[str(kind)]
        ks = [row["k"] for row in drawn]
        measured = Style(style.colour, style.marker, "none")
        points = line(measured, ks, [row["change_percent"] for row in drawn])
        points.set_markersize(8)
        nearest.add_line(points)
        nearest.plot(
            ks, [row["predicted_percent"] for row in drawn], color=style.colour, linestyle=style.dashes
        )
        words = {"l2": "smallest distance", "dot": "largest inner product"}[kind[0]]
        entries[f"{words}, {kind[1]}"] = line(style)
    paper = PAPER.get(images.dimension)
    if paper and (images.image_std is None or images.image_std == 1):
        look = {"color": LIGHT.ink, "linestyle": "none", "marker": "*", "markersize": 14, "fillstyle": "none"}
        (entries["paper, Table 4"],) = nearest.plot(list(paper), list(paper.values()), zorder=5, **look)
    dress(nearest, LIGHT, "Nearest noise: points measured, lines predicted", "candidates k")
    dress(batched, LIGHT, "Assigned", "images in a batch")
    bars = [row["standard_error"] for row in assigned]
    batched.errorbar(
        [row["batch"] for row in assigned],
        [row["change_percent"] for row in assigned],
        yerr=bars,
        color=LIGHT.baseline,
        marker="o",
        linewidth=2.4,
        markersize=8,
    )
    for axes, ticks in (
        (nearest, sorted({row["k"] for row in rows})),
        (batched, [r["batch"] for r in assigned]),
    ):
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.axhline(0, color=LIGHT.ink, linestyle=DOTTED, linewidth=1.4)
        axes.autoscale_view()
    nearest.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %".replace("-", "−")))
    nearest.set_ylabel("change of the mean L2 image-noise distance", fontsize=FONT_SIZE, color=LIGHT.ink)
    footnote(figure, f"{images.describe()}, seed {seed}", LIGHT)
    figure.tight_layout(rect=(0, 0.04, 1, 0.86), w_pad=2)
    legend(figure, entries, 3, LIGHT)
    return to_png(figure)
