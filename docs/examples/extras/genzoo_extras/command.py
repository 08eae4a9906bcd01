"""`genzoo average RUN`: imported when it is called."""

import click

import genzoo


@click.command()
@click.argument("run")
@click.option("-n", "count", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Samples.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--out", metavar="FILE", help="Default: a new file in the run's samples.")
@click.option("--overwrite", is_flag=True, help="Let --out take the place of what is there.")
def average(run, count, seed, out, overwrite):
    """Draw the mean of samples: what they have in common."""
    folder = genzoo.find_run(run)
    path = genzoo.output_path(folder, "average", out, (".png", ".jpg"), overwrite=overwrite)
    mean = genzoo.sample(folder, count, seed=seed).mean(0)  # (C, H, W) in [0, 1]
    facts = folder.provenance(seed, operation="average", options={"count": count})
    genzoo.write_picture((mean * 255).round().byte(), path, facts)
    click.echo(path)
