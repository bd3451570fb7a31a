"""The benchmark's rows as Markdown, JSON and a picture."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from immiscible_diffusion.benchmark.measurement import Row

TABLE_5 = (128, 256, 512, 1024)  # the batch sizes of the paper's Table 5
# Its rows, by the names that `methods` has for them.
TABLE_5_METHODS = {
    "authors' assignment": "scipy on Euclidean cdist",
    "authors' KNN, k=8": "Algorithm 1, k=8, fp32",
    "our assignment": "Assigned",
    "our nearest, k=8": "Nearest k=8",
}

logger = logging.getLogger(__name__)


def write(rows: Sequence[Row], conditions: Mapping[str, object], out: Path) -> str:
    """Write pairing.json, pairing.md and, with matplotlib, pairing.png into `out`; returns the Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    text = markdown(rows, conditions)
    (out / "pairing.md").write_text(text, encoding="utf-8")
    record = {"conditions": dict(conditions), "rows": [asdict(row) for row in rows]}
    (out / "pairing.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    try:
        picture(rows, out / "pairing.png")
    except ImportError:
        logger.warning("no pairing.png: matplotlib is not installed; pip install matplotlib")
    return text


def markdown(rows: Sequence[Row], conditions: Mapping[str, object]) -> str:
    """One table for each size, and Table 5 of the paper."""
    parts = ["# Pairing: time, memory, distance", "; ".join(f"{k}: {v}" for k, v in conditions.items()) + "."]
    parts.append(
        "Median time and its ratio to `randn_like`, taken in turns in one run; memory is the peak beside the "
        "result, in batches of noise; distance is the change of the mean image-noise distance."
    )
    for size in dict.fromkeys(row.size for row in rows):
        parts.append(f"## {size}\n\n" + _table([row for row in rows if row.size == size]))
    parts.append("## Table 5 of the paper\n\n" + table_5(rows))
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> str:
    lines = ["| batch | method | ms | ratio | extra memory | distance |", "|---|---|---|---|---|---|"]
    for row in rows:
        if row.milliseconds is None:
            cells = ["not run", "", "", row.not_run]
        else:
            cells = [
                number(row.milliseconds),
                f"{row.ratio:.2f}×",
                f"{row.extra_batches:.1f}",
                f"{row.distance_change:+.2f} %",
            ]
        lines.append("| " + " | ".join([str(row.batch), row.method, *cells]) + " |")
    return "\n".join(lines)


def table_5(rows: Sequence[Row], size: str = "CIFAR-10") -> str:
    """Assignment and nearest noise in the layout of the paper's Table 5: ms by batch size, and the ratio."""
    found = {(row.method, row.batch): row.milliseconds for row in rows if row.size == size}
    authors, literal, assigned, nearest = TABLE_5_METHODS.values()
    lines = ["| ms | " + " | ".join(map(str, TABLE_5)) + " |", "|---|" + "---|" * len(TABLE_5)]
    for label, method in TABLE_5_METHODS.items():
        times = [found.get((method, batch)) for batch in TABLE_5]
        lines.append(
            f"| {label} | " + " | ".join("not run" if t is None else number(t) for t in times) + " |"
        )
    for label, slow, quick in [
        ("authors' assignment / authors' KNN", authors, literal),
        ("authors' assignment / ours", authors, assigned),
        ("authors' KNN / our nearest", literal, nearest),
        ("authors' assignment / our nearest", authors, nearest),
    ]:
        pairs = [(found.get((slow, batch)), found.get((quick, batch))) for batch in TABLE_5]
        lines.append(
            f"| {label} | " + " | ".join(f"{s / q:.1f}×" if s and q else "" for s, q in pairs) + " |"
        )
    return "\n".join(lines)


def number(milliseconds: float) -> str:
    """Three digits, and no more."""
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def picture(rows: Sequence[Row], file: Path) -> None:
    """Time against batch size, one panel a size, one line a method."""
    from matplotlib.figure import Figure

    sizes = list(dict.fromkeys(row.size for row in rows))
    figure = Figure(figsize=(5 * len(sizes), 4.2), layout="constrained")
    panels = figure.subplots(1, len(sizes), squeeze=False)[0]
    methods = list(dict.fromkeys(row.method for row in rows if row.milliseconds is not None))
    for panel, size in zip(panels, sizes, strict=True):
        for index, method in enumerate(methods):
            drawn = [row for row in rows if (row.size, row.method) == (size, method) and row.milliseconds]
            style = "-" if method.startswith(("Nearest", "Assigned", "randn")) else "--"
            panel.plot(
                [row.batch for row in drawn],
                [row.milliseconds for row in drawn],
                style,
                marker="o",
                color=f"C{index % 10}",
                label=method,
            )
        panel.set(title=size, xscale="log", yscale="log", xlabel="batch", ylabel="ms")
    panels[-1].legend(fontsize=7, loc="upper left")
    figure.savefig(file, dpi=130)
