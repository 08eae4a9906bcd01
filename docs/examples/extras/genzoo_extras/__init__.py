"""What a plugin can bring besides models: a data set, a measure, a command, a watcher. Without torch."""

import os

import genzoo
from genzoo import CommandSpec, DatasetSpec, MetricSpec


@genzoo.hookimpl
def genzoo_datasets():
    return [
        DatasetSpec(
            name="usps",
            summary="9,298 digits from letters, 16x16 grey",
            modality="image",
            target="genzoo_extras.data:load_usps",
            source="Hull 1994; fetched when it is first used",
            files=("USPS/usps.bz2", "USPS/usps.t.bz2"),
        )
    ]


@genzoo.hookimpl
def genzoo_metrics():
    return [
        MetricSpec(
            name="ink_distance",
            summary="distance between the shares of ink in samples and in test images",
            modality="image",
            better="lower",
            target="genzoo_extras.measures:ink_distance",
            applies=lambda data: data.name == "usps",
        )
    ]


@genzoo.hookimpl
def genzoo_commands():
    return [CommandSpec(name="average", summary="Draw the mean of samples", target="genzoo_extras.command:average")]


@genzoo.hookimpl
def genzoo_run_logged(run, step, values):
    """Stop a training whose loss after a hundred steps is above EXTRAS_PRUNE, as a search over options does."""
    bound = float(os.environ.get("EXTRAS_PRUNE", "inf"))
    if step >= 100 and values.get("loss", 0) > bound:
        run.warn(f"the loss is {values['loss']:.3g} after {step} steps, above EXTRAS_PRUNE={bound:g}: stopped")
        run.stop()
