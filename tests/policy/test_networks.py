"""The policy's networks: shapes, sizes, what reaches what."""

import pytest
import torch
from torch import nn

from immiscible_diffusion.networks import parameter_count
from immiscible_diffusion.policy.networks import POLICY_NETWORKS, ConditionalUNet1d, build_policy_network


@pytest.mark.parametrize("name", ["mlp-small", "unet-1d-small"])
def test_a_prediction_has_the_chunks_shape_and_uses_all_it_is_given(name: str) -> None:
    network = build_policy_network(name, (16, 2), (2, 20))
    noisy = torch.randn(3, 16, 2, requires_grad=True)
    time = torch.tensor([0.0, 50.0, 99.0])
    seen = torch.randn(3, 2, 20, requires_grad=True)
    predicted = network(noisy, time, seen)
    assert predicted.shape == noisy.shape
    predicted.square().sum().backward()
    assert noisy.grad is not None and (noisy.grad != 0).all()
    assert seen.grad is not None and (seen.grad != 0).all()
    assert not torch.equal(network(noisy, time + 1, seen), predicted)
    # Rows do not mix.
    alone = network(noisy[:1], time[:1], seen[:1])
    assert torch.allclose(alone, predicted[:1], atol=1e-5)


@pytest.mark.parametrize(("seen", "low", "high"), [((2, 20), 65e6, 80e6), ((2, 5), 60e6, 80e6)])
def test_the_published_network_has_its_size(seen: tuple[int, int], low: float, high: float) -> None:
    with torch.device("meta"):
        assert low < parameter_count(ConditionalUNet1d((16, 2), seen)) < high


def test_convolutions_alone_see_the_whole_chunk() -> None:
    network = ConditionalUNet1d((16, 2), (2, 5), (8, 16, 32), time_width=16)
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):  # which would mix all steps by itself
                setattr(module, name, nn.Identity())
    noisy = torch.randn(1, 16, 2, requires_grad=True)
    for step in (0, 7, 15):
        network(noisy, torch.zeros(1), torch.randn(1, 2, 5))[0, step].sum().backward()
        assert noisy.grad is not None and (noisy.grad.abs().sum(dim=2) > 0).all()
        noisy.grad = None


def test_weights_depend_on_the_seed_alone() -> None:
    one, same, other = (build_policy_network("mlp", (16, 2), (2, 5), seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="unknown policy network 'unet1d'; did you mean 'unet-1d'"):
        build_policy_network("unet1d", (16, 2), (2, 5))
    with pytest.raises(ValueError, match="horizon must divide by 4, got 10"):
        build_policy_network("unet-1d-small", (10, 2), (2, 5))
    assert set(POLICY_NETWORKS) == {"mlp-small", "mlp", "unet-1d-small", "unet-1d"}
