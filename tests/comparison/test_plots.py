"""Pictures are valid, not blank, and survive awkward comparisons."""

import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from tests.comparison.synthetic import blobs, comparison, curve, realistic

from immiscible_diffusion.comparison import (
    Comparison,
    pairing_names,
    plot_curves,
    plot_samples,
    plot_speed_ups,
    summarize,
)
from immiscible_diffusion.figures import DARK, LIGHT, styles_for


def pixels(png: bytes) -> np.ndarray:
    """Decode a PNG, refusing a broken one, to [H, W, 3]."""
    Image.open(io.BytesIO(png)).verify()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def draw(both: Comparison) -> list[np.ndarray]:
    found = summarize(both, np.random.default_rng(0))
    return [pixels(plot_curves(both, found)), pixels(plot_speed_ups(both, found))]


def has_colour(picture: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(picture.astype(int) - wanted).max(axis=-1) < 3).sum() > 20)


def test_light_and_dark_show_every_pairing_on_their_paper() -> None:
    both = realistic()
    found = summarize(both, np.random.default_rng(0))
    for paper in (LIGHT, DARK):
        curves, speed_ups = plot_curves(both, found, paper), plot_speed_ups(both, found, paper)
        chosen = styles_for(pairing_names(both), paper)
        assert len({style.colour for style in chosen.values()}) == 3
        for name, style in chosen.items():
            assert has_colour(pixels(curves), style.colour)
            assert name == "independent" or has_colour(pixels(speed_ups), style.colour)
        corner = pixels(curves)[0, 0]
        assert list(corner) == [int(paper.background[i : i + 2], 16) for i in (1, 3, 5)]


def test_the_same_comparison_draws_the_same_bytes() -> None:
    both = realistic()
    found = summarize(both, np.random.default_rng(0))
    assert plot_curves(both, found) == plot_curves(both, found)


@pytest.mark.parametrize(
    "both",
    [
        comparison(curve("independent", 0, [2, 1], [1, 2])),
        comparison(curve("independent", 0, [2], [1]), curve("b", 0, [1], [1])),
        comparison(
            curve("independent", 0, [9, 2, 0.0], [0, 1, 2]), curve("b", 0, [9, math.inf, math.inf], [0, 1, 2])
        ),
        comparison(
            *(curve(n, s, [9, 2], [1, 2]) for s in (0, 1) for n in ["independent", *"abcdefghi"]),
            curve(r"$\frac{1}$ & <b> %s {} _x ^", 0, [9, 1], [1, 2]),
        ),
    ],
    ids=["alone", "one point", "step 0, zero, diverged", "many and hostile"],
)
@pytest.mark.filterwarnings("error")
def test_awkward_comparisons_still_draw(both: Comparison) -> None:
    for picture in draw(both):
        assert picture.std() > 5


def test_samples_are_shown_as_they_are() -> None:
    both = realistic()
    found = summarize(both, np.random.default_rng(0))
    colours = {name: torch.zeros(4, 3, 8, 6, dtype=torch.uint8) for name in pairing_names(both)}
    colours["assigned"][:, 0] = 250
    picture = pixels(plot_samples(both, found, colours))
    assert has_colour(picture, "#fa0000") and has_colour(picture, "#000000")
    grey = plot_samples(both, found, blobs(("independent", "assigned"), count=7))
    assert pixels(grey).std() > 20
    assert grey == plot_samples(both, found, blobs(("independent", "assigned"), count=7))


def test_samples_must_fit() -> None:
    both = realistic()
    found = summarize(both, np.random.default_rng(0))
    good = blobs(pairing_names(both))
    with pytest.raises(ValueError, match="samples has the pairing 'other'"):
        plot_samples(both, found, {"other": good["assigned"]})
    for wrong in (
        good["assigned"].float(),
        good["assigned"][0],
        good["assigned"][:0],
        good["assigned"].repeat(1, 2, 1, 1),
    ):
        with pytest.raises(ValueError, match=r"give uint8 \[N, C, H, W\] with C 1 or 3"):
            plot_samples(both, found, {"assigned": wrong})
    with pytest.raises(ValueError, match="samples have the shapes"):
        plot_samples(both, found, good | {"assigned": good["assigned"][:3]})


def test_axes_name_the_feature_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from immiscible_diffusion.comparison import plots

    seen = []
    monkeypatch.setattr(plots, "to_png", lambda figure: seen.append(figure) or b"")
    both = dataclasses.replace(realistic(), feature_network="probe(digits)")
    found = summarize(both, np.random.default_rng(0))
    plots.plot_curves(both, found)
    panels = seen[0].axes
    assert [axes.get_title(loc="left") for axes in panels][1] == "20 evaluations per image (judged here)"
    assert "probe(digits)" in panels[0].get_ylabel() and panels[0].get_xlabel() == "training steps"
    words = [text.get_text() for text in seen[0].legends[0].get_texts()]
    assert words[:3] == ["independent (3 seeds)", "nearest:4 (3 seeds)", "assigned (3 seeds)"]


@pytest.mark.parametrize("values", [[6.9, 5.1], [1.9, 1.1], [900.0, 0.02], [1.001, 1.0]])
def test_every_axis_has_numbers(values: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    from immiscible_diffusion.comparison import plots

    seen = []
    monkeypatch.setattr(plots, "to_png", lambda figure: seen.append(figure) or b"")
    both = comparison(curve("independent", 0, values, [300, 450]))
    plots.plot_curves(both, summarize(both, np.random.default_rng(0)))
    FigureCanvasAgg(seen[0]).draw()
    for axis in (seen[0].axes[0].xaxis, seen[0].axes[0].yaxis):
        low, high = axis.get_view_interval()
        labels = [t.label1.get_text() for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
        assert len([label for label in labels if label]) >= 2
