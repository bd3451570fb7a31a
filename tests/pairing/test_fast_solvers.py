"""Every assignment solver finds the same least cost, and which one works is never a secret."""

import logging

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from immiscible_diffusion.pairing import Assigned, assign, solvers

INSTALLED = [solver for solver in ("scipy", "lapx") if solvers.installed(solver)]


def cost_of(rows: int, dtype: type, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    clean = random.standard_normal((rows, 40)) * random.uniform(0.2, 3, (rows, 1))
    return -(clean @ random.standard_normal((40, rows))).astype(dtype)


@pytest.mark.parametrize("solver", INSTALLED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [2, 3, 50, 300, 800])
def test_every_solver_is_exact(solver: solvers.Solver, dtype: type, rows: int) -> None:
    cost = cost_of(rows, dtype)
    columns = solvers.solve(cost, solver)
    assert columns.dtype == np.int64 and sorted(columns) == list(range(rows))
    least = cost[linear_sum_assignment(cost)].sum(dtype=np.float64)
    assert cost[np.arange(rows), columns].sum(dtype=np.float64) == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("solver", INSTALLED)
def test_equal_and_huge_costs_are_solved(solver: solvers.Solver) -> None:
    for cost in (np.zeros((40, 40)), np.ones((40, 40)), np.full((40, 40), -3e38), np.eye(40) * 1e30):
        columns = solvers.solve(cost.astype(np.float32), solver)
        assert sorted(columns) == list(range(40))


def test_costs_whose_differences_overflow_float32_are_solved_exactly() -> None:
    cost = (cost_of(50, np.float64) * 1e37).clip(-3e38, 3e38).astype(np.float32)
    cost[0] = [-3e38, 3e38] * 25
    least = cost[linear_sum_assignment(cost)].sum(dtype=np.float64)
    for solver in INSTALLED:
        columns = solvers.solve(cost, solver)
        assert cost[np.arange(50), columns].sum(dtype=np.float64) == pytest.approx(least, rel=1e-6)


def test_lapx_is_never_given_an_infinite_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    lap = pytest.importorskip("lap")
    given, solve = [], lap.lapjvs
    monkeypatch.setattr(lap, "lapjvs", lambda cost, **named: given.append(cost) or solve(cost, **named))
    cost = cost_of(20, np.float32)
    cost[0] = [-3e38, 3e38] * 10
    solvers.solve(cost, "lapx")
    assert np.isfinite(given[0]).all()


@pytest.mark.parametrize("solver", INSTALLED)
def test_assigned_gives_the_same_noise_whatever_the_solver(solver: solvers.Solver) -> None:
    clean = torch.randn((64, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    chosen = Assigned(solver=solver)(clean, generator=torch.Generator().manual_seed(2))
    plain = Assigned(solver="scipy")(clean, generator=torch.Generator().manual_seed(2))
    assert torch.equal(chosen, plain)


def test_size_decides_between_those_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def have(*names: str) -> None:
        monkeypatch.setattr(solvers, "installed", lambda solver: solver in (*names, "scipy"))

    have("lapx")
    assert [solvers.solver_for(rows) for rows in (2, 767, 768, 9999)] == ["scipy", "scipy", "lapx", "lapx"]
    assert repr(Assigned()) == "Assigned(solver='auto': scipy, from 768 rows lapx)"
    have()
    assert {solvers.solver_for(rows) for rows in (2, 9999)} == {"scipy"}
    assert repr(Assigned()) == "Assigned(solver='auto': scipy)"
    with pytest.raises(ImportError, match="solver 'lapx' is not installed; pip install lapx"):
        Assigned(solver="lapx")


def test_unknown_solver_is_refused() -> None:
    with pytest.raises(ValueError, match="solver must be one of auto, scipy, lapx, got 'hungarian'"):
        Assigned(solver="hungarian")  # type: ignore[arg-type]


def test_the_path_taken_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    solvers._announce.cache_clear()
    with caplog.at_level(logging.INFO, logger=solvers.__name__):
        for _ in range(3):
            assign(torch.randn(5, 4), torch.randn(5, 4), solver="scipy")
    assert [record.getMessage() for record in caplog.records] == ["assignment is solved by scipy"]


def test_a_solver_that_fails_is_replaced_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lap = pytest.importorskip("lap")
    monkeypatch.setattr(lap, "lapjvs", lambda cost, **_: (None, np.zeros(len(cost), dtype=int), None))
    cost = cost_of(20, np.float32)
    columns = solvers.solve(cost, "lapx")
    assert np.array_equal(columns, linear_sum_assignment(cost)[1])
    assert "lapx gave no permutation of 20 rows; solving again with scipy" in caplog.text
