"""Flow matching on handwritten digits (scikit-learn's 1,797 scans of 8×8), residual MLP.

Command: immiscible compare digits-flow --seeds 3
Hardware: 2 CPU cores. Duration: about 20 seconds a run.
Paper: has no such experiment; it is the small one that everybody can run.
Ours: Change of the distance against vanilla, `immiscible evidence run digits-flow`, 5 seeds, 5 / 20 / 50
    evaluations: assigned:above −71 ± 2 / −59 ± 1 / −57 ± 2 %, nearest:64:dot:above −49 ± 2 / −30 ± 2 /
    −29 ± 1 %, assigned −21 ± 4 / +24 ± 4 / +34 ± 4 %, nearest:4 −6 ± 5 / +18 ± 5 / +22 ± 5 %.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import FlowMatching

experiment = Experiment(
    name="digits-flow",
    data="digits",
    network="mlp",
    objective=FlowMatching(),
    pairing="assigned:above",
    batch_size=256,
    steps=1000,
    learning_rate=0.003,
    warmup_steps=50,
    ema_decay=0.99,
)
