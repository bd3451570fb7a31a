"""Choosing beside the draw: torch draws noise in one CPU thread, and the winner's law needs none of it."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

from immiscible_diffusion.pairing.independent import gaussian_like

Result = TypeVar("Result")
WORTH = 131_072  # elements that take longer to draw (0.3 ms) than a second thread does to wake


def draw_alongside(
    clean: Tensor, generator: torch.Generator | None, choose: Callable[[torch.Generator | None], Result]
) -> tuple[Tensor, Result]:
    """Draw N(0, I) like `clean` and call `choose`, at the same time where a second CPU thread may be used.

    choose: given the generator that it shall draw from. On a CPU it is one of its own, seeded by the state of
        `generator`, so that threads change no number and the noise is the one that `Independent` draws.
    What `choose` raises is raised here, with `generator` as it was.
    """
    if torch.compiler.is_compiling():
        return gaussian_like(clean, generator), choose(generator)
    if clean.device.type != "cpu":
        return _restoring(generator, lambda: (gaussian_like(clean, generator), choose(generator)))
    own = _own_generator(generator)
    if torch.get_num_threads() == 1 or clean.numel() < WORTH:
        result = choose(own)
        return gaussian_like(clean, generator), result

    def together() -> tuple[Tensor, Result]:
        chosen = _second_thread().submit(choose, own)
        return gaussian_like(clean, generator), chosen.result()

    return _restoring(generator, together)


def _own_generator(generator: torch.Generator | None) -> torch.Generator:
    state = (generator or torch.default_generator).get_state()
    digest = hashlib.blake2b(state.numpy().tobytes(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def _restoring(generator: torch.Generator | None, call: Callable[[], Result]) -> Result:
    """Call, and put a given generator back to where it was if that raises."""
    before = None if generator is None else generator.get_state()
    try:
        return call()
    except BaseException:
        if generator is not None and before is not None:
            generator.set_state(before)
        raise


@cache
def _second_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="immiscible-choosing")


# A forked process has the pool but not its thread, and would wait for ever.
os.register_at_fork(after_in_child=_second_thread.cache_clear)
