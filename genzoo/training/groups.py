"""One training for each of several seeds: a group of runs, gone on with where it was left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genzoo.interface.dataset import Progress, silent
from genzoo.interface.errors import Diverged, GenzooError, Interrupted, UsageError
from genzoo.interface.options import build, to_json
from genzoo.registry.data import IN_MEMORY, NAME_IN_MEMORY, locate
from genzoo.runs.find import data_place, find_run, new_name, runs_folder
from genzoo.runs.folder import RunFolder, is_run
from genzoo.runs.groups import NOT_COMPARED, Group, seeds_of
from genzoo.runs.manage import remove
from genzoo.runs.progress import Watched
from genzoo.training.plan import Plan, plan, plan_resume
from genzoo.training.train import carry_out

MOST_SEED = 2**31 - 1


def train_seeds(
    model: str | None,
    seeds: int,
    *,
    like: str | Path | RunFolder | None = None,
    preset: str | None = None,
    config: str | None = None,
    settings: Mapping[str, object] | None = None,
    watchers: Sequence[object] = (),
    progress: Progress | bool | None = None,
    **options: object,
) -> list[RunFolder]:
    """Train a model once for each of several seeds, one after another: a group of runs.

        runs = genzoo.train_seeds("vae", 5, data="mnist-5k", name="vae-digits")
        genzoo.compare(["vae-digits"])  # one column: mean and standard deviation

    Args:
        seeds: how many, from `seed` (0) on.
        options: as for `train`. `name` is the group's; of a group that is there already, what is finished is not
            trained again, and what was stopped goes on.

    Returns:
        The runs, by seed.

    Raises:
        What `train` does. A run that diverges does not keep the others from being trained; it is raised at the end.
    """
    planned = plan_group(model, seeds, options, settings=settings, config_file=config, preset=preset, like=like)
    with Watched(progress) as watched:
        return carry_out_group(planned, [*watchers, *watched.watchers], watched.data)


def plan_group(
    model: str | None,
    seeds: int,
    options: Mapping[str, object],
    *,
    settings: Mapping[str, object] | None = None,
    config_file: str | None = None,
    preset: str | None = None,
    like: str | Path | RunFolder | None = None,
) -> list[Plan | RunFolder]:
    """The trainings of a group, by seed: a plan, or the run where it is finished already. Raises `UsageError`."""
    first = plan(model, options, settings=settings, config_file=config_file, preset=preset, like=like)
    training = first.training
    if seeds < 1 or training.seed + seeds - 1 > MOST_SEED:
        raise UsageError(f"--seeds is {seeds} from --seed {training.seed} on; allowed is 1 or more, up to {MOST_SEED}")
    folder = runs_folder(training.runs_dir)
    group = Group(training.name or _new_name(first, folder), tuple(range(training.seed, training.seed + seeds)))
    return [_of_seed(replace(first, group=group), seed, folder) for seed in group.seeds]


def plan_rest(
    runs: Sequence[RunFolder], *, steps: int | None, device: str | None, threads: int | None,
    data: object = None, data_dir: str | None = None, shorten: bool = False, accept_changes: bool = False,
) -> list[Plan | RunFolder]:  # fmt: skip
    """What is left of a group that has these runs, with what is to differ; see `resume`. Raises `UsageError` if nothing
    is."""
    like, folder = runs[0], runs[0].path.parent
    (spec, plugin), training = like.spec(), data_place(like, data, data_dir)
    group = Group(str(like.group), seeds_of(runs))
    changes: dict[str, Any] = {"steps": steps, "device": device, "threads": threads}
    training = replace(training, runs_dir=str(folder), **{k: v for k, v in changes.items() if v is not None})
    config: object = build(spec.config, like.record["options"], spec.name)
    parent = None if training.init_from is None else find_run(training.init_from)
    model = Plan(spec, plugin, like.record.get("preset"), config, training, group=group, parent=parent, in_memory=data)
    changes |= {"data": data, "data_dir": data_dir, "shorten": shorten, "accept_changes": accept_changes}
    planned = [_of_seed(model, seed, folder, changes) for seed in group.seeds]
    if all(isinstance(each, RunFolder) for each in planned):
        raise UsageError(f"all {len(planned)} runs of group {group.name!r} are finished; give --steps to train further")
    return planned


def _of_seed(model: Plan, seed: int, folder: Path, changes: Mapping[str, Any] | None = None) -> Plan | RunFolder:
    """The training of one seed: a new run, one that goes on, or a finished one. `changes` are what a resume is to have
    different; None: the run must be as it was planned."""
    assert model.group is not None, "a group is planned"
    path = folder / model.group.run_name(seed)
    if is_run(path):
        run = RunFolder(path)
        if changes is None:
            _check_same(run, model)
        steps = None if changes is None else changes["steps"]
        if run.status == "finished" and (steps is None or steps == run.step):
            return run
        if run.checkpoints() or run.is_held():
            again = {**dict.fromkeys(("steps", "device", "threads")), "data": model.in_memory}
            return plan_resume(run, **(changes or again))
        remove(run)  # it was stopped before its first checkpoint
    return replace(model, training=replace(model.training, seed=seed, name=path.name))


def _check_same(run: RunFolder, model: Plan) -> None:
    """Raises `UsageError` if a run that is there is another than the one that was planned."""
    assert model.group is not None, "a group is planned"
    planned = {**to_json(model.config), **to_json(model.training)}
    actual = {**run.record["options"], **run.record["training"]}
    aside = {*NOT_COMPARED, "epochs"} | ({"steps"} if model.training.steps is None else set())
    differing = [name for name, value in planned.items() if name not in aside and actual.get(name) != value]
    if run.group != model.group.name or run.model != model.spec.name:
        raise UsageError(f"run {run.name!r} exists and is of no such group; choose another --name")
    if differing:
        name = differing[0]
        raise UsageError(
            f"group {run.group!r} exists with {name} {actual.get(name)!r}, and now it is {planned[name]!r}; choose"
            f" another --name, or go on with: genzoo resume {run.group}"
        )


def _new_name(planned: Plan, folder: Path) -> str:
    if planned.training.data == IN_MEMORY:
        return new_name(planned.spec.name, NAME_IN_MEMORY, folder)
    paths = locate(planned.training.data, planned.modality)
    data = paths[0].stem if isinstance(paths, tuple) else planned.training.data
    return new_name(planned.spec.name, data, folder)


def carry_out_group(
    planned: Sequence[Plan | RunFolder], watchers: Sequence[object] = (), progress: Progress = silent
) -> list[RunFolder]:
    """Do the trainings that are planned, or what is left of them; see `train_seeds`."""
    runs, diverged = [], []
    for number, each in enumerate(planned, 1):
        if isinstance(each, RunFolder):
            runs.append(each)
            continue
        group = each.group.name if each.group else each.folder.group if each.folder else None
        try:
            runs.append(carry_out(each, watchers, progress))
        except Diverged as error:
            diverged.append((each, error))
        except Interrupted as error:
            raise Interrupted(
                f"stopped in run {number} of {len(planned)} of group {group!r}, all saved; go on with: genzoo resume"
                f" {group}",
                error.exit_status,
            ) from error
    if diverged:
        seeds = ", ".join(str(each.training.seed) for each, _ in diverged)
        raise GenzooError(
            f"{len(diverged)} of {len(planned)} runs diverged, of seed {seeds}; the first: {diverged[0][1]}"
        )
    return runs
