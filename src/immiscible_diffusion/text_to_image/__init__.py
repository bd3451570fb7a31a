"""Text-to-image models in latents: autoencoder, prompts, network, run."""
