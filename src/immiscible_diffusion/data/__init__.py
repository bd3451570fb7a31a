"""Images as bytes: where they come from, their order and scale."""
