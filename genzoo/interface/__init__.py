"""What an author of plugins meets first: options, specs, hooks; a generator, a run, a modality; measures and files."""
