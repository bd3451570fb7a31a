"""Every table and figure of the paper beside ours: measured, and on what, or not run, and how it would be."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from immiscible_diffusion.comparison import Summary, mean_over_seeds
from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.evidence.effects import best_of_nearest, percent_change, plain_k, summaries
from immiscible_diffusion.evidence.latents import latent_words
from immiscible_diffusion.evidence.listed import listed_comparisons
from immiscible_diffusion.evidence.listed.entry import SWEEP
from immiscible_diffusion.evidence.result import Result

NOT_RUN = "not run"
OURS = "assigned:above"  # which the paper has not, beside what it has
SWEPT = tuple(one.name for one in listed_comparisons() if set(SWEEP) <= set(one.plan.pairings))
PUSHT = ("pusht_unet", "pusht_unet_above", "pusht_small")
GPU = "bash benchmarks/gpu.sh"
# What `immiscible evidence run digits-ddim-v` leaves.
RUNS = "runs/evidence/digits-ddim-v/runs/{independent,nearest-8,assigned}-seed{0,1,2}"


@dataclass(frozen=True)
class PaperRow:
    """One number or picture of the paper. ours: "not run" where it is not; command: how it is or would be."""

    place: str
    what: str
    paper: str
    ours: str
    command: str


def paper_rows(results: dict[str, Result], benchmarks: Path) -> tuple[PaperRow, ...]:
    """All rows; numbers come from `results` and from the JSONs in `benchmarks`, none is written here."""
    return (*_noise_rows(benchmarks), *_training_rows(results, benchmarks))


def _noise_rows(benchmarks: Path) -> tuple[PaperRow, ...]:
    """What the paper says of noises and of trained networks, before any comparison."""
    figures = _cifar10_figures(benchmarks / "cifar10_figures.json")
    cifar10 = "python -m benchmarks.cifar10_figures --data ../shared/data/cifar10"
    found = partial(_found, benchmarks / "analyses")
    return (
        PaperRow(
            "Fig. 2",
            "one noise perturbed: W = 10 % same image, 30 % other objects",
            "pictures",
            found("stability", "analyses-of-runs.md", "predicting v: "),
            f"immiscible analyse stability {RUNS} --origins 64",
        ),
        PaperRow(
            "Fig. 3",
            "x_pred,0 along the way: t-SNE and FID by step",
            "pictures, curves",
            found("denoising", "analyses-of-runs.md", "predicting v: "),
            f"immiscible analyse denoising {RUNS} --count 500",
        ),
        PaperRow(
            "§3.2, Fig. 10",
            "distance of noise clusters",
            "0.92, assigned 4.11, nearest 2.17",
            found("miscibility", "analyses.md"),
            "immiscible analyse miscibility --data cifar10",
        ),
        PaperRow(
            "§3.3.2",
            "KL to N(0, I) of 50,000 noises, vanilla",
            "48.25",
            figures["divergence, Independent, nats"],
            cifar10,
        ),
        PaperRow(
            "§3.3.2", "the same, nearest k = 8", "48.60", figures["divergence, Nearest k=8, nats"], cifar10
        ),
        PaperRow(
            "Table 4",
            "change of image-noise distance, CIFAR-10, k = 8",
            "−1.58 %",
            figures["distance, Nearest k=8, %"],
            cifar10,
        ),
        PaperRow("Table 4", "the same, k = 4", "−1.10 %", figures["distance, Nearest k=4, %"], cifar10),
        PaperRow(
            "§3.3.1",
            "the same, assigned, batch 256",
            "about −2 %",
            figures["distance, Assigned in batches of 256, %"],
            cifar10,
        ),
        PaperRow(
            "Table 4",
            "the same, SD latents (4,096), k = 64",
            "−2.32 %",
            found("distance", "analyses.md", "unit Gaussian vectors in their place: "),
            "immiscible analyse distance --data gaussian:4x32x32",
        ),
        PaperRow(
            "Table 5",
            "time of assignment over nearest's, GPU",
            "27 to 33×",
            f"{NOT_RUN} on a GPU; CPU: [performance](performance.md)",
            GPU,
        ),
    )


def _training_rows(results: dict[str, Result], benchmarks: Path) -> tuple[PaperRow, ...]:
    """What the paper trained."""
    small = NOT_RUN + latent_words(benchmarks / "latents")
    return (
        PaperRow(
            "Fig. 5",
            "steps to vanilla's best FID, CIFAR-10 DDIM, nearest k = 8",
            "2.5 to 4.5× fewer",
            _speed_up(results, "ddim", "nearest:8"),
            GPU,
        ),
        PaperRow(
            "Fig. 5",
            "the same, flow matching",
            "2.5 to 4.5× fewer",
            _speed_up(results, "flow", "nearest:4"),
            GPU,
        ),
        PaperRow(
            "Fig. 5",
            "the same, consistency",
            "2.5 to 4.5× fewer",
            _speed_up(results, "consistency", "nearest:4"),
            "immiscible compare cifar10-consistency --data cifar10 --precision bf16",
        ),
        PaperRow(
            "Fig. 5, later version",
            "best FID CIFAR-10, DDIM: vanilla, nearest, assigned",
            "6.63, 4.45, 5.14",
            NOT_RUN,
            "immiscible compare cifar10-ddim --data cifar10 --precision bf16 --features inception",
        ),
        PaperRow(
            "Fig. 5, later version",
            "the same, flow matching",
            "4.92, 3.56, 5.02",
            NOT_RUN,
            "immiscible compare cifar10-flow --data cifar10 --precision bf16 --features inception",
        ),
        PaperRow(
            "Table 4",
            "best k: DDIM 8, flow matching 4, consistency 4",
            "8, 4, 4",
            _best_k(results),
            f"immiscible evidence run {' '.join(SWEPT)}",
        ),
        PaperRow(
            "§4.3",
            "ImageNet-256, Stable Diffusion, from scratch and fine-tuned: FID",
            "17.92 → 16.84, 11.45 → 10.38",
            small,
            "needs ImageNet, SD weights and days of eight GPUs",
        ),
        PaperRow(
            "§4.3",
            "MS-COCO, Stable Diffusion; CLIPScore",
            "no loss of prompt following",
            small,
            "needs MS-COCO, SD and CLIP weights and days of eight GPUs",
        ),
        PaperRow(
            "Table 1, Fig. 9",
            "in-painting, out-painting: FID",
            "18.35 → 17.32, 29.34 → 27.57",
            "mechanism on digits: [decisions](decisions.md); "
            "on latents of emoji, small: [guide](stable_diffusion.md)",
            "immiscible edit RUN inpaint --centre 0.5 --against RUN",
        ),
        PaperRow(
            "Table 2",
            "PushT, mean coverage of the last checkpoints, nearest k = 2",
            "79.56 → 82.83 %",
            "; ".join(_pusht(benchmarks / name / "results.json") for name in PUSHT)
            + " (not the paper's network; [robotics](robotics.md))",
            "immiscible compare pusht-small --data ../shared/data/pusht.npz",
        ),
        PaperRow(
            "Fig. 8",
            "image std 0.5 → 1, 2, 4 with DDIM",
            "faster training",
            _image_std(results),
            "immiscible evidence run digits-ddim-std fashion-mnist-ddim-std cifar10-ddim-std",
        ),
    )


def _found(folder: Path, question: str, page: str, before: str = "") -> str:
    """What `immiscible analyse` found, in its own sentence, with its JSON and the page that explains it."""
    path = folder / f"{question}.json"
    if not path.exists():
        return f"[measured, no JSON kept]({page})"
    said = json.loads(path.read_text(encoding="utf-8"))
    sentence = " ".join(said["sentence"].replace("|", "/").split())
    file = f"[JSON](../benchmarks/results/{folder.name}/{path.name})"
    return f"{before}{said['title']}. {sentence} ({file}, [more]({page}))"


def _cifar10_figures(path: Path) -> dict[str, str]:
    """Ours by the benchmark's names, as words."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = {}
    for figure in content["image_std"]["nominal"]["figures"]:
        unit = " %" if figure["name"].endswith("%") else ""
        error = figure["standard_error"]
        digits = 2 if not unit else 3
        words = f"{figure['measured']:.{digits}f}".replace("-", "−")
        found[figure["name"]] = words + (f" ± {error:.3f}" if error else "") + unit
    return found


def _speed_up(results: dict[str, Result], objective: str, pairing: str) -> str:
    """What the paper's network on a GPU says, or a small one on a CPU, with what it is."""
    for name in (f"gpu-cifar10-{objective}", f"cifar10-{objective}"):
        if name not in results:
            continue
        comparison = results[name].comparison
        shown = [s for s in summaries(results[name]) if s.pairing != comparison.baseline]
        chosen = [s for s in shown if s.pairing == pairing] or shown[:1]
        if chosen:
            speed = _steps_fewer(chosen[0], comparison.judged_at)
            network = comparison.settings["network"]
            size = f"{network}, {say.steps(chosen[0].last_step)} steps, {chosen[0].pairing}"
            lead = "" if network == "unet-paper" else f"paper's network {NOT_RUN}; "
            ours = [s for s in shown if s.pairing == OURS]
            more = f"; `{OURS}`: {_steps_fewer(ours[0], comparison.judged_at)}" if ours else ""
            return f"{lead}[{size}](#{name}): {speed}{more}"
    return NOT_RUN


def _steps_fewer(summary: Summary, evaluations: int) -> str:
    return say.speed_up_with_interval(summary.reach[evaluations].speed_up)


def _best_k(results: dict[str, Result]) -> str:
    """The k of the least distance at each comparison's judged evaluations, and its change against vanilla."""
    words = []
    for name in SWEPT:
        best = best_of_nearest(results[name], results[name].comparison.judged_at) if name in results else None
        if best is not None:
            words.append(f"[{name}](#{name}) {plain_k(best.pairing)} ({percent_change(best)})")
    return ", ".join(words) + " (centred; change against vanilla)" if words else NOT_RUN


def _image_std(results: dict[str, Result]) -> str:
    words = [
        f"[{data}](#{name}), {_by_std(results[name])}"
        for data in ("digits", "fashion-mnist", "cifar10")
        if (name := f"{data}-ddim-std") in results
    ]
    return "; ".join(words) if words else NOT_RUN


def _by_std(result: Result) -> str:
    comparison = result.comparison
    at = comparison.judged_at
    values: dict[str, list[float]] = {}
    for curve in comparison.curves:
        values.setdefault(curve.pairing, []).append(curve.points[-1].scores[at].frechet)
    said = ", ".join(
        f"{name.removeprefix('image std ')}: {say.mean_with_interval(mean_over_seeds(of))}"
        for name, of in values.items()
    )
    return f"distance at {at} by std: {said}"


def _pusht(path: Path) -> str:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    values: dict[str, list[float]] = {}
    for run in content["results"]:
        values.setdefault(run["pairing"], []).append(100 * mean(map(mean, run["score"]["scores"])))
    words = " → ".join(
        f"{name} {say.mean_with_interval(mean_over_seeds(of))} %" for name, of in values.items()
    )
    return f"{content['settings']['network']}, {say.steps(content['settings']['steps'])} steps: {words}"
