"""What does pairing cost? Table 5 of the paper, from `benchmark`, as a finding."""

from collections.abc import Callable, Sequence

from matplotlib.ticker import FuncFormatter, NullLocator

from immiscible_diffusion.analysis.finding import Finding
from immiscible_diffusion.benchmark import TABLE_5, TABLE_5_METHODS, time_pairing
from immiscible_diffusion.figures import FONT_SIZE, LIGHT, dress, legend, line, new_figure, styles_for, to_png

PAPER = {  # milliseconds on one A5000, by batch size
    "paper, assignment (A5000)": {128: 5.4, 256: 6.7, 512: 8.8, 1024: 22.8},
    "paper, KNN (A5000)": {128: 0.2, 256: 0.2, 512: 0.3, 1024: 0.7},
}


def time(
    batches: Sequence[int] = TABLE_5,
    size: str = "CIFAR-10",
    *,
    repeats: int = 9,
    seconds: float = 10.0,
    seed: int = 0,
    report: Callable[[str], None] = print,
) -> Finding:
    """Time assignment and nearest noise, the authors' way and ours, in turns in one run (Table 5).

    batches: batch sizes. size: a name from `benchmark.SIZES`. repeats, seconds: the most turns, and the most
    time, for each way on each batch. Raises ValueError for an unknown size or a batch under 1.
    """
    rows, conditions = time_pairing(
        [size],
        batches,
        names=TABLE_5_METHODS.values(),
        repeats=repeats,
        seconds=seconds,
        seed=seed,
        report=report,
    )
    times = {
        label: {
            row.batch: row.milliseconds
            for row in rows
            if row.method == method and row.milliseconds is not None
        }
        for label, method in TABLE_5_METHODS.items()
    }
    at = max(batches)
    ours, theirs = times["our nearest, k=8"], times["authors' assignment"]
    said = [f"A batch of {at}: our nearest noise (k=8) takes {ours[at]:.3g} ms"] if at in ours else []
    if at in ours and at in theirs:
        ratios = [theirs[batch] / ours[batch] for batch in batches if batch in theirs and batch in ours]
        said.append(
            f"the authors' assignment {theirs[at]:.3g} ms, {theirs[at] / ours[at]:.0f} times as long "
            f"({min(ratios):.1f} to {max(ratios):.1f} times over the batch sizes; "
            "in the paper its assignment takes 27 to 33 times as long as its KNN, on a GPU)"
        )
    return Finding(
        question="time",
        title=f"What pairing costs a training step, {size}",
        sentence="; ".join(said) + "." if said else "Nothing could be timed.",
        values={"milliseconds": {label: {str(b): t for b, t in row.items()} for label, row in times.items()}},
        settings={"size": size, "batches": list(batches), "repeats": repeats, "seconds": seconds}
        | dict(conditions),
        pictures={"": _picture(times, size)},
        warnings=tuple(
            f"{row.method} at batch {row.batch} was not timed: {row.not_run}" for row in rows if row.not_run
        ),
    )


def _picture(times: dict[str, dict[int, float]], size: str) -> bytes:
    figure = new_figure(8.5, 6.2, LIGHT)
    axes = figure.subplots()
    dress(axes, LIGHT, f"Time to pair one batch, {size}", "images in a batch")
    axes.set_ylabel("milliseconds (median)", fontsize=FONT_SIZE)
    entries = {}
    for (label, row), style in zip(times.items(), styles_for(list(times), LIGHT).values(), strict=True):
        entries[label] = line(style, list(row), list(row.values()))
        axes.add_line(entries[label])
    if size == "CIFAR-10":
        for label, shape in (("paper, assignment (A5000)", "*"), ("paper, KNN (A5000)", "+")):
            (entries[label],) = axes.plot(
                list(PAPER[label].keys()),
                list(PAPER[label].values()),
                shape,
                color=LIGHT.faint,
                markersize=11,
                markeredgewidth=1.8,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.autoscale_view()
    ticks = sorted({batch for row in times.values() for batch in row})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    figure.tight_layout(rect=(0, 0, 1, 0.84))
    legend(figure, entries, 2, LIGHT)
    return to_png(figure)
