"""The results as rows of words, printed in a terminal or written as Markdown from the same rows."""

from dataclasses import dataclass

from rich.console import Group
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.comparison.curves import Comparison, curves_of, pairing_names
from immiscible_diffusion.comparison.statistics import Summary, best, first_crossing
from immiscible_diffusion.comparison.verdicts import judge


@dataclass(frozen=True)
class Table:
    """Words in rows. The first cell of a row names it; `notes` are sentences to stand below."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def results_table(comparison: Comparison, summaries: tuple[Summary, ...]) -> Table:
    """The main table: last distances, steps and time to the baseline's best, cost and verdict by pairing."""
    at = comparison.judged_at
    spoken = judge(comparison, summaries)
    goal = f"{comparison.baseline}'s best"
    headers = (
        "Pairing",
        *(f"Distance at {n}" for n in comparison.evaluations),
        f"Steps to {goal}",
        "Speed-up in steps",
        "Speed-up in time",
        "Pairing's share of a step",
        "Verdict",
    )
    rows = tuple(
        (
            summary.pairing,
            *(say.mean_with_interval(summary.distance[n]) for n in comparison.evaluations),
            _steps_cell(summary, at),
            "1×" if said.outcome == "baseline" else say.speed_up_with_interval(summary.reach[at].speed_up),
            "1×"
            if said.outcome == "baseline"
            else say.speed_up_with_interval(summary.reach[at].speed_up_in_time),
            say.percent(summary.pairing_share),
            said.outcome,
        )
        for summary, said in zip(summaries, spoken, strict=True)
    )
    counts = say.listed([str(n) for n in comparison.evaluations])
    most = max(len(summary.seeds) for summary in summaries)
    spread = "; ± is half a 95% Student-t interval" if most > 1 else ", so without intervals"
    middle = ", medians with 95% bootstrap intervals" if most > 1 else ""
    caption = (
        f"{comparison.experiment}: {say.distance_words(comparison)} after "
        f"{say.steps(summaries[0].last_step)} steps, at {counts} network evaluations per image. "
        f"{say.seeds_words(most).capitalize()}{spread}. Steps and speed-ups at {at} evaluations{middle}."
    )
    return Table(caption, headers, rows, tuple(said.sentence for said in spoken))


def evaluations_table(comparison: Comparison, summaries: tuple[Summary, ...]) -> Table:
    """Every pairing at every evaluation count: both distances, the paired difference, the speed-up."""
    headers = (
        "Pairing",
        "Evaluations per image",
        "Fréchet distance",
        "Kernel distance",
        f"Difference from {comparison.baseline}",
        f"Seeds that reached {comparison.baseline}'s best",
        "Speed-up in steps",
        "Speed-up in time",
    )
    rows = []
    for summary in summaries:
        own = summary.pairing == comparison.baseline
        for n in comparison.evaluations:
            reach = summary.reach[n]
            rows.append(
                (
                    summary.pairing,
                    str(n),
                    say.mean_with_interval(summary.distance[n]),
                    say.mean_with_interval(summary.kernel_distance[n]),
                    "–" if own else say.signed_with_interval(summary.difference[n]),
                    "–" if own else f"{reach.reached} of {len(summary.seeds)}",
                    "–" if own else say.speed_up_with_interval(reach.speed_up),
                    "–" if own else say.speed_up_with_interval(reach.speed_up_in_time),
                )
            )
    caption = (
        "Every evaluation count at the last step: means with 95% Student-t intervals over seeds. "
        "The difference is pairing minus baseline of the same seed, negative is better. "
        "Speed-ups are medians with bootstrap intervals."
    )
    return Table(caption, headers, tuple(rows))


def seeds_table(comparison: Comparison) -> Table:
    """Every single run at the judged evaluation count, so that nothing hides behind a mean."""
    at = comparison.judged_at
    baseline = {curve.seed: curve for curve in curves_of(comparison, comparison.baseline)}
    rows = []
    for pairing in pairing_names(comparison):
        for curve in curves_of(comparison, pairing):
            lowest = best(curve, at)
            crossed, crossed_seconds = first_crossing(curve, best(baseline[curve.seed], at), at)
            rows.append(
                (
                    pairing,
                    str(curve.seed),
                    say.number(curve.points[-1].scores[at].frechet),
                    f"{say.number(lowest)} at step {say.steps(first_crossing(curve, lowest, at)[0])}",
                    say.steps(crossed),
                    say.seconds(crossed_seconds),
                    say.seconds(curve.seconds_per_step),
                )
            )
    goal = f"{comparison.baseline}'s best of the same seed"
    headers = (
        "Pairing",
        "Seed",
        "Last distance",
        "Best distance",
        f"Steps to {goal}",
        f"Time to {goal}",
        "Time per step",
    )
    return Table(f"Every run, at {at} evaluations per image", headers, tuple(rows))


def rich_table(table: Table) -> Group:
    """The table for `rich.print`; up to four pairings stand side by side, and names are never markup."""
    drawn = RichTable(title=escape(table.caption), title_justify="left")
    lines = [table.headers, *table.rows]
    # A few pairings side by side fit 80 columns; many fit better below each other.
    if len(table.rows) <= 4:
        lines = list(zip(*lines, strict=True))
    for index, name in enumerate(lines[0]):
        drawn.add_column(escape(name), justify="left" if index == 0 else "right", overflow="fold")
    for row in lines[1:]:
        drawn.add_row(*(Text(cell) for cell in row))
    return Group(drawn, *(Text(f"• {note}") for note in table.notes))


def markdown_table(table: Table) -> str:
    """The same table as Markdown, its caption above and its notes below."""
    lines = [
        _plain(table.caption),
        "",
        "| " + " | ".join(map(_plain, table.headers)) + " |",
        "|---|" + "---:|" * (len(table.headers) - 1),
        *("| " + " | ".join(map(_plain, row)) + " |" for row in table.rows),
    ]
    if table.notes:
        lines += ["", *(f"- {_plain(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _steps_cell(summary: Summary, at: int) -> str:
    reach = summary.reach[at]
    missing = len(summary.seeds) - reach.reached
    aside = f", {reach.reached} of {len(summary.seeds)} seeds" if missing and reach.reached else ""
    return say.steps(reach.steps.value) + aside


def _plain(cell: str) -> str:
    """Keep Markdown from reading a name as a cell border, a tag or emphasis."""
    for mark in "\\|<>*_`[]":
        cell = cell.replace(mark, f"\\{mark}")
    return cell
