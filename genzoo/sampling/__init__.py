"""From a run to samples: its model loaded, drawn from, taken through its latent space, exported."""
