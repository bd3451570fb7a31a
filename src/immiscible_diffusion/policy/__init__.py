"""Diffusion policy on PushT: actions of a robot instead of images, paired with noise in the same way."""
