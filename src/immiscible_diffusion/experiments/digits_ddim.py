"""DDPM training, DDIM sampling on handwritten digits (scikit-learn's 1,797 scans of 8×8), residual MLP.

Command: immiscible compare digits-ddim --seeds 3
Hardware: 2 CPU cores. Duration: about 20 seconds a run.
Paper: has no such experiment; it is the small one that everybody can run.
Ours: Change of the distance against vanilla, `immiscible evidence run digits-ddim`, 5 seeds, 5 / 20 / 50
    evaluations: assigned:above −51 ± 11 / −42 ± 9 / −38 ± 9 %, nearest:64:dot:above −21 ± 11 / −14 ± 10 /
    −10 ± 10 %, assigned −42 ± 10 / −14 ± 5 / −8 ± 5 %, nearest:8 +24 ± 10 / +38 ± 7 / +41 ± 6 %;
    `immiscible evidence run digits-ddim-v`, 5 seeds, 5 / 20 / 50 evaluations: assigned:above −92 ± 5 /
    −87 ± 6 / −85 ± 6 %, assigned −83 ± 5 / −71 ± 7 / −68 ± 7 %, nearest:8 −53 ± 6 / −41 ± 6 / −36 ± 7 %.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import Diffusion

experiment = Experiment(
    name="digits-ddim",
    data="digits",
    network="mlp",
    objective=Diffusion(),
    pairing="assigned:above",
    batch_size=256,
    steps=1000,
    learning_rate=0.003,
    warmup_steps=50,
    ema_decay=0.99,
)
