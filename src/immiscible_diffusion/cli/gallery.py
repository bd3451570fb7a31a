"""`immiscible gallery`: everything that can be seen of a few runs, on one page."""

from pathlib import Path
from typing import Annotated

import tyro


def gallery(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    evaluations: int = 20,
    count: int = 1000,
    origins: int = 32,
    stds: tuple[float, ...] = (),
    features: str = "auto",
    weights: Path | None = None,
    data: str | None = None,
    seed: int = 0,
    out: Path = Path("runs/gallery"),
) -> None:
    """Ask every question of some runs and write the answers to one page, which needs no network.

    Stability and denoising of the networks; distance, miscibility, gaussianity and choose-k of pairings.
    Findings in the folder that were made with the same settings are taken as they are.

    Args:
        runs: Run folders, or a comparison's folder for all of its runs.
        evaluations: Sampler steps.
        count: Images for each distance.
        origins: Noises to perturb.
        stds: Also train at these image stds, as `analyse scaling` does; none by default, for it takes long.
        features: Feature network, as for evaluate.
        weights: File of the feature network's weights.
        data: Where the data is now, if it has moved since training.
        seed: Seed of all that is drawn.
        out: Folder of the findings and of gallery.html.
    """
    from immiscible_diffusion.analysis.gallery import answer, write_gallery
    from immiscible_diffusion.analysis.gallery_questions import about_pairings, about_runs, about_scaling
    from immiscible_diffusion.analysis.trained_runs import load_runs
    from immiscible_diffusion.evaluation import feature_network

    loaded = load_runs(runs, data)
    network = feature_network(features, loaded.data, weights=weights)
    analyses = [
        *about_runs(loaded, network, evaluations=evaluations, count=count, origins=origins, seed=seed),
        *about_pairings(loaded, seed=seed),
    ]
    if stds:
        plan = {"count": count, "features": features, "weights": weights}
        analyses.append(about_scaling(loaded, stds, plan, out / "scaling"))
    findings, failures = answer(analyses, out, lambda text: print(text, flush=True))
    names = " · ".join(group.name for group in loaded.groups)
    print(f"Page: {write_gallery(findings, failures, f'{loaded.title}: {names}', out)}")
    if failures:
        print(f"No answer: {', '.join(failures)}")
        raise SystemExit(1)
