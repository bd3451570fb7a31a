"""Is a gain one in copying? The same images measured against real ones that were not trained on."""

from statistics import mean

from torch import Tensor

from immiscible_diffusion.comparison import mean_over_seeds
from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.evidence.effects import shown_change
from immiscible_diffusion.evidence.result import HELD_OUT, Result
from immiscible_diffusion.experiment import Experiment


def held_out_images(experiment: Experiment) -> Tensor | None:
    """Load images of an experiment's data that it does not train on, uint8 [N, C, H, W].

    Those after its `rows`, or the split "test"; None for all of the digits, which have no more.
    """
    if experiment.rows is not None:
        return _load(experiment, "train")[experiment.rows :]
    return None if experiment.data == "digits" else _load(experiment, "test")


def _load(experiment: Experiment, split: str) -> Tensor:
    return load_images(
        experiment.data,
        split=split,
        image_column=experiment.image_column,
        resolution=experiment.resolution,
        bad_data=experiment.bad_data,
    ).pixels


def held_out_changes(results: dict[str, Result]) -> str:
    """Each pairing's change at the most evaluations against images of training, and against others."""
    lines = [line for name, result in results.items() for line in _lines(name, result)]
    if not lines:
        return ""
    opening = (
        "**Does a gain last against images that were not trained on?** Change against vanilla at the most "
        "evaluations when the same images are measured against the training images, and against images held "
        "out, of which training saw none; then vanilla's and the pairing's distance to those, and that of as "
        "many training images, which copies of them would have. A gain in copying alone would be less in the "
        "second column than in the first.\n\n"
        "| comparison, pairing | training images | held out | vanilla, held out | pairing, held out | "
        "training images, held out |\n|---|---:|---:|---:|---:|---:|\n"
    )
    return opening + "\n".join(lines)


def _lines(name: str, result: Result) -> list[str]:
    comparison = result.comparison
    most, base = comparison.evaluations[-1], comparison.baseline
    found: dict[tuple[str, str], dict[int, float]] = {}
    for one in result.again:
        if (one.start, one.features) == ("gaussian", comparison.feature_network):
            found.setdefault((one.pairing, one.real), {})[one.seed] = one.frechet[most]
    reals = list(dict.fromkeys(real for _, real in found))
    if HELD_OUT not in reals or result.held_out is None:
        return []
    lines = []
    for pairing in dict.fromkeys(pairing for pairing, _ in found if pairing != base):
        changes = []
        for real in ("training", HELD_OUT):
            own, vanilla = found[pairing, real], found[base, real]
            shared = [seed for seed in own if seed in vanilla]
            changes.append(mean_over_seeds([(own[s] - vanilla[s]) / mean(vanilla.values()) for s in shared]))
        values = (mean(found[one, HELD_OUT].values()) for one in (base, pairing))
        cells = [*map(shown_change, changes), *(f"{value:.3g}" for value in (*values, result.held_out))]
        lines.append(f"| {name}, {pairing} | {' | '.join(cells)} |")
    return lines
