"""`immiscible evidence`: run the comparisons that the project's claims rest on, and write their page."""

import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Union

import tyro


def run(
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    results: Path = Path("results"),
    runs: Path = Path("runs/evidence"),
    data: Path | None = None,
    weights: Path | None = None,
    seeds: int | None = None,
    minutes: float | None = None,
) -> None:
    """Run what results/ lacks of the listed comparisons, one run at a time; skips what is done.

    Args:
        names: Comparisons, as `evidence list` names them; all where none is given.
        results: Folder of the results, a JSON for each comparison, written after every run.
        runs: Folder of the runs themselves; one that was stopped goes on.
        data: Folder that has the data sets as cifar10, fashion_mnist; without it the hub's copies.
        weights: Folder that has the CIFAR-10 ResNet-20 whose features CIFAR-10 is measured with.
        seeds: Make the runs of the first so many seeds only.
        minutes: Begin no further run after so many.
    """
    from immiscible_diffusion.evidence import Places, chosen_comparisons, run_listed

    started = clock.monotonic()
    places = Places(results, runs, data, weights)
    try:
        for listed in chosen_comparisons(names):
            for result in run_listed(listed, places, lambda text: print(text, flush=True), seeds):
                if minutes is not None and clock.monotonic() - started > 60 * minutes:
                    done = len(result.comparison.curves)
                    print(f"{minutes:g} minutes are over; {listed.name} has {done} runs. Again goes on.")
                    return
            print(f"{listed.name}: done", flush=True)
    except KeyboardInterrupt:
        print(f"\nStopped; {results} has what was finished. Give the same command again to go on.")
        raise SystemExit(130) from None


def show(results: Path = Path("results")) -> None:
    """List the comparisons, how many of their runs are done, and what they ask.

    Args:
        results: Folder of the results.
    """
    from immiscible_diffusion.evidence import listed_comparisons, read_results

    found = read_results(results)
    listing = listed_comparisons()
    width = max(len(listed.name) for listed in listing)
    for listed in listing:
        wanted = {(pairing, one.seed) for pairing, one in listed.runs()}
        curves = found[listed.name].comparison.curves if listed.name in found else ()
        done = len(wanted & {(curve.pairing, curve.seed) for curve in curves})
        print(f"{listed.name:{width}} {done:3} of {len(wanted):3}  {listed.question}")


def write(
    results: Path = Path("results"),
    benchmarks: Path = Path("benchmarks/results"),
    docs: Path = Path("docs"),
    readme: Path = Path("README.md"),
) -> None:
    """Write docs/results.md, its pictures and the README's headline from the JSONs; no number is typed.

    Args:
        results: Folder of the results.
        benchmarks: Folder of the benchmarks' results.
        docs: Folder to write to.
        readme: File whose headline is renewed.
    """
    from immiscible_diffusion.atomic_files import write_text
    from immiscible_diffusion.evidence import read_results, with_headline, write_document

    found = read_results(results)
    renewed = with_headline(readme.read_text(encoding="utf-8"), found)
    page = write_document(found, benchmarks, docs)
    write_text(readme, renewed)
    print(f"Wrote {page}, {docs / 'images' / 'results-*.png'} and the headline of {readme}")


ACTIONS: dict[str, Callable[..., None]] = {"run": run, "list": show, "write": write}

# Made from a dictionary, for which X | Y has no way of writing.
_Action: Any = Union[  # noqa: UP007
    tuple(Annotated[Any, tyro.conf.subcommand(name, constructor=act)] for name, act in ACTIONS.items())
]


def evidence(action: Annotated[_Action, tyro.conf.arg(name="")]) -> None:
    """Run the comparisons that this project's claims rest on, and write docs/results.md from them.

    Args:
        action: What to do.
    """
