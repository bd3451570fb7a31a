"""Run what the list asks for and results/ does not have yet, run by run; goes on where it was stopped."""

import dataclasses
import datetime
import json
import time as clock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from immiscible_diffusion.comparison import (
    IMAGES,
    Comparison,
    Curve,
    comparison_settings,
    measured_run,
    run_place,
)
from immiscible_diffusion.data.images import ImageData
from immiscible_diffusion.environment import describe_environment
from immiscible_diffusion.evaluation import (
    FeatureNetwork,
    Memorisation,
    distances,
    feature_network,
    memorisation,
    prepare_reference,
)
from immiscible_diffusion.evidence.held_out import held_out_images
from immiscible_diffusion.evidence.listed import Listed
from immiscible_diffusion.evidence.result import (
    Again,
    Result,
    RunRecord,
    read_result,
    with_later_settings,
    write_result,
)
from immiscible_diffusion.evidence.starts import measured_again, noise_moments
from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.generation import generate
from immiscible_diffusion.randomness import generator_for
from immiscible_diffusion.runs.folder import load_data
from immiscible_diffusion.runs.images import advance
from immiscible_diffusion.runs.trained_model import load_trained
from immiscible_diffusion.scoring import evaluation_labels

COMPILED = dataclasses.replace(IMAGES, advance=lambda run, schedule: advance(run, schedule, compile=True))
RESNET = "cifar10_resnet20-12fca82f.th"
FEW_PIXELS = 256  # whose covariance takes no time
LOOKED_AT = 500  # generated images whose nearest training images are looked for
Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Places:
    """Where things are. data: a folder that has data sets as `cifar10`, `fashion_mnist`; None for the hub's.

    weights: a folder with the ResNet-20 whose features CIFAR-10 is measured with.
    """

    results: Path = Path("results")
    runs: Path = Path("runs/evidence")
    data: Path | None = None
    weights: Path | None = None


def run_listed(
    listed: Listed, places: Places, report: Report = print, seeds: int | None = None
) -> Iterator[Result]:
    """Train and measure what results/NAME.json lacks, yielding the written result after every run.

    seeds: make the runs of the first so many seeds only.
    Nothing is yielded where nothing is lacking. Raises ValueError where the result was made with other
    settings, or weights are needed that `places` does not have.
    """
    path = places.results / f"{listed.name}.json"
    before = read_result(path) if path.exists() else None
    curves = {} if before is None else {(c.pairing, c.seed): c for c in before.comparison.curves}
    records = {} if before is None else {(r.pairing, r.seed): r for r in before.runs}
    settings = json.loads(json.dumps(_settings(listed)))
    if before is not None:
        _check_same(before.comparison.settings, settings, path)
    wanted = listed.runs()
    first = wanted[0][1].seed
    order = [(kind, one.seed) for kind, one in wanted]
    asked_again = set() if before is None else {(a.pairing, a.seed) for a in before.again}
    lacking = [
        (kind, one)
        for kind, one in wanted
        if (seeds is None or one.seed - first < seeds)
        and (
            (kind, one.seed) not in curves
            # Where the trained network is gone, the run is not made again for it.
            or (
                listed.again
                and (kind, one.seed) not in asked_again
                and run_place(places.runs / listed.name, kind, one.seed).exists()
            )
        )
    ]
    if not lacking:
        return
    located = _located(listed.experiment, places.data)
    data = load_data(located)
    network = _features(listed, data, places.weights)
    reference = prepare_reference(data.pixels, network)
    others = [prepare_reference(data.pixels, other) for other in _other_features(data, network)]
    unseen = held_out_images(located) if listed.again else None
    held_out = None if unseen is None else prepare_reference(unseen, network)
    # Of as many images as are generated, so that the two distances are alike.
    some = data.pixels[: listed.plan.count]
    copied = None if held_out is None else distances(held_out, some).frechet
    folder = places.runs / listed.name
    again = {} if before is None else _by_run(before.again)
    marginals = {} if before is None else dict(before.marginals)

    def written() -> Result:
        # What a longer list left in the file stays there.
        keys = [key for key in order if key in curves] + [key for key in curves if key not in order]
        result = Result(
            listed.name,
            listed.command or f"immiscible evidence run {listed.name}",
            Comparison(
                experiment=listed.experiment.name,
                baseline=listed.plan.baseline,
                curves=tuple(curves[key] for key in keys),
                evaluations=listed.plan.evaluations,
                judged_at=listed.plan.judged_at,
                feature_network=network.name,
                distance_name=network.distance_name,
                real_count=len(data.pixels),
                generated_count=listed.plan.count,
                settings=settings,
                environment=describe_environment(),
            ),
            tuple(records[key] for key in keys),
            tuple(one for key in keys for one in again.get(key, [])),
            marginals,
            copied,
        )
        write_result(result, places.results)
        return result

    for number, (kind, one) in enumerate(lacking, 1):
        place = run_place(folder, kind, one.seed)
        begun, cpu = place.exists(), clock.process_time()
        label = f"{listed.name} {number}/{len(lacking)} {kind} seed {one.seed}"
        one = dataclasses.replace(one, data=located.data)
        if (kind, one.seed) not in curves:
            subject = COMPILED if listed.compile else IMAGES
            curve = measured_run(subject, one, listed.plan, place, label, data, reference, report)
            spent = None if begun else clock.process_time() - cpu
            curve = dataclasses.replace(curve, pairing=kind)
            curves[kind, one.seed] = curve
            records[kind, one.seed] = _record(curve, place, data, listed.plan.judged_at, spent)
        if listed.again:
            if "lean" not in marginals.get(kind, {}):
                marginals[kind] = noise_moments(one, data)
            asked = measured_again(
                place, data, [reference, *others], held_out, listed.plan.evaluations, listed.again
            )
            again[kind, one.seed] = [dataclasses.replace(a, pairing=kind) for a in asked]
        yield written()


def _by_run(again: tuple[Again, ...]) -> dict[tuple[str, int], list[Again]]:
    found: dict[tuple[str, int], list[Again]] = {}
    for one in again:
        found.setdefault((one.pairing, one.seed), []).append(one)
    return found


def _other_features(data: ImageData, network: FeatureNetwork) -> list[FeatureNetwork]:
    """A second opinion: the pixels themselves where they are few, else the probe."""
    if data.pixels[0].numel() <= FEW_PIXELS:
        return [feature_network("pixels", data)]
    return [] if network.name.startswith("probe") else [feature_network("probe", data)]


def _settings(listed: Listed) -> dict[str, Any]:
    """What has to be the same for runs to stand in one result: everything but pairings, seeds and places."""
    settings = comparison_settings(listed.experiment, listed.plan, jobs=1)
    del settings["seeds"]
    return {**settings, "points": listed.plan.points, "features": listed.plan.features}


def _check_same(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    before = with_later_settings(before)
    # Several image stds tell runs apart as pairings do; there may be more of them later.
    swept = isinstance(before["image_std"], list) and isinstance(now["image_std"], list)
    differing = [
        name for name in now if before.get(name) != now[name] and not (swept and name == "image_std")
    ]
    if differing:
        text = ", ".join(f"{name} {before.get(name)!r} → {now.get(name)!r}" for name in differing)
        raise ValueError(
            f"result {str(path)!r} was made with other settings ({text}); delete it to measure again, or "
            "give the comparison another name"
        )


def _located(experiment: Experiment, folder: Path | None) -> Experiment:
    """The experiment with its data where they are on this machine, if they are."""
    place = None if folder is None else folder / experiment.data.replace("-", "_")
    return dataclasses.replace(experiment, data=str(place)) if place and place.exists() else experiment


def _features(listed: Listed, data: ImageData, folder: Path | None) -> FeatureNetwork:
    """The network to measure with, on the GPU where there is one."""
    network = _on_the_cpu(listed, data, folder)
    if torch.cuda.is_available():
        network.module.to("cuda")
    return network


def _on_the_cpu(listed: Listed, data: ImageData, folder: Path | None) -> FeatureNetwork:
    if listed.plan.features != "resnet":
        return feature_network(listed.plan.features, data, weights=listed.plan.weights)
    if listed.plan.weights is not None:
        return feature_network("resnet", data, weights=listed.plan.weights)
    if folder is None:
        raise ValueError(
            f"comparison {listed.name!r} is measured with a CIFAR-10 ResNet; give --weights, the folder that "
            f"has {RESNET}"
        )
    return feature_network("resnet", data, weights=folder / RESNET)


def _record(
    curve: Curve, place: Path, data: ImageData, evaluations: int, cpu_seconds: float | None
) -> RunRecord:
    environment = describe_environment()
    return RunRecord(
        curve.pairing,
        curve.seed,
        datetime.date.today().isoformat(),
        environment.get("commit", "unknown"),
        curve.points[-1].seconds,
        cpu_seconds,
        _memorisation(place, data, evaluations),
        f"{environment['hardware']} (GPU: {environment['accelerator']})",
    )


def _memorisation(place: Path, data: ImageData, evaluations: int) -> Memorisation:
    """Look for copies among images of the run's last checkpoint, from the noise that it is measured with."""
    trained = load_trained(place)
    generator = generator_for(trained.experiment.seed, "evaluation")
    images = generate(
        trained.experiment,
        trained.network,
        data.shape,
        LOOKED_AT,
        evaluations,
        generator,
        labels=evaluation_labels(trained.experiment, data.labels, LOOKED_AT),
    )
    return memorisation(images, data.pixels, LOOKED_AT)
