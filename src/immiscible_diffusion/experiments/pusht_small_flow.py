"""Flow matching on PushT for a CPU: `pusht-small` with straight paths instead of DDPM.

Command: immiscible compare pusht-small-flow --data pusht.npz --pairings independent nearest:2 assigned
Hardware: 2 CPU cores. Duration: as `pusht-small`.
Paper: has no such experiment.
Ours: not run
"""

import dataclasses

from immiscible_diffusion.experiments.pusht_small import experiment as diffusion
from immiscible_diffusion.objectives import FlowMatching

experiment = dataclasses.replace(diffusion, name="pusht-small-flow", objective=FlowMatching())
