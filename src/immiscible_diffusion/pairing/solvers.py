"""The exact assignment solvers: which is quickest for how many rows, and what each wants to be given.

Milliseconds on CIFAR-10 images, one thread, 64 / 256 / 1024 / 4096 rows: scipy 0.1 / 2.2 / 61 / 2,380;
lapx (`lapjvs`) 0.1 / 1.3 / 35 / 780, given a constant on every row, which changes no permutation: without it
lapx takes 2 to 3 times as long. Both release the GIL. The package lapjv is as quick, but does not always
return: on a batch of 256 digits it ran for ever.
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
# Row constants up to this many standard deviations of the cost leave float32 enough digits for the rest.
LARGEST_OFFSET = 32.0

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


def solve(cost: NDArray, norms: NDArray, wanted: Solver = "auto") -> NDArray[np.int64]:
    """Find the column of every row in the permutation of least total cost, exactly.

    cost: float32 or float64 [B, B], finite. norms: the cost's row norms or anything like them, [B].
    """
    solver = solver_for(len(cost), wanted)
    _announce(solver, wanted)
    if solver == "scipy":
        return np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)
    shifted = cost + _offsets(cost, norms)[:, None]
    import lap

    columns = np.asarray(lap.lapjvs(shifted, return_cost=False, jvx_like=True)[1])
    if not np.array_equal(np.sort(columns), np.arange(len(cost))):
        logger.warning("%s gave no permutation of %d rows; solving again with scipy", solver, len(cost))
        return np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)
    return columns.astype(np.int64)


def _offsets(cost: NDArray, norms: NDArray) -> NDArray:
    """A constant for every row, larger for larger images, as squared L2 has it: ‖x‖²."""
    squares = np.square(norms.astype(np.float64))
    offsets = squares - squares.mean()
    limit = LARGEST_OFFSET * float(cost.std(dtype=np.float64))
    largest = float(np.abs(offsets).max())
    scale = min(1.0, limit / largest) if largest > 0 else 1.0
    return np.asarray(scale * offsets, dtype=cost.dtype)


@functools.cache
def _announce(solver: str, wanted: Solver) -> None:
    """Log each path once: an info, so that whoever listens knows and nobody else is bothered."""
    hint = (
        "; `pip install lapx` is up to 3 times as fast from 768 rows"
        if (solver, wanted) == ("scipy", "auto")
        else ""
    )
    logger.info("assignment is solved by %s%s", solver, hint)
