"""The policies that a run kept: the averaged weights of its last checkpoints, ready to act."""

from pathlib import Path

import torch

from immiscible_diffusion.policy.acting import Policy
from immiscible_diffusion.policy.experiment import PolicyExperiment, is_policy_run, policy_from_json
from immiscible_diffusion.policy.networks import build_policy_network
from immiscible_diffusion.policy.normalisation import Limits
from immiscible_diffusion.runs.checkpoints import checkpoint_steps, chosen_checkpoint, load_weights
from immiscible_diffusion.runs.folder import read_description, read_settings

KEPT = 10  # checkpoints that the published metric averages over
KEPT_FOLDER = "averaged"


def kept_policies(folder: Path) -> list[int]:
    """The steps whose averaged weights a run kept, rising.

    Raises FileNotFoundError where the folder holds no policy's run or none was kept yet.
    """
    if not is_policy_run(folder):
        raise FileNotFoundError(
            f"{str(folder)!r} is no policy's run folder; give one that `immiscible train pusht` wrote"
        )
    steps = checkpoint_steps(folder / KEPT_FOLDER)
    if not steps:
        raise FileNotFoundError(f"run {str(folder)!r} has kept no policy yet; train it further with --resume")
    return steps


def load_policy(folder: Path, step: int) -> Policy:
    """Load the policy that a run kept at `step`; averaged weights, on the CPU.

    Raises FileNotFoundError where it kept none, ValueError where it is damaged or does not fit config.json.
    """
    experiment: PolicyExperiment = read_settings(folder, policy_from_json)
    described = read_description(folder, ("action", "observation"))
    action, observation = (
        Limits(*(torch.tensor(described[name][end], dtype=torch.float64) for end in ("low", "high")))
        for name in ("action", "observation")
    )
    network = build_policy_network(
        experiment.network,
        (experiment.horizon, len(action.low)),
        (experiment.observation_steps, len(observation.low)),
    )
    held = chosen_checkpoint(folder / KEPT_FOLDER, str(step))
    assert held is not None
    load_weights(network, held.tensors["averaged"], step)
    return Policy(experiment, network.eval().requires_grad_(False), action, observation)
