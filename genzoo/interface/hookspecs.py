"""The hooks: what a plugin can give to the zoo, and what it can watch.

A plugin is a module that an entry point of the group `genzoo` names. Functions in it that are marked
`@genzoo.hookimpl` and named as below are called. They take the arguments they name, and may leave some out.
The group `genzoo` is for plugin API 1, the one that this genzoo has; a later one has a group of its own, `genzoo.v2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    from genzoo.interface.run import Run
    from genzoo.interface.specs import (
        CommandSpec,
        DatasetSpec,
        FeatureSpec,
        GeneratorSpec,
        MetricSpec,
        ModalitySpec,
    )

API_VERSION = 1

hookspec = pluggy.HookspecMarker("genzoo")
hookimpl = pluggy.HookimplMarker("genzoo")


@hookspec
def genzoo_generators() -> list[GeneratorSpec]:  # type: ignore[empty-body]
    """Give models to the zoo. Called at most once a process, and must import nothing heavy.

    Example::

        @genzoo.hookimpl
        def genzoo_generators():
            return [GeneratorSpec(name="vae", summary="...", modality="image", target="genzoo_vae.model:VAE")]
    """


@hookspec
def genzoo_datasets() -> list[DatasetSpec]:  # type: ignore[empty-body]
    """Give data sets to the zoo. Called at most once a process, and must import nothing heavy.

    Example::

        @genzoo.hookimpl
        def genzoo_datasets():
            return [DatasetSpec(name="shapes", summary="...", modality="image", target="my_plugin.data:load")]
    """


@hookspec
def genzoo_modalities() -> list[ModalitySpec]:  # type: ignore[empty-body]
    """Give kinds of data to the zoo. Called at most once a process, and must import nothing heavy.

    Example::

        @genzoo.hookimpl
        def genzoo_modalities():
            return [
                ModalitySpec(
                    name="curves", summary="...", target="my_plugin.modality:Curves",
                    train_options=CurveOptions, write_options=CurveWriteOptions,
                )
            ]
    """


@hookspec
def genzoo_commands() -> list[CommandSpec]:  # type: ignore[empty-body]
    """Give commands to `genzoo`. The click command that `target` names is imported when it is called.

    Example::

        @genzoo.hookimpl
        def genzoo_commands():
            return [CommandSpec(name="publish", summary="...", target="my_plugin.publish:command")]
    """


@hookspec
def genzoo_metrics() -> list[MetricSpec | FeatureSpec]:  # type: ignore[empty-body]
    """Give measures to `genzoo evaluate`, and features to measure in. Called at most once a process, and must import
    nothing heavy.

    Example::

        @genzoo.hookimpl
        def genzoo_metrics():
            return [
                MetricSpec(name="gap", summary="...", modality="image", better="lower", target="my_plugin.measures:gap")
            ]
    """


@hookspec
def genzoo_run_started(run: Run) -> None:
    """Watch a training begin or go on: called on the main process when all is ready, before its first step.

    Example::

        @genzoo.hookimpl
        def genzoo_run_started(run):
            print(run.name, run.steps_total)
    """


@hookspec
def genzoo_run_logged(run: Run, step: int, values: dict[str, float]) -> None:
    """Watch a line of `metrics.jsonl` as it is written, after `step` steps.

    `values` has "step", "seconds" of training so far, "samples_per_second" (or what the data are counted in), and
    "utilisation" where the device's peak is known; the means since the line before of what the model gave to
    `run.log`, under its names; and at `--eval-every` the scores on validation data, named "validation/NAME".

    Example::

        @genzoo.hookimpl
        def genzoo_run_logged(run, step, values):
            if values["loss"] > 100:
                run.stop()
    """


@hookspec
def genzoo_run_saved(run: Run, step: int, folder: Path) -> None:
    """Watch a checkpoint: called when `folder` is complete on the disk.

    Example::

        @genzoo.hookimpl
        def genzoo_run_saved(folder):
            shutil.copytree(folder, backup / folder.name)
    """


@hookspec
def genzoo_run_ended(run: Run, status: str, error: BaseException | None) -> None:
    """Watch a training end: `status` is "finished", "interrupted" or "failed", `error` what ended it if not all steps.

    Example::

        @genzoo.hookimpl
        def genzoo_run_ended(run, status):
            send_mail(f"{run.name} {status}")
    """
