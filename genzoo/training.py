"""The story of one training, top to bottom, and of one that goes on."""

from __future__ import annotations

import math
import os
import platform
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState

from genzoo import checkpoint
from genzoo.data.builtin import load as load_data
from genzoo.data.files import Progress, tick
from genzoo.data.images import ImageData, place
from genzoo.data.text import TokenData
from genzoo.errors import GenzooError, GenzooWarning, Interrupted, UsageError, one_line
from genzoo.generator import Generator
from genzoo.linear import onednn_is_faster
from genzoo.options import build, to_json
from genzoo.plan import Plan, plan
from genzoo.randomness import derive_seed, random_state, restore_random_state, seed_everything
from genzoo.registry import registry
from genzoo.run import Run, from_main, peak_flops, stop_signals
from genzoo.run_folder import RunFolder, create, cut_metrics, find_run, new_name, runs_folder
from genzoo.sampling import build_model, choose_device, class_of, spec_of, tokenizer_of
from genzoo.spec import DataSpec, TrainOptions

PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


def train(
    model: str,
    *,
    preset: str | None = None,
    config: str | None = None,
    settings: Mapping[str, Any] | None = None,
    watchers: Sequence[object] = (),
    progress: Progress = tick,
    **options: Any,
) -> RunFolder:
    """Train a model.

        run = genzoo.train("vae", data="mnist-5k", steps=2000, latent_dim=8)

    Args:
        model: a name that `list_models` has, or `distribution/name`.
        preset: a named set of options of the model.
        config: a TOML file of options.
        settings: options with less weight than `options`, as `--set` on the command line.
        watchers: objects with any of the methods `genzoo_run_started/logged/saved/ended`.
        progress: called with (what, done, total) while the data are read.
        **options: the model's own options and those every training has, as `genzoo train MODEL --help` lists them.

    Returns:
        The run: its folder, options and metrics. `load` makes a model of it.

    Raises:
        UsageError: a name or a value that is not allowed; nothing was written.
        Diverged: a loss or a weight is no longer finite; earlier checkpoints are untouched.
        Interrupted: Ctrl-C or SIGTERM; everything is saved.
        GenzooError: data that cannot be read, a folder that cannot be written.
    """
    return carry_out(plan(model, options, settings=settings, config_file=config, preset=preset), watchers, progress)


def carry_out(what: Plan, watchers: Sequence[object] = (), progress: Progress = tick) -> RunFolder:
    """Do the training that is planned; see `train`."""
    device = choose_device(what.training.device)
    config, training = class_of(what.spec).settled(what.config, what.training)
    what = replace(what, config=config, training=training)
    accelerator = _accelerator(what.training, device)
    device = accelerator.device if accelerator.num_processes > 1 else device
    with _own_global_state(what.training.threads, device):
        dataset, data = _first_alone(accelerator, lambda: load_data(what.training, registry(), progress))
        training = replace(what.training, steps=_steps(what.training, data), epochs=None)
        seed_everything(training.seed)
        tokenizer = dataset.tokenizer if isinstance(dataset, TokenData) else None
        model = build_model(what.spec, what.config, data, device, tokenizer)
        if accelerator.process_index:
            seed_everything(derive_seed(training.seed, "process", accelerator.process_index))
        folder = runs_folder(training.runs_dir)
        path = folder / (training.name or new_name(what.spec.name, data.name, folder))
        path = Path(from_main(accelerator, str(path)))
        if accelerator.is_main_process:
            created = create(path, _record(what, training, data, accelerator, device, model))
            if tokenizer is not None:
                created.tokenizer_file.write_text(tokenizer.json, "utf-8")
        accelerator.wait_for_everyone()
        options = what.spec.sample_options()
        run = RunFolder(path), training, data, _placed(dataset, device), model, options, accelerator
        return _fit(Run(*run, registry().watch(list(watchers)), None), model)


def resume(
    run: str | Path | RunFolder,
    *,
    steps: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    runs_dir: str | None = None,
    watchers: Sequence[object] = (),
    progress: Progress = tick,
) -> RunFolder:
    """Go on with a run from its newest whole checkpoint.

    On a CPU the weights and losses are bit for bit those of a run that was never stopped. What differs from when it
    began (versions, threads, device) is warned of.

    Args:
        run: a run's folder or name, or a model's name for its newest run that is not finished.
        steps: a new total, to train further than was planned.
        device, threads: as for `train`, where they should differ.

    Raises:
        UsageError: there is no such run, or nothing to do.
        GenzooError: its data changed, it has no whole checkpoint, or another process trains it.
    """
    folder = find_run(run, runs_dir, to_resume=True)
    spec, plugin = spec_of(folder)
    training = folder.training
    changes: dict[str, Any] = {"steps": steps, "device": device, "threads": threads}
    training = replace(training, **{key: value for key, value in changes.items() if value is not None})
    _check_length(folder, training)
    chosen = choose_device(training.device)
    accelerator = _accelerator(training, chosen)
    chosen = accelerator.device if accelerator.num_processes > 1 else chosen
    with _own_global_state(training.threads, chosen), _held(folder, accelerator.is_main_process):
        config: Any = build(
            spec.config, folder.record["options"], f"{spec.name} ({plugin.distribution} {plugin.version})"
        )
        tokenizer = tokenizer_of(folder)
        dataset, data = _first_alone(accelerator, lambda: load_data(training, registry(), progress, tokenizer))
        if data.fingerprint != folder.record["data_spec"]["fingerprint"]:
            raise GenzooError(
                f"data {training.data!r} are not those that run {folder.name!r} began with; put them back"
            )
        state = checkpoint.load_newest(folder)
        _warn_of_changes(folder, accelerator, chosen)
        model = build_model(spec, config, data, chosen, tokenizer)
        if accelerator.is_main_process:
            folder.remove_leftovers()
            cut_metrics(folder, state[0])
            folder.update(training=to_json(training), steps_total=training.steps, process=os.getpid())
        given = folder, training, data, _placed(dataset, chosen), model, spec.sample_options(), accelerator
        return _fit(Run(*given, registry().watch(list(watchers)), state), model, hold=False)


def _fit(run: Run, model: Generator, *, hold: bool = True) -> RunFolder:
    """Let the plugin train; whatever happens, the folder says how it ended."""
    lock = _held(run.folder, run.is_main) if hold else nullcontext()
    with lock, stop_signals(run):
        if run.is_main:
            run.folder.update(status="running", error=None)
        try:
            model.train()
            model.fit(run)
            if run.is_main:
                run.save_model()
                run.draw_grid()
        except BaseException as error:
            _end(run, "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed", error)
            raise
        _end(run, "finished", None)
    return run.folder


def _end(run: Run, status: str, error: BaseException | None) -> None:
    if not run.is_main:
        return
    known = error is None or isinstance(error, GenzooError)
    text = None if error is None else str(error) if known else one_line(error)
    values = {"step": run.step, "seconds": round(run.seconds, 3)} if status == "finished" else {}
    try:
        run.folder.update(status=status, error=text, ended=_now(), **values)
    except OSError as problem:  # a full disk must not hide what went wrong
        run.warn(f"cannot write {run.folder.path / 'run.json'}: {problem.strerror}")
    run.tell("genzoo_run_ended", status=status, error=error)


def _steps(training: TrainOptions, data: DataSpec) -> int:
    if training.steps is not None:
        return training.steps
    assert training.epochs is not None, "a plan has one of the two"
    return max(1, math.ceil(training.epochs * data.train_count / training.batch_size))


def _check_length(folder: RunFolder, training: TrainOptions) -> None:
    assert training.steps is not None
    if training.steps < folder.step:
        raise UsageError(f"run {folder.name!r} has done {folder.step} steps; --steps is {training.steps}")
    if folder.status == "finished" and training.steps <= folder.step:
        raise UsageError(f"run {folder.name!r} is finished after {folder.step} steps; give --steps to train it further")


@contextmanager
def _own_global_state(threads: int | None, device: torch.device) -> Iterator[None]:
    """Threads and random numbers are the run's own until it ends, and then the caller's again."""
    before, state = torch.get_num_threads(), random_state(device)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        restore_random_state(state, device)


@contextmanager
def _held(folder: RunFolder, is_main: bool) -> Iterator[None]:
    with ExitStack() as stack:
        if is_main:
            stack.enter_context(folder.hold())
        yield


def _placed(data: ImageData | TokenData, device: torch.device) -> ImageData | TokenData:
    return data.place(device) if isinstance(data, TokenData) else place(data, device)


def _first_alone(accelerator: Accelerator, load: Any) -> tuple[ImageData | TokenData, DataSpec]:
    """Load data on the main process first, so that a download happens once."""
    with accelerator.main_process_first():
        loaded: tuple[ImageData | TokenData, DataSpec] = load()
    return loaded


def _accelerator(training: TrainOptions, device: torch.device) -> Accelerator:
    """Accelerate, for data parallel (as `accelerate launch` or `torchrun` started us) and mixed precision."""
    many = int(os.environ.get("WORLD_SIZE", "1")) > 1
    AcceleratorState._reset_state(reset_partial_state=not many)  # it keeps what the run before it chose
    GradientState._reset_state()
    precision = training.precision
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    if precision == "float16" and device.type == "cpu":
        raise UsageError("--precision is float16, which a CPU cannot train with; allowed there is float32 or bfloat16")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        if device.index is not None:
            torch.cuda.set_device(device)
    return Accelerator(mixed_precision=PRECISIONS[precision], cpu=device.type == "cpu")


def _record(
    what: Plan,
    training: TrainOptions,
    data: DataSpec,
    accelerator: Accelerator,
    device: torch.device,
    model: Any,
) -> dict[str, Any]:
    """What `run.json` says of a new run."""
    return {
        "model": what.spec.name,
        "plugin": what.plugin.distribution,
        "preset": what.preset,
        "options": to_json(what.config),
        "training": to_json(training),
        "data_spec": data.to_json(),
        "tokenizer_sha256": model.tokenizer.sha256 if data.modality == "text" else None,
        "parameters": sum(p.numel() for p in model.parameters()),
        "status": "running",
        "error": None,
        "step": 0,
        "steps_total": training.steps,
        "seconds": 0.0,
        "started": _now(),
        "ended": None,
        "process": os.getpid(),
        "environment": _environment(what.plugin.distribution, accelerator, device),
    }


def _environment(plugin: str, accelerator: Accelerator, device: torch.device) -> dict[str, Any]:
    """What the numbers of a run may depend on besides its options."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    own = {package: _version(package) for package in ("genzoo", plugin, "torch", "numpy", "accelerate")}
    return {
        "device": device.type,
        "device_name": name,
        "peak_flops": peak_flops(device),
        "precision": accelerator.mixed_precision,
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "linear": "onednn" if device.type == "cpu" and onednn_is_faster() else "torch",
        "system": platform.system(),
        "python": platform.python_version(),
        **own,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _warn_of_changes(folder: RunFolder, accelerator: Accelerator, device: torch.device) -> None:
    before, now = folder.record["environment"], _environment(folder.record["plugin"], accelerator, device)
    changed = [f"{key} {before.get(key)} -> {value}" for key, value in now.items() if before.get(key) != value]
    if changed and accelerator.is_main_process:
        warnings.warn(
            f"going on under other conditions, so not bit for bit as it would have: {', '.join(changed)}",
            GenzooWarning,
            stacklevel=3,
        )


def _now() -> str:
    return datetime.fromtimestamp(time.time()).astimezone().isoformat(timespec="microseconds")
