"""Everything that decides the outcome of training a policy, as one frozen value that `config.json` holds."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from immiscible_diffusion.experiment import (
    PairedOver,
    Precision,
    built_from,
    check_training,
    trains,
)
from immiscible_diffusion.objectives import Diffusion, FlowMatching
from immiscible_diffusion.pairing import canonical_name, is_fitted, is_staged
from immiscible_diffusion.pairing.suggestions import unknown
from immiscible_diffusion.policy.demonstrations import Observations

KIND = "policy"


@dataclass(frozen=True)
class PolicyExperiment:
    """One training run of a policy: what it sees, predicts and learns from, and how.

    data: as `load_demonstrations` takes it. episodes: of its episodes, as published (None: all).
    network: a name of `build_policy_network`. pairing: as `pairing_from_name` takes it, on chunks of
    normalised actions; "nearest:2" is centred on the mean chunk, "nearest:2:uncentred" is the paper's.
    observations: "state" (5 numbers) or "keypoint" (20). horizon: actions predicted at once;
    observation_steps: observations seen; action_steps: actions done before looking again.
    pairing_start: epochs of unpaired noise first. pairing_standardise: choose against actions scaled to mean
    0 and std 1 over the batch. pairing_cluster: choose within groups of so many rows with similar
    observations (0: the whole batch). ema_decay: of the averaged weights, after the published warm-up.
    paired_over, pairing_window: as for an `Experiment`.
    The learning rate rises over `warmup_steps` and falls to 0 along a cosine.
    Raises ValueError for a value out of range.
    """

    name: str
    data: str
    network: str
    objective: Diffusion | FlowMatching
    pairing: str = "nearest:2"
    observations: Observations = "keypoint"
    horizon: int = 16
    observation_steps: int = 2
    action_steps: int = 8
    episodes: int | None = None
    pairing_start: int = 0
    pairing_standardise: bool = False
    pairing_cluster: int = 0
    batch_size: int = 256
    steps: int = 10_000
    learning_rate: float = 1e-4
    warmup_steps: int = 500
    weight_decay: float = 1e-6
    clip_norm: float = 1000.0
    ema_decay: float = 0.9999
    accumulation: int = 1
    precision: Precision = "no"
    paired_over: PairedOver = "batch"
    pairing_window: int = 1
    seed: int = 0

    @property
    def kind(self) -> str:
        """What is trained, in words, as config.json has it."""
        return KIND

    def __post_init__(self) -> None:
        object.__setattr__(self, "pairing", canonical_name(self.pairing))
        check_training(self)
        if is_fitted(self.pairing):
            raise ValueError(
                f"pairing {self.pairing!r} is fitted to images, not actions; choose nearest or assigned"
            )
        if is_staged(self.pairing):
            raise ValueError(
                f"pairing {self.pairing!r} is staged, which is for images; use pairing_start for a policy"
            )
        if self.observations not in get_args(Observations):
            raise ValueError(unknown("observations", self.observations, get_args(Observations)))
        if self.observation_steps < 1 or self.action_steps < 1:
            raise ValueError(
                f"observation_steps and action_steps must be 1 or more, got {self.observation_steps} "
                f"and {self.action_steps}"
            )
        needed = self.observation_steps - 1 + self.action_steps
        if self.horizon < needed:
            raise ValueError(
                f"horizon must hold observation_steps − 1 + action_steps = {needed}, got {self.horizon}"
            )
        if self.pairing_start < 0:
            raise ValueError(f"pairing_start must be 0 epochs or more, got {self.pairing_start}")
        if self.pairing_cluster < 0 or self.pairing_cluster == 1:
            raise ValueError(
                f"pairing_cluster must be 0 (whole batch) or 2 rows or more, got {self.pairing_cluster}"
            )


def policy_from_json(text: str) -> PolicyExperiment:
    """Read it back. Raises ValueError for another kind, or a missing or unknown key."""
    values = json.loads(text)
    if values.pop("kind", None) != KIND:
        raise ValueError("the run trains no policy; give a run folder of one, such as `train pusht` writes")
    experiment: PolicyExperiment = built_from(PolicyExperiment, values)
    return experiment


def is_policy_run(folder: Path) -> bool:
    """Whether a run folder's config.json is a policy's."""
    return trains(folder, KIND)
