"""A training step with `Nearest` compiles into one graph, and draws the same law.

The backends need no C++ compiler: what breaks a graph is found before any backend sees it.
"""

import pytest
import torch
from scipy import stats

from immiscible_diffusion.pairing import Nearest, Pairing

CLEAN = 0.5 * torch.randn((16, 3, 8, 8), generator=torch.Generator().manual_seed(0))
MASK = torch.ones(16, 3, dtype=torch.bool)

PAIRINGS = {
    "k=8": Nearest(k=8),
    "k=64": Nearest(k=64),
    "k=4096": Nearest(k=4096),
    "dot": Nearest(k=8, rule="dot"),
    "centred": Nearest(k=64, centre=torch.full((3, 1, 1), 0.1)),
    "batch": Nearest(k=8, centre="batch"),
}


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("pairing", PAIRINGS.values(), ids=PAIRINGS)
def test_a_training_step_has_no_graph_break(pairing: Pairing) -> None:
    network = torch.nn.Conv2d(3, 3, 3, padding=1)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def step(clean: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        noise = pairing(clean, mask=mask)
        time = torch.rand(len(clean), 1, 1, 1)
        noisy = (1 - time) * clean + time * noise
        return (network(noisy) - (noise - clean)).square().mean()

    for mask in (None, MASK):
        loss = step(CLEAN, mask)
        loss.backward()
        assert torch.isfinite(loss)
    assert network.weight.grad is not None and bool(network.weight.grad.abs().sum() > 0)


@pytest.mark.parametrize("k", [8, 4096])
def test_compiled_noise_follows_the_law_of_the_eager_one(k: int) -> None:
    clean = CLEAN[:1].expand(1500, -1, -1, -1)
    compiled = torch.compile(Nearest(k=k).__call__, fullgraph=True, backend="eager")
    torch.manual_seed(1)
    one = (compiled(clean) - clean).flatten(1).norm(dim=1)
    other = (Nearest(k=k)(clean) - clean).flatten(1).norm(dim=1)
    assert stats.ks_2samp(one.numpy(), other.numpy()).pvalue > 1e-3
    assert float(one.mean()) < float((torch.randn_like(clean) - clean).flatten(1).norm(dim=1).mean())


def test_every_call_of_the_graph_draws_anew() -> None:
    compiled = torch.compile(Nearest(k=8).__call__, fullgraph=True, backend="aot_eager")
    assert not torch.equal(compiled(CLEAN), compiled(CLEAN))


def test_a_generator_cannot_be_compiled_and_says_so() -> None:
    """Dynamo (torch 2.13) has no form for a generator; inside a graph the default one draws."""
    compiled = torch.compile(Nearest(k=8).__call__, fullgraph=True, backend="eager")
    with pytest.raises(torch._dynamo.exc.Unsupported, match="Generator"):
        compiled(CLEAN, generator=torch.Generator())
