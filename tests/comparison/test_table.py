"""The same words in the terminal, in Markdown and on the page."""

import io

import numpy as np
import pytest
from rich.console import Console
from tests.comparison.synthetic import comparison, curve, realistic

from immiscible_diffusion.comparison import (
    Table,
    evaluations_table,
    markdown_table,
    results_table,
    rich_table,
    seeds_table,
    summarize,
)


@pytest.fixture(scope="module")
def table() -> Table:
    both = realistic()
    return results_table(both, summarize(both, np.random.default_rng(0)))


def printed(table: Table, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(rich_table(table))
    return file.getvalue()


def test_rows_hold_what_the_brief_of_a_reader_needs(table: Table) -> None:
    assert [row[0] for row in table.rows] == ["independent", "nearest:4", "assigned"]
    assert table.headers[1:4] == ("Distance at 5", "Distance at 20", "Distance at 50")
    nearest = dict(zip(table.headers, table.rows[1], strict=True))
    assert nearest["Verdict"] == "helps" and nearest["Pairing's share of a step"] == "3.0%"
    assert "×" in nearest["Speed-up in steps"] and "(" in nearest["Speed-up in time"]
    assert (
        dict(zip(table.headers, table.rows[2], strict=True))["Steps to independent's best"] == "not reached"
    )
    assert "random convolutions" in table.caption and "3 seeds" in table.caption
    assert len(table.notes) == 3


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_shows_every_cell_unbroken(table: Table, width: int) -> None:
    text = printed(table, width)
    assert max(map(len, text.splitlines())) <= width
    for row in table.rows:
        for cell in row:
            assert cell in text


def test_markdown_holds_the_same_cells(table: Table) -> None:
    lines = markdown_table(table).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert rows[0] == "| " + " | ".join(table.headers) + " |"
    assert rows[2] == "| " + " | ".join(table.rows[1]) + " |"
    assert sum(line.startswith("- ") for line in lines) == 3


def test_hostile_names_are_words() -> None:
    hostile = comparison(curve("[red]a|b[/red] <b>*", 0, [2, 1], [1, 2]), baseline="[red]a|b[/red] <b>*")
    table = results_table(hostile, summarize(hostile, np.random.default_rng(0)))
    assert printed(table, 200).count("[red]a|b[/red] <b>*") == 3  # heads a column and a row, opens a note
    assert r"\[red\]a\|b\[/red\] \<b\>\*" in markdown_table(table)


def test_one_seed_shows_no_interval() -> None:
    both = realistic(seeds=(4,))
    table = results_table(both, summarize(both, np.random.default_rng(0)))
    assert "1 seed, so without intervals" in table.caption
    assert not any("±" in cell or "(" in cell for row in table.rows for cell in row)
    assert table.rows[1][-1] == "one seed"


def test_partly_reached_is_counted() -> None:
    runs = [curve("independent", seed, [8, 4], [100, 200]) for seed in range(3)]
    runs += [curve("nearest", seed, [8, 2 if seed else 5], [100, 200]) for seed in range(3)]
    both = comparison(*runs)
    table = results_table(both, summarize(both, np.random.default_rng(0)))
    assert "167, 2 of 3 seeds" in table.rows[1]
    assert "(not reached to 1.20)" in " ".join(table.rows[1])


def test_every_run_and_every_count_has_a_row() -> None:
    both = realistic()
    assert len(seeds_table(both).rows) == 9
    every = evaluations_table(both, summarize(both, np.random.default_rng(0)))
    assert len(every.rows) == 9 and {len(row) for row in every.rows} == {len(every.headers)}
