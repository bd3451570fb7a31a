"""The driver makes what is lacking, once, and refuses to mix what was made in different ways."""

import dataclasses
import json
from pathlib import Path

import pytest
from tests.small_runs import small

from immiscible_diffusion.comparison import Plan
from immiscible_diffusion.comparison import formatting as say
from immiscible_diffusion.data.images import load_images
from immiscible_diffusion.evaluation import distances, feature_network, prepare_reference
from immiscible_diffusion.evidence import (
    Listed,
    Places,
    chosen_comparisons,
    listed_comparisons,
    read_result,
    run_listed,
    write_result,
)
from immiscible_diffusion.evidence.answers import answers
from immiscible_diffusion.evidence.effects import percent
from immiscible_diffusion.evidence.held_out import held_out_changes, held_out_images
from immiscible_diffusion.objectives import Diffusion

PLAN = Plan(("independent", "nearest:2"), seeds=2, evaluations=(1, 2), judged_at=2, points=2, count=80)


def listed(**changes: object) -> Listed:
    one = Listed("tiny", "Does it run?", small(), PLAN, again=80)
    return dataclasses.replace(one, **changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Two seeds of two pairings, of which the first call made one seed."""
    folder = tmp_path_factory.mktemp("evidence")
    places = Places(folder / "results", folder / "runs")
    first = [len(r.comparison.curves) for r in run_listed(listed(), places, lambda _: None, seeds=1)]
    rest = [len(r.comparison.curves) for r in run_listed(listed(), places, lambda _: None)]
    assert (first, rest) == ([1, 2], [3, 4])
    return places


def test_the_result_says_how_every_run_was_made(made: Places) -> None:
    result = read_result(made.results / "tiny.json")
    runs = [(run.pairing, run.seed) for run in result.runs]
    assert runs == [("independent", 0), ("nearest:2", 0), ("independent", 1), ("nearest:2", 1)]
    assert runs == [(curve.pairing, curve.seed) for curve in result.comparison.curves]
    assert all(run.cpu_seconds and run.cpu_seconds > 0 and run.commit for run in result.runs)
    assert {run.hardware for run in result.runs} == {
        f"{result.comparison.environment['hardware']} (GPU: none)"
    }
    assert result.command == "immiscible evidence run tiny"
    assert result.comparison.feature_network == "probe(digits)"
    assert {"hardware", "torch"} <= set(result.comparison.environment)
    assert result.comparison.settings["steps"] == 12 and result.comparison.settings["points"] == 2


def test_finished_runs_are_measured_from_other_starts(made: Places) -> None:
    result = read_result(made.results / "tiny.json")
    asked = {(a.pairing, a.start, a.features) for a in result.again}
    features = ("probe(digits)", "pixels(digits)")
    assert asked == {("independent", start, f) for start in ("gaussian", "std 0.9") for f in features} | {
        ("nearest:2", start, f) for start in ("gaussian", "marginal", "paired") for f in features
    }
    # From N(0, I) it is the measurement that the run itself made.
    curve = next(c for c in result.comparison.curves if (c.pairing, c.seed) == ("nearest:2", 1))
    again = next(
        a
        for a in result.again
        if (a.pairing, a.seed, a.start, a.features) == ("nearest:2", 1, "gaussian", features[0])
    )
    assert again.frechet == {n: score.frechet for n, score in curve.points[-1].scores.items()}
    values = {a.start: a.frechet[2] for a in result.again if (a.pairing, a.seed) == ("nearest:2", 1)}
    assert len(set(values.values())) == 3
    assert 0.8 < result.marginals["nearest:2"]["std"] < 1 == round(result.marginals["independent"]["std"], 2)


def test_runs_on_some_rows_are_measured_against_the_others_too(tmp_path: Path) -> None:
    some = listed(experiment=small(rows=900), plan=dataclasses.replace(PLAN, seeds=1))
    *_, result = run_listed(some, Places(tmp_path, tmp_path / "runs"), lambda _: None)
    again = {(a.pairing, a.start, a.features, a.real): a.frechet for a in result.again}
    features, seen = "probe(digits)", ("independent", "gaussian")
    assert {key for key in again if key[3] == "held out"} == {
        (kind, "gaussian", features, "held out") for kind in PLAN.pairings
    }
    data, network = load_images("digits"), feature_network("probe", load_images("digits", rows=900))
    others = prepare_reference(data.pixels[900:], network)
    assert result.held_out == pytest.approx(distances(others, data.pixels[:80]).frechet)
    assert again[*seen, features, "held out"] != again[*seen, features, "training"]
    stored = read_result(tmp_path / "tiny.json")
    assert (stored.again, stored.held_out) == (result.again, result.held_out)
    (row,) = [line for line in held_out_changes({"tiny": result}).splitlines() if "nearest:2 |" in line]
    far = {kind: again[kind, "gaussian", features, "held out"] for kind in PLAN.pairings}
    changes = [percent(far["nearest:2"][n] / far["independent"][n] - 1) for n in (1, 2)]
    values = [" → ".join(say.number(far[kind][n]) for n in (1, 2)) for kind in PLAN.pairings]
    assert row.split(" | ")[2:] == [" → ".join(changes), *values, f"{say.number(result.held_out)} |"]
    # What was not trained on is no part of the other answers.
    alone = dataclasses.replace(result, again=tuple(a for a in result.again if a.real == "training"))
    assert answers({"tiny": result}).replace(held_out_changes({"tiny": result}), "").strip() == (
        answers({"tiny": alone}).strip()
    )


def test_a_test_split_is_held_out(shared_data: Path) -> None:
    images = held_out_images(small(data=str(shared_data / "fashion_mnist")))
    assert images is not None and images.shape == (10000, 1, 28, 28)
    assert held_out_images(small()) is None


def test_what_is_done_is_not_done_again(made: Places) -> None:
    before = (made.results / "tiny.json").read_bytes()
    assert list(run_listed(listed(), made, lambda _: pytest.fail("trained again"))) == []
    assert (made.results / "tiny.json").read_bytes() == before


def test_what_was_not_asked_of_finished_runs_is_asked_without_training(made: Places, tmp_path: Path) -> None:
    whole = read_result(made.results / "tiny.json")
    write_result(dataclasses.replace(whole, again=whole.again[:-6]), tmp_path)
    places = dataclasses.replace(made, results=tmp_path)
    (result,) = run_listed(listed(), places, lambda _: pytest.fail("trained again"))
    assert set(map(str, result.again)) == set(map(str, whole.again))
    assert result.runs == whole.runs
    # Where the trained network is gone, the run stays as it is.
    write_result(dataclasses.replace(whole, again=()), tmp_path)
    gone = dataclasses.replace(places, runs=tmp_path / "nowhere")
    assert list(run_listed(listed(), gone, lambda _: pytest.fail("trained again"))) == []


def test_pairings_can_be_added(made: Places, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "tiny.json").write_bytes((made.results / "tiny.json").read_bytes())
    more = listed(plan=dataclasses.replace(PLAN, pairings=("independent", "nearest:2", "assigned"), seeds=1))
    *_, result = run_listed(more, Places(results, tmp_path / "runs"), lambda _: None)
    # The second seed stays, though this list does not ask for it.
    assert [(c.pairing, c.seed) for c in result.comparison.curves] == [
        ("independent", 0),
        ("nearest:2", 0),
        ("assigned", 0),
        ("independent", 1),
        ("nearest:2", 1),
    ]


def test_image_stds_can_be_added_but_one_is_a_setting(tmp_path: Path) -> None:
    places = Places(tmp_path / "results", tmp_path / "runs")

    def at(*stds: float) -> Listed:
        plan = dataclasses.replace(PLAN, pairings=("independent",), seeds=1, image_stds=stds)
        return listed(plan=plan, again=0)

    *_, first = run_listed(at(0.5, 2.0), places, lambda _: None)
    added = list(run_listed(at(0.5, 1.0, 2.0), places, lambda _: None))
    assert len(added) == 1 and added[0].comparison.settings["image_std"] == [0.5, 1.0, 2.0]
    low, middle, high = added[0].comparison.curves
    assert middle.pairing == "image std 1" and (low, high) == first.comparison.curves
    one = listed(plan=dataclasses.replace(PLAN, seeds=1), again=0)
    with pytest.raises(ValueError, match=r"image_std \[0.5, 1.0, 2.0\] → 0.5"):
        list(run_listed(one, places, lambda _: None))
    (places.results / "tiny.json").unlink()
    list(run_listed(one, places, lambda _: None))
    with pytest.raises(ValueError, match=r"image_std 0.5 → \[0.5, 2.0\]"):
        list(run_listed(at(0.5, 2.0), places, lambda _: None))


def test_other_settings_are_refused(made: Places) -> None:
    other = listed(experiment=small(learning_rate=0.5))
    with pytest.raises(ValueError, match=r"learning_rate 0.003 → 0.5.*delete it to measure again"):
        list(run_listed(other, made, lambda _: None))


def test_a_setting_that_came_later_was_at_its_default(made: Places, tmp_path: Path) -> None:
    whole = read_result(made.results / "tiny.json")
    settings = {name: value for name, value in whole.comparison.settings.items() if name != "clip_norm"}
    objective = {"kind": "Diffusion", "prediction": "v", "schedule": "linear", "training_steps": 9}
    settings = {**settings, "objective": objective, "sampler": "ddim"}
    older = dataclasses.replace(
        whole, comparison=dataclasses.replace(whole.comparison, settings=settings), again=()
    )
    places = Places(tmp_path, tmp_path / "runs")
    write_result(older, tmp_path)
    same = Diffusion("v", "linear", 9)
    assert list(run_listed(listed(experiment=small(objective=same)), places, lambda _: None)) == []
    with pytest.raises(ValueError, match=r"clip_norm 1.0 → 2.0"):
        list(run_listed(listed(experiment=small(objective=same, clip_norm=2.0)), places, lambda _: None))
    other = Diffusion("v", "linear", 9, min_snr_gamma=5)
    with pytest.raises(ValueError, match=r"min_snr_gamma': None.* → .*'min_snr_gamma': 5"):
        list(run_listed(listed(experiment=small(objective=other)), places, lambda _: None))


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps({"format": "something else"}))
    with pytest.raises(ValueError, match=r"tiny.json' cannot be read .*evidence run"):
        list(run_listed(listed(), Places(tmp_path, tmp_path / "runs"), lambda _: None))


def test_resnet_features_need_a_folder_of_weights(tmp_path: Path) -> None:
    wanted = listed(plan=dataclasses.replace(PLAN, features="resnet"))
    with pytest.raises(ValueError, match="give --weights, the folder that has cifar10_resnet20"):
        list(run_listed(wanted, Places(tmp_path, tmp_path / "runs"), lambda _: None))


def test_the_list_is_in_order() -> None:
    runs = [(kind, experiment.seed) for kind, experiment in listed().runs()]
    assert runs == [("independent", 0), ("nearest:2", 0), ("independent", 1), ("nearest:2", 1)]


def test_names_are_unique_and_unknown_ones_refused() -> None:
    names = [one.name for one in listed_comparisons()]
    assert len(set(names)) == len(names)
    assert [one.name for one in chosen_comparisons(["digits-ddim"])] == ["digits-ddim"]
    assert chosen_comparisons([]) == listed_comparisons()
    with pytest.raises(ValueError, match="did you mean 'digits-flow'"):
        chosen_comparisons(["digit-flow"])
