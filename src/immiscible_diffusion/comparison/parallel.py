"""Several runs at once, each in a process of its own, their progress told in one place."""

import os
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

Report = Callable[[str], None]
Result = TypeVar("Result")

# Set in worker processes by `_begin`; the pool has no other way to hand a worker something once.
_lines: Any = None


def default_jobs(runs: int) -> int:
    """How many runs to train at once: one on a GPU, else one a core.

    Small networks gain nothing from a second thread, and lose much where another program holds that core.
    """
    return 1 if torch.cuda.is_available() else max(1, min(runs, os.cpu_count() or 1))


def in_processes(
    work: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], jobs: int, report: Report
) -> list[Result]:
    """Call work(*task, report) for every task, `jobs` at a time in fresh processes; results in order.

    Cores are shared out evenly among the processes. The first error, or Ctrl-C, cancels what has not begun,
    lets the workers stop, and is raised here.
    """
    context = get_context("spawn")
    with context.Manager() as manager:
        lines = manager.Queue()
        threads = max(1, (os.cpu_count() or 1) // jobs)
        pool = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(lines, threads))
        try:
            futures = [pool.submit(_call, work, task) for task in tasks]
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                _tell(lines, report)
                for future in done:
                    future.result()
            _tell(lines, report)
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(lines: Any, threads: int) -> None:
    global _lines
    _lines = lines
    torch.set_num_threads(threads)


def _call(work: Callable[..., Result], task: tuple[Any, ...]) -> Result:
    return work(*task, _lines.put)


def _tell(lines: Any, report: Report) -> None:
    while True:
        try:
            report(lines.get_nowait())
        except queue.Empty:
            return
