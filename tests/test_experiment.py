"""Experiments as values and as JSON."""

import dataclasses
import json

import pytest

from immiscible_diffusion.experiment import Experiment, from_json, to_json
from immiscible_diffusion.experiments import (
    any_experiment,
    experiment_names,
    experiment_notes,
    named_experiment,
)
from immiscible_diffusion.objectives import Diffusion, FlowMatching
from immiscible_diffusion.policy.experiment import policy_from_json
from immiscible_diffusion.text_to_image.experiment import (
    TextToImageExperiment,
    text_to_image_from_json,
)


@pytest.mark.parametrize("name", experiment_names())
def test_named_experiments_round_trip_and_say_how_they_are_run(name: str) -> None:
    experiment = any_experiment(name)
    assert experiment.name == name
    if isinstance(experiment, Experiment):
        assert from_json(to_json(experiment)) == experiment
    elif isinstance(experiment, TextToImageExperiment):
        assert text_to_image_from_json(to_json(experiment)) == experiment
    else:
        assert policy_from_json(to_json(experiment)) == experiment
    if not isinstance(experiment, Experiment):
        with pytest.raises(ValueError, match="not images; load it with any_experiment"):
            named_experiment(name)
    notes = experiment_notes(name)
    for word in ("Command: ", "Hardware: ", "Duration: ", "Paper: ", "Ours: "):
        assert word in notes


def test_pairings_are_stored_in_one_form() -> None:
    experiment = named_experiment("digits-flow")
    assert dataclasses.replace(experiment, pairing="NEAREST:l2:8.0:centred").pairing == "nearest:8"


def test_no_setting_is_ignored() -> None:
    values = json.loads(to_json(named_experiment("digits-ddim")))
    with pytest.raises(
        ValueError, match="unknown Experiment setting 'learning_rat'; did you mean 'learning_rate'"
    ):
        from_json(json.dumps({**values, "learning_rat": 1}))
    with pytest.raises(ValueError, match="unknown Diffusion setting 'predictoin'; did you mean 'prediction'"):
        from_json(json.dumps({**values, "objective": {"name": "diffusion", "predictoin": "v"}}))
    with pytest.raises(ValueError, match="unknown objective 'flow-matchin'; did you mean 'flow-matching'"):
        from_json(json.dumps({**values, "objective": {"name": "flow-matchin"}}))
    del values["network"]
    with pytest.raises(ValueError, match="Experiment settings lack network"):
        from_json(json.dumps(values))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
        ({"steps": -1}, "steps must be 1 or more, got -1"),
        ({"image_std": 0.0}, "image_std must be greater than 0, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be greater than 0, got nan"),
        ({"ema_decay": 1.0}, "ema_decay must be from 0 up to but not 1, got 1.0"),
        ({"accumulation": 3}, "accumulation must divide batch_size, got 3 and 128"),
        ({"precision": "bf61"}, "did you mean 'bf16'"),
        ({"pairing": "nearest:0"}, "k must be a finite number of candidates from 1 up, got 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_bad_values_are_named(settings: dict[str, object], words: str) -> None:
    base = {"name": "t", "data": "digits", "network": "mlp", "objective": FlowMatching()}
    with pytest.raises(ValueError, match=words):
        Experiment(**{**base, **settings})
    Experiment(**{**base, "objective": Diffusion()})
