"""Choosing beside the draw: a second thread changes no number, survives a fork, and hides no error."""

import multiprocessing
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest
import torch

from immiscible_diffusion.pairing import Nearest
from immiscible_diffusion.pairing.alongside import WORTH, draw_alongside

CLEAN = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(1))
assert CLEAN.numel() >= WORTH


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("k", [8, 64])
@pytest.mark.parametrize("rule", ["l2", "dot"])
def test_threads_change_no_number(k: int, rule: str) -> None:
    pairing = Nearest(k=k, rule=rule)
    before = torch.get_num_threads()
    noises = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            noises.append(pairing(CLEAN, generator=seeded()))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*noises)


@pytest.mark.usefixtures("two_threads")
def test_a_second_thread_is_used_where_it_is_worth_it() -> None:
    def name_of_thread(generator: torch.Generator | None) -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    assert draw_alongside(CLEAN, seeded(), name_of_thread)[1].startswith("immiscible-choosing")
    assert draw_alongside(CLEAN[:2], seeded(), name_of_thread)[1] == here
    torch.set_num_threads(1)
    assert draw_alongside(CLEAN, seeded(), name_of_thread)[1] == here


def test_the_noise_is_the_one_that_independent_draws_and_leaves_the_generator_there() -> None:
    generator, plain = seeded(), seeded()
    noise, drawn = draw_alongside(CLEAN, generator, lambda own: torch.rand(3, generator=own))
    assert torch.equal(noise, torch.randn(CLEAN.shape, generator=plain))
    assert torch.equal(generator.get_state(), plain.get_state())
    again, other = draw_alongside(CLEAN, generator, lambda own: torch.rand(3, generator=own))
    assert not torch.equal(again, noise) and not torch.equal(drawn, other)


@pytest.mark.usefixtures("two_threads")
def test_an_error_beside_the_draw_is_raised_with_the_generator_as_it_was() -> None:
    clean = CLEAN.clone()
    clean[5, 0, 0, 0] = torch.nan
    generator = seeded()
    with pytest.raises(ValueError, match="clean has a NaN or infinite value in row 5"):
        Nearest(k=8)(clean, generator=generator)
    assert torch.equal(generator.get_state(), seeded().get_state())
    assert torch.isfinite(Nearest(k=8)(CLEAN, generator=generator)).all()


def pair_in_child(results: Connection) -> None:
    torch.set_num_threads(2)
    results.send_bytes(Nearest(k=8)(CLEAN, generator=seeded()).numpy().tobytes())


@pytest.mark.usefixtures("two_threads")
def test_a_forked_process_does_not_wait_for_its_parents_thread() -> None:
    expected = Nearest(k=8)(CLEAN, generator=seeded()).numpy().tobytes()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=pair_in_child, args=(there,))
    child.start()
    try:
        assert here.poll(timeout=60), "the forked process hangs"
        assert here.recv_bytes() == expected
    finally:
        child.kill()
        child.join()
