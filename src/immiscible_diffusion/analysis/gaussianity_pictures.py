"""Pictures of how Gaussian paired noise stays: shifts against k, and the spectrum of its covariance."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter, NullLocator

from immiscible_diffusion.analysis.clean_images import CleanImages
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

NAMES = {"l2": "smallest distance", "dot": "largest inner product"}


def shift_picture(
    images: CleanImages,
    seed: int,
    predicted: Sequence[dict[str, Any]],
    found: Mapping[str, dict[str, Any]],
    warn_from: float,
) -> bytes:
    """Predicted shifts of mean and norm against k for each rule and centring, with those measured beside
    them."""
    figure = new_figure(12.5, 6.4, LIGHT)
    panels = figure.subplots(1, 2)
    kinds = list(dict.fromkeys((row["rule"], row["centring"]) for row in predicted))
    chosen = styles_for(["plain", *map(str, kinds)], LIGHT)
    entries = {}
    for axes, what in zip(panels, ("mean_shift", "norm_shift"), strict=True):
        for kind in kinds:
            drawn = [row for row in predicted if (row["rule"], row["centring"]) == kind]
            style = chosen[str(kind)]
            axes.add_line(line(style, [row["k"] for row in drawn], [row[what] for row in drawn]))
            entries[f"{NAMES[kind[0]]}, {kind[1]}"] = line(style)
        for name, values in found.items():
            measured, k = _kind(name)
            if measured is not None:
                style = chosen.get(str(measured), chosen["plain"])
                look = Style(style.colour, style.marker, "none")
                point = line(look, [k], [values[what]])
                point.set(markersize=14, fillstyle="none", markeredgewidth=2)
                axes.add_line(point)
            elif name == "assigned":
                axes.axhline(values[what], color=LIGHT.baseline, linestyle=(0, (6, 2, 1, 2)), linewidth=1.6)
                entries["assigned, measured"] = line(Style(LIGHT.baseline, "", (0, (6, 2, 1, 2))))
        axes.set_xscale("log", base=2)
        ticks = sorted({row["k"] for row in predicted})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        for edge in (warn_from, -warn_from) if what == "norm_shift" else (warn_from,):
            axes.axhline(edge, color=LIGHT.ink, linestyle=DOTTED, linewidth=1.4)
        axes.autoscale_view()
    entries["measured"] = line(Style(LIGHT.faint, "o", "none"))
    entries["measured"].set(markersize=12, fillstyle="none", markeredgewidth=2)
    entries["warned of from here"] = line(Style(LIGHT.ink, "", DOTTED))
    dress(panels[0], LIGHT, "Shift of the mean noise", "candidates k")
    dress(panels[1], LIGHT, "Shift of the mean norm", "candidates k")
    panels[0].set_ylabel("standard deviations of one draw", fontsize=FONT_SIZE, color=LIGHT.ink)
    footnote(figure, f"{images.describe()}, seed {seed}; lines: predicted from the law of the winner", LIGHT)
    figure.tight_layout(rect=(0, 0.04, 1, 0.82), w_pad=2)
    legend(figure, entries, 3, LIGHT)
    return to_png(figure)


def spectrum_picture(
    images: CleanImages, seed: int, spectra: Mapping[str, Any], edges: tuple[float, float] | None
) -> bytes:
    """All eigenvalues of the covariance of each pairing's noise, largest first, between Marchenko–Pastur's
    edges."""
    figure = new_figure(9.5, 6.2, LIGHT)
    axes = figure.subplots()
    dress(axes, LIGHT, "Covariance of paired noise", "eigenvalue, from the largest")
    entries = {}
    shown = {name: spectrum for name, spectrum in spectra.items() if spectrum is not None}
    for (name, spectrum), style in zip(
        shown.items(), styles_for(list(spectra), LIGHT).values(), strict=False
    ):
        drawn = line(style, list(range(1, len(spectrum) + 1)), list(spectrum[::-1]))
        drawn.set_markevery(max(1, len(spectrum) // 8))
        axes.add_line(drawn)
        entries[name] = line(style)
    for edge in edges or ():
        axes.axhline(edge, color=LIGHT.ink, linestyle=DOTTED, linewidth=1.4)
    if not shown:
        axes.annotate("not found: it takes more images than dimensions", (0.1, 0.5), xycoords="axes fraction")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.autoscale_view()
    axes.set_ylabel("eigenvalue", fontsize=FONT_SIZE, color=LIGHT.ink)
    footnote(figure, f"{images.describe()}, seed {seed}; dotted: Marchenko–Pastur edges of N(0, I)", LIGHT)
    figure.tight_layout(rect=(0, 0.04, 1, 0.86))
    if entries:
        legend(figure, entries, 3, LIGHT)
    return to_png(figure)


def _kind(name: str) -> tuple[tuple[str, str] | None, float]:
    """Rule, centring and k of a nearest pairing's canonical name; None for others."""
    kind, *options = name.split(":")
    if kind != "nearest" or "batch" in options:
        return None, 0.0
    rule = "dot" if "dot" in options else "l2"
    return (rule, "uncentred" if "uncentred" in options else "centred"), float(options[0])
