"""The named networks."""

import pytest
import torch

from immiscible_diffusion.networks import NETWORKS, build_network, parameter_count


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mlp", (1, 8, 8)),
        ("mlp-wide", (1, 28, 28)),
        ("unet-tiny", (1, 8, 8)),
        ("unet-patch", (3, 32, 32)),
        ("unet-small", (1, 28, 28)),
        ("unet-medium", (3, 32, 32)),
    ],
)
def test_networks_keep_the_shape_and_use_time_and_class(name: str, shape: tuple[int, int, int]) -> None:
    network = build_network(name, shape, classes=4).eval()
    noisy = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    time, labels = torch.tensor([10.0, 900.0]), torch.tensor([0, 3])
    with torch.no_grad():
        output = network(noisy, time, labels)
        assert output.shape == noisy.shape
        assert not torch.allclose(output, network(noisy, time.flip(0), labels))
        assert not torch.allclose(output, network(noisy, time, labels.flip(0)))


def test_the_papers_network_has_its_size() -> None:
    assert parameter_count(build_network("unet-paper", (3, 32, 32))) == 35_746_307


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"unet-paper", "unet-medium"}))
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = build_network(name, (1, 8, 8), seed=7).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = build_network(name, (1, 8, 8), seed=7), build_network(name, (1, 8, 8), seed=8)
    assert all(torch.equal(first[key], value) for key, value in again.state_dict().items())
    assert any(not torch.equal(first[key], value) for key, value in other.state_dict().items())


@pytest.mark.parametrize(("name", "shape"), [("mlp-wide", (1, 28, 28)), ("unet-patch", (3, 32, 32))])
def test_noise_gets_past_a_narrow_network(name: str, shape: tuple[int, int, int]) -> None:
    """To the prediction, the noisy image times a number of the time alone: all of its dimensions."""
    network = build_network(name, shape).eval()
    noisy = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([10.0, 900.0])
    with torch.no_grad():
        passed = network(noisy, time) - network.network(noisy, time)
    scales = (passed / noisy).flatten(1)
    assert torch.allclose(scales, scales.median(dim=1, keepdim=True).values, rtol=1e-2, atol=1e-4)
    assert float(scales[0].median()) != pytest.approx(float(scales[1].median()), rel=1e-3)


def test_errors() -> None:
    with pytest.raises(ValueError, match="did you mean 'unet-small'"):
        build_network("unet-smal", (1, 8, 8))
    with pytest.raises(ValueError, match="must divide by 8, got 28×28"):
        build_network("unet-patch", (1, 28, 28))
    with pytest.raises(ValueError, match="must divide by 4, got 30×30"):
        build_network("unet-small", (1, 30, 30))
