"""Stable Diffusion: latents instead of pixels, prompts instead of classes."""
