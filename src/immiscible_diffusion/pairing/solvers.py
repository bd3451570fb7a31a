"""The exact assignment solvers: which is quickest for how many rows, and what each wants to be given.

Milliseconds on CIFAR-10 images, one thread, 64 / 256 / 1024 / 4096 rows: scipy 0.1 / 2.3 / 69 / 2,380;
lapx (`lapjvs`) 0.05 / 0.6 / 27 / 940, given each row less its least cost, which changes no permutation:
without that lapx takes 2 to 5 times as long. Both release the GIL. The package lapjv is as quick, but does
not always return: on a batch of 256 digits it ran for ever.
"""

import functools
import importlib.util
import logging
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Solver = Literal["auto", "scipy", "lapx"]
CROSSOVER = 768  # rows from which lapx saves a time worth having: about 20 ms of a step at 1024

logger = logging.getLogger(__name__)


@functools.cache
def installed(solver: str) -> bool:
    """Whether a solver can be used here."""
    if solver == "scipy":
        return True
    # lapx shares its folder with the older `lap`, which has no `lapjvs`.
    return importlib.util.find_spec("lap") is not None and hasattr(importlib.import_module("lap"), "lapjvs")


def solver_for(rows: int, wanted: Solver = "auto") -> str:
    """Name the solver that `rows` rows are given to: "scipy" or "lapx".

    Raises ValueError for an unknown name, ImportError for one that is not installed.
    """
    if wanted not in get_args(Solver):
        raise ValueError(f"solver must be one of {', '.join(get_args(Solver))}, got {wanted!r}")
    if wanted == "auto":
        return "lapx" if rows >= CROSSOVER and installed("lapx") else "scipy"
    if not installed(wanted):
        raise ImportError(f"solver {wanted!r} is not installed; pip install {wanted}, or use solver='auto'")
    return wanted


def describe(wanted: Solver = "auto") -> str:
    """Say in one phrase what `solver_for` answers here."""
    few, many = solver_for(2, wanted), solver_for(CROSSOVER, wanted)
    return few if few == many else f"{few}, from {CROSSOVER} rows {many}"


def solve(cost: NDArray, wanted: Solver = "auto") -> NDArray[np.int64]:
    """Find the column of every row in the permutation of least total cost, exactly.

    cost: float32 or float64 [B, B], finite.
    """
    solver = solver_for(len(cost), wanted)
    _announce(solver, wanted)
    if solver == "scipy":
        return np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)
    import lap

    # Rows that all begin at 0 compete for the columns as equals; else the largest images take them all.
    with np.errstate(over="ignore"):
        raised = cost - cost.min(axis=1, keepdims=True)
    raised = raised if np.isfinite(raised.max()) else cost
    columns = np.asarray(lap.lapjvs(raised, return_cost=False, jvx_like=True)[1])
    if not np.array_equal(np.sort(columns), np.arange(len(cost))):
        logger.warning("%s gave no permutation of %d rows; solving again with scipy", solver, len(cost))
        return np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)
    return columns.astype(np.int64)


@functools.cache
def _announce(solver: str, wanted: Solver) -> None:
    """Log each path once: an info, so that whoever listens knows and nobody else is bothered."""
    hint = (
        "; `pip install lapx` is up to 3 times as fast from 768 rows"
        if (solver, wanted) == ("scipy", "auto")
        else ""
    )
    logger.info("assignment is solved by %s%s", solver, hint)
