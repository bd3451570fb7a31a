"""Inception-v3: the same features as torch-fidelity's network, from the files in circulation."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.evaluation import feature_network
from immiscible_diffusion.evaluation.inception import (
    FILE_NAMES,
    InceptionFeatures,
    find_inception_weights,
    inception_network,
    resize_as_tensorflow,
)


def made_up_weights() -> dict[str, Tensor]:
    """Weights under the published file's 472 keys, drawn in the order of their names."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in InceptionFeatures().state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith(("running_var", "bn.weight")):
            weights[name] = torch.rand(shape, generator=generator) + 0.5
        elif len(shape) == 4:
            weights[name] = (
                torch.randn(shape, generator=generator) * (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
            )
        else:
            weights[name] = torch.randn(shape, generator=generator) * 0.2
    return weights


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return made_up_weights()


@pytest.fixture(scope="module")
def file(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / FILE_NAMES[0]
    torch.save(weights, path)
    return path


@pytest.fixture(scope="module")
def network(file: Path) -> nn.Module:
    return inception_network(file)


def noise(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def colour(count: int = 4) -> ImageData:
    return ImageData("colour", noise(count, 3, 32, 32), None, (), "colour")


def test_the_published_files_keys_and_size(weights: dict[str, Tensor]) -> None:
    assert len(weights) == 472
    assert sum(tensor.numel() for tensor in weights.values()) == 23_885_392
    assert weights["fc.weight"].shape == (1008, 2048)
    assert weights["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)


def test_features_are_those_of_torch_fidelity(network: nn.Module) -> None:
    features = network(noise(2, 3, 32, 32))
    assert features.shape == (2, 2048) and features.dtype == torch.float32
    # Recorded from torch-fidelity 0.4.0's FeatureExtractorInceptionV3 with these weights and images.
    expected = torch.tensor(
        [
            [1.623141, 5.192502, 1.827556, 11.05792, 0.297904, 8.447918],
            [1.571614, 5.150779, 1.801785, 11.226317, 0.301827, 8.214826],
        ]
    )
    torch.testing.assert_close(features[:, ::400], expected, rtol=1e-5, atol=1e-5)


def test_grey_images_are_repeated_to_colour(network: nn.Module) -> None:
    grey = noise(1, 1, 28, 28)
    assert torch.equal(network(grey), network(grey.repeat(1, 3, 1, 1)))


def test_resizing_as_tensorflow_1_did() -> None:
    ramp = torch.tensor([[[[0.0, 10.0], [20.0, 30.0]]]])
    # tf.compat.v1.image.resize_bilinear(ramp, (4, 4)), whose last pixels are copies.
    expected = [[0, 5, 10, 10], [10, 15, 20, 20], [20, 25, 30, 30], [20, 25, 30, 30]]
    assert resize_as_tensorflow(ramp, 4)[0, 0].tolist() == expected
    assert torch.equal(resize_as_tensorflow(ramp, 2), ramp)


def test_safetensors_give_the_same_features(
    weights: dict[str, Tensor], network: nn.Module, tmp_path: Path, undisturbed: None
) -> None:
    save_file(weights, tmp_path / "inception.safetensors")
    chosen = feature_network("inception", colour(), weights=tmp_path / "inception.safetensors")
    assert torch.equal(chosen.module(noise(1, 3, 32, 32)), network(noise(1, 3, 32, 32)))
    assert (chosen.size, chosen.distance_name) == (2048, "FID")
    # Not the published file: its checksum says so, and so must the name beside the distance.
    assert chosen.name == "inception-v3(inception.safetensors)"
    assert not chosen.module.training and not any(
        weight.requires_grad for weight in chosen.module.parameters()
    )


@pytest.mark.parametrize("name", FILE_NAMES)
def test_weights_are_found_in_torch_hubs_folder(name: str, tmp_path: Path, file: Path) -> None:
    assert find_inception_weights() is None
    place = tmp_path / "torch" / "hub" / "checkpoints" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(file)
    assert find_inception_weights() == place
    assert feature_network("auto", colour()).distance_name == "FID"


def test_absent_weights_are_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"weights: none given and none in .*checkpoints; .*{FILE_NAMES[0]}"
    ):
        feature_network("inception", colour())
    absent = tmp_path / "absent.pth"
    with pytest.raises(ValueError, match=rf"weights: there is no file {absent}; give .*{FILE_NAMES[1]}"):
        feature_network("auto", colour(), weights=absent)


def test_a_wrong_file_names_its_first_wrong_key(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "wrong.pth"

    def refused(held: object, message: str) -> None:
        torch.save(held, path)
        with pytest.raises(ValueError, match=message) as caught:
            inception_network(path)
        assert str(path) in str(caught.value)
        assert FILE_NAMES[0] in str(caught.value) and FILE_NAMES[1] in str(caught.value)

    small = {"fc.bias": torch.zeros(1008)}
    refused(small, "lacks 'Conv2d_1a_3x3.conv.weight', the first missing key")
    refused(
        {**weights, "AuxLogits.fc.bias": torch.zeros(2)}, "has 'AuxLogits.fc.bias', the first unexpected key"
    )
    refused({**weights, "fc.bias": torch.zeros(1000)}, r"has 'fc.bias' of shape \(1000,\), not \(1008,\)")
    refused({**weights, "fc.bias": "text"}, r"has 'fc.bias' of shape \(\)")
    refused([1, 2], "holds a list, not tensors")


class Trap:
    """Runs code when unpickled, as a malicious file of weights would."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("trap"),))  # type: ignore[return-value]


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"fc.bias": Trap()}, "trap.pth")
    with pytest.raises(ValueError, match=r"weights: trap.pth does not load as a file of tensors"):
        inception_network(Path("trap.pth"))
    assert not Path("trap").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04"])
def test_garbage_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not load as a file of tensors"):
        inception_network(path)
