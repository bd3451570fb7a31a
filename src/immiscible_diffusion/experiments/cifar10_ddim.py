"""DDPM training, DDIM sampling on CIFAR-10 at the paper's size: 35.7 M parameters, batch 256 (Table 3).

Command: immiscible train cifar10-ddim --data PATH (or nothing: the hub's copy) --precision bf16
On a CPU: immiscible train cifar10-ddim --network unet-small --batch-size 64 --steps 300
Hardware: one A5000-class GPU. Duration: days.
Paper: FID 6.63 vanilla, 4.45 nearest k=8, 5.14 assigned (later version of the paper).
Ours: not run at this size; a small network on a CPU. Change of the distance against vanilla, `immiscible
    evidence run cifar10-ddim`, 3 seeds, 5 / 20 evaluations: nearest:8 −2 ± 52 / −3 ± 35 %, assigned +3 ± 48
    / +2 ± 29 %, assigned:above −3 ± 38 / −4 ± 25 %; `immiscible evidence run cifar10-ddim-v`, 3 seeds, 5 /
    20 evaluations: nearest:8 −2 ± 1 / −1 ± 4 %, assigned:above −3 ± 7 / −7 ± 2 %.
"""

from immiscible_diffusion.experiment import Experiment
from immiscible_diffusion.objectives import Diffusion

experiment = Experiment(
    name="cifar10-ddim",
    data="cifar10",
    network="unet-paper",
    objective=Diffusion(),
    pairing="nearest:8",
    flip=True,
    batch_size=256,
    steps=200000,
    learning_rate=0.0002,
    warmup_steps=5000,
    ema_decay=0.9999,
)
