"""Every page of docs/integrations runs, on real digits, in what its trainer has; and its noise is nearer."""

import importlib.util
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from scipy.stats import ks_2samp
from torch import Tensor

from immiscible_diffusion import Nearest, assign, diagnose
from immiscible_diffusion.analysis.clean_images import load_clean

PAGES = Path(__file__).resolve().parents[2] / "docs" / "integrations"
RUN = {page.stem: page for page in sorted(PAGES.glob("*.md"))}


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    """256 handwritten digits [B, 1, 8, 8] in [−1, 1], and their labels."""
    from sklearn.datasets import load_digits

    return load_clean("digits", rows=256).rows(slice(None)), torch.as_tensor(load_digits().target[:256])


def snippets(page: str) -> list[str]:
    """The Python of a page, in its order."""
    text = RUN[page].read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def run(page: str, **given: Any) -> dict[str, Any]:
    """Run a page's snippets one after the other, with what its trainer has."""
    names: dict[str, Any] = {"torch": torch, **given}
    for number, snippet in enumerate(snippets(page)):
        exec(compile(snippet, f"{page}.md, snippet {number + 1}", "exec"), names)
    return names


def network() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.SiLU(), torch.nn.Conv2d(8, 1, 3, padding=1)
    )


def nearer(clean: Tensor, noise: Tensor, target: Tensor, noisy: Tensor | None = None) -> None:
    """The noise is nearer than independent noise, and target and input are made of it."""
    found = diagnose(clean.float(), noise.float(), target.float(), None if noisy is None else noisy.float())
    assert found.healthy, found
    assert found.target is not None and found.target.agrees, found
    assert noisy is None or (found.noisy is not None and found.noisy.agrees), found


def test_every_page_has_a_test() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert set(RUN) - set(re.findall(r'run\(\s*"([a-z-]+)"', source)) == set()


def test_index(digits: tuple[Tensor, Tensor]) -> None:
    names = run("index", latents=digits[0])
    assert names["found"].healthy


def test_levels(digits: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    names = run("levels", latents=digits[0])
    levels = names["time"] / (1 - names["time"])
    lean = (names["noise"] * (digits[0] - digits[0].mean(dim=0))).sum(dim=(1, 2, 3))
    high = levels >= names["above"].level
    assert 50 < int(high.sum()) < 200 and lean[high].mean() > 2 > 1 > abs(lean[~high].mean())
    assert torch.equal(names["target"], names["noise"] - digits[0])


def test_pytorch(digits: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    names = run("pytorch", images=digits[0], network=network())
    nearer(names["clean"], names["noise"], names["target"], names["noisy"])
    assert float(names["drawn"].std()) < 0.98
    rescaled = names["pairing"](digits[0])
    assert abs(float(rescaled.std()) - 1) < 0.02
    assert float((rescaled * (digits[0] - digits[0].mean(dim=0))).sum(dim=(1, 2, 3)).mean()) > 0.5


def test_diffusers(digits: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )
    names = run("diffusers", latents=digits[0], unet=unet)
    nearer(digits[0], names["noise"], names["target"], names["noisy"])
    assert all(parameter.grad is not None for parameter in unet.conv_in.parameters())


def test_kohya(digits: tuple[Tensor, Tensor]) -> None:
    args = types.SimpleNamespace(noise_offset=0, ip_noise_gamma=0)
    names = run("kohya", args=args, noise_scheduler=DDPMScheduler(), latents=digits[0])
    nearer(digits[0], names["noise"], names["target"], names["noisy"])
    function = names["get_noise_noisy_latents_and_timesteps"]
    perturbed = types.SimpleNamespace(noise_offset=0, ip_noise_gamma=0.1)
    noise, noisy, _ = function(perturbed, DDPMScheduler(), digits[0])
    found = diagnose(digits[0], noise, noise, noisy)
    assert found.healthy and found.noisy is not None and found.noisy.added


def test_onetrainer(digits: tuple[Tensor, Tensor]) -> None:
    config = types.SimpleNamespace(train_device=torch.device("cpu"), offset_noise_weight=0.0)
    names = run("onetrainer", latents=digits[0], config=config)
    nearer(digits[0], names["noise"], names["target"])
    again = run("onetrainer", latents=digits[0], config=config)
    assert torch.equal(names["noise"], again["noise"])


def test_ai_toolkit(digits: tuple[Tensor, Tensor]) -> None:
    def process(kind: Any) -> Any:
        one = kind()
        one.train_config = types.SimpleNamespace(optimal_noise_pairing_samples=16)
        return one

    names = run("ai-toolkit", latents=digits[0], process=process)
    assert names["noise"].dtype == torch.bfloat16
    nearer(digits[0], names["noise"], names["target"])


def provide_torchcfm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make TorchCFM importable: the package, or what it documents where it is not installed."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchcfm"]:
        monkeypatch.delitem(sys.modules, name)
    if importlib.util.find_spec("torchcfm") is not None:
        if importlib.util.find_spec("ot") is None:  # its own solver, which the page does without
            ot = types.ModuleType("ot")
            ot.emd = print  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, "ot", ot)
        return

    class ConditionalFlowMatcher:
        def __init__(self, sigma: float = 0.0) -> None:
            self.ot_sampler: Any = None

        def sample_location_and_conditional_flow(self, x0: Tensor, x1: Tensor) -> tuple[Tensor, ...]:
            t = torch.rand(len(x0))
            time = t.view(-1, 1, 1, 1)
            return t, time * x1 + (1 - time) * x0, x1 - x0

        def guided_sample_location_and_conditional_flow(
            self, x0: Tensor, x1: Tensor, y0: Any = None, y1: Any = None
        ) -> tuple[Any, ...]:
            x0, x1, y0, y1 = self.ot_sampler.sample_plan_with_labels(x0, x1, y0, y1)
            return *self.sample_location_and_conditional_flow(x0, x1), y0, y1

    package, module = types.ModuleType("torchcfm"), types.ModuleType("torchcfm.conditional_flow_matching")
    module.ConditionalFlowMatcher = ConditionalFlowMatcher  # type: ignore[attr-defined]
    module.ExactOptimalTransportConditionalFlowMatcher = ConditionalFlowMatcher  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchcfm", package)
    monkeypatch.setitem(sys.modules, "torchcfm.conditional_flow_matching", module)


def test_torchcfm(digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    provide_torchcfm(monkeypatch)
    torch.manual_seed(0)
    images, labels = digits
    names = run("torchcfm", images=images, labels=labels)
    nearer(images, names["noise"], names["target"], names["noisy"])
    # The matcher with our plan: images and labels in their rows, noise permuted, target of both.
    assert names["y1"] is labels
    source = images - names["ut"]
    assert torch.allclose(source, names["x0"][assign(images, names["x0"])], atol=1e-5)
    nearer(images, source, names["ut"], names["xt"])


class Gaussian:
    """`GaussianDiffusion` as denoising-diffusion-pytorch 2.3.4 documents its call."""

    def __init__(self) -> None:
        self.scheduler, self.network = DDPMScheduler(), network()
        self.seen: tuple[Tensor, ...] = ()

    def normalize(self, images: Tensor) -> Tensor:
        return images * 2 - 1

    def __call__(self, img: Tensor, noise: Tensor | None = None) -> Tensor:
        clean = self.normalize(img)
        noise = torch.randn_like(clean) if noise is None else noise
        noisy = self.scheduler.add_noise(clean, noise, torch.randint(0, 1000, (len(img),)))
        self.seen = clean, noise, noisy
        return F.mse_loss(self.network(noisy), noise)


def test_denoising_diffusion_pytorch(digits: tuple[Tensor, Tensor]) -> None:
    diffusion = Gaussian()
    names = run("denoising-diffusion-pytorch", images=(digits[0] + 1) / 2, diffusion=diffusion)
    clean, noise, noisy = diffusion.seen
    nearer(clean, noise, noise, noisy)
    assert names["found"].verdict.startswith("WRONG NOISE")


def test_lightning(digits: tuple[Tensor, Tensor]) -> None:
    pytest.importorskip("lightning")
    names = run("lightning", images=digits[0], network=network())
    assert names["trainer"].global_step == 3
    nearer(*names["module"].last)


def test_lerobot(digits: tuple[Tensor, Tensor]) -> None:
    # Strokes in the place of actions: 8 steps of 8 numbers, the last ones padding in every fourth chunk.
    actions = digits[0][:, 0].clone()
    padding = torch.zeros(len(actions), 8, dtype=torch.bool)
    padding[::4, 5:] = True
    actions[padding] = 50.0  # padding that would decide everything
    batch = {"action": actions, "action_is_pad": padding}
    policy = torch.nn.Linear(8, 8)
    torch.manual_seed(0)
    names = run("lerobot", batch=batch, network=policy, noise_scheduler=DDPMScheduler())
    found = diagnose(actions, names["noise"], names["target"], mask=~padding)
    assert found.healthy and found.left_out == 64, found
    # Masked, padding's noise stays Gaussian; unmasked, it would be drawn to 50.
    assert abs(float(names["noise"][padding].mean())) < 0.1
    assert float(Nearest(k=2)(actions)[padding].mean()) > 0.02
    assert type(names["chosen"]).__name__ == "Independent"


def test_jax_formula_has_the_law_of_ours(digits: tuple[Tensor, Tensor]) -> None:
    pixels = digits[0].flatten(1).repeat(16, 1).numpy()
    names = run("jax", pixels=pixels)
    theirs, clean = torch.from_numpy(names["noise"]).float(), torch.from_numpy(pixels)
    ours = Nearest(k=8)(clean, generator=torch.Generator().manual_seed(1))
    nearer(clean, theirs, theirs)
    for measure in (
        lambda noise: (noise * F.normalize(clean, dim=1)).sum(1),
        lambda noise: noise.norm(dim=1),
        lambda noise: (clean - noise).norm(dim=1),
        lambda noise: noise[:, 27],
    ):
        assert ks_2samp(np.asarray(measure(theirs)), np.asarray(measure(ours))).pvalue > 1e-3


@pytest.mark.parametrize("flow", [False, True])
def test_ordering(digits: tuple[Tensor, Tensor], flow: bool) -> None:
    torch.manual_seed(0)
    clean = digits[0]
    names = run("ordering", latents=clean)
    plain = torch.zeros_like(clean) + clean if flow else torch.zeros_like(clean)
    drawn, noise, into_input = names["drawn"], names["noise"], names["into_input"]
    found = diagnose(clean, drawn, noise - plain, 0.6 * clean + 0.8 * into_input, pairing=Nearest(k=8))
    assert found.healthy, found
    assert found.target is not None and found.target.added and found.noisy is not None and found.noisy.added
    # What the offset, the pyramid and the perturbation leave of the pairing is still there.
    left, whole = diagnose(clean, noise).change_percent, found.change_percent
    assert whole < left < -5
    # Nothing added: the noise itself.
    drawn, noise, into_input = names["training_noise"](clean)
    assert torch.equal(drawn, noise) and into_input is noise


def test_pools(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    torch.manual_seed(0)
    names = run(
        "pools",
        images=images.repeat(8, 1, 1, 1),
        labels=labels.repeat(8),
        embeddings=images.repeat(8, 1, 1, 1).flatten(1),
    )
    assert not names["skew"].stands_out
    assert torch.equal(names["target"], names["noise"] - names["clean"])


def test_pools_over_micro_batches_gain_more(digits: tuple[Tensor, Tensor]) -> None:
    from immiscible_diffusion import Assigned, paired

    def distance(window: int) -> float:
        generator = torch.Generator().manual_seed(0)
        micro = paired(digits[0].split(8), Assigned(), generator=generator, window=window)
        return float(torch.cat([(clean - noise).flatten(1).norm(dim=1) for clean, noise in micro]).mean())

    assert distance(4) < distance(1)


def test_scripts(digits: tuple[Tensor, Tensor], capsys: pytest.CaptureFixture[str]) -> None:
    names = run("scripts", images=digits[0], train=train)
    assert names["record"].diagnose().healthy
    said = capsys.readouterr().out
    assert "pairing: paired 4 draws of noise [64, 1, 8, 8]" in said and "agrees with the noise: flow" in said


def train(images: Tensor) -> None:
    """Somebody's training function."""
    model = network()
    for clean in images.split(64):
        noise = torch.randn_like(clean)
        F.mse_loss(model((clean + noise) / 2), noise - clean).backward()
