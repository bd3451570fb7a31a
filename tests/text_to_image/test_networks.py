"""Networks that read prompts."""

import pytest
import torch

from immiscible_diffusion.text_to_image.networks import NETWORKS, build_text_network


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "stable-diffusion"])
def test_networks_read_the_prompt(name: str) -> None:
    shape, width = (4, 8, 8), 64
    network = build_text_network(name, shape, width, seed=3).eval()
    again = build_text_network(name, shape, width, seed=3)
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    noisy, time = torch.randn(2, *shape), torch.tensor([10.0, 900.0])
    one, other = (network(noisy, time, torch.randn(2, 77, width)) for _ in range(2))
    assert one.shape == noisy.shape and not torch.allclose(one, other)
    with pytest.raises(ValueError, match=r"needs latents whose sides divide by \d, got 7×8; choose"):
        build_text_network(name, (4, 7, 8), width)


def test_the_stable_diffusion_network_is_that_of_version_1() -> None:
    with torch.device("meta"):
        network = NETWORKS["stable-diffusion"]((4, 64, 64), 768)
    assert sum(parameter.numel() for parameter in network.parameters()) == 859_520_964
