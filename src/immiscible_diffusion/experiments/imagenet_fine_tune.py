"""Fine-tuning Stable Diffusion 1.4 on ImageNet-1k at 256×256, class names as prompts (Table 3: batch 512).

Command: 4 GPUs of 48 GB (16 rows a piece): torchrun --nproc-per-node 4 -m immiscible_diffusion.cli
    train imagenet-fine-tune --data ILSVRC/imagenet-1k --precision bf16 --encode-precision bf16
    --accumulation 8 --pairing nearest --k 64
On 8 GPUs: the same with --nproc-per-node 8 and --accumulation 4
On one GPU, an adapter: immiscible train imagenet-fine-tune --lora-rank 16 --batch-size 32 --accumulation 4
    --learning-rate 1e-4 --precision bf16
Hardware: 4×A6000 in the paper. Duration: not run.
Paper: README of the authors: FID 11.45 vanilla, 10.38 nearest k=64, 10.28 assigned.
Ours: not run
The paper prints no learning rate; 1e-5 is that of diffusers' text-to-image script.
"""

from immiscible_diffusion.objectives import Diffusion
from immiscible_diffusion.text_to_image.experiment import TextToImageExperiment

experiment = TextToImageExperiment(
    name="imagenet-fine-tune",
    data="ILSVRC/imagenet-1k",
    network="pretrained",
    objective=Diffusion(prediction="epsilon", schedule="scaled-linear"),
    start_from="CompVis/stable-diffusion-v1-4",
    pairing="nearest:64",
    guidance=7.5,
    batch_size=512,
    steps=20_000,
    learning_rate=1e-5,
    warmup_steps=500,
    ema_decay=0.9999,
    accumulation=8,
    resolution=256,
    gradient_checkpointing=True,
)
