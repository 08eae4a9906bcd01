"""The checks: each a promise of a model, in a sentence. One fails by raising, with what it saw."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genzoo.interface import hookspecs
from genzoo.interface.errors import GenzooError, Interrupted, Skip, UsageError
from genzoo.interface.options import Option, build, options_of
from genzoo.interface.specs import NAME, load_target
from genzoo.registry.plugins import RESERVED, RESERVED_COMMANDS, RESERVED_IN_SAMPLING, registry
from genzoo.testing.case import STEPS, Case

if TYPE_CHECKING:
    from torch import Tensor

    from genzoo.runs.folder import RunFolder
    from genzoo.training.run import TrainingRun

MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")  # of pickles, and of torch.save's archives


@dataclass(frozen=True)
class Check:
    """A promise. `function` is given a `Case` and raises if it is not kept."""

    name: str
    promise: str
    function: Callable[[Case], None]


CHECKS: list[Check] = []


def promised(function: Callable[[Case], None]) -> Callable[[Case], None]:
    """Take a function among the checks; its docstring is the promise."""
    CHECKS.append(Check(function.__name__, (function.__doc__ or "").strip(), function))
    return function


def require(holds: bool, problem: str) -> None:
    """Fail, saying the problem, unless it holds."""
    if not holds:
        raise AssertionError(problem)


# The plugin, without torch


@promised
def imports_lightly(case: Case) -> None:
    """Importing the plugin imports nothing heavy."""
    heavy = case.imported["heavy"]
    require(not heavy, f"importing {case.target} imports {', '.join(heavy)}; name the model's class by a string")


@promised
def hooks_match(case: Case) -> None:
    """Functions named as hooks are marked, known, and take arguments that the hook has."""
    known = {name: inspect.signature(f).parameters for name, f in vars(hookspecs).items() if name.startswith("genzoo_")}
    for name, function in vars(case.module).items():
        if not name.startswith("genzoo_") or not inspect.isfunction(function):
            continue
        require(hasattr(function, "genzoo_impl"), f"{name} is not marked @genzoo.hookimpl")
        require(name in known, f"there is no hook {name}; they are {', '.join(known)}")
        strange = [argument for argument in inspect.signature(function).parameters if argument not in known[name]]
        require(not strange, f"{name} takes {', '.join(strange)}, which the hook does not give")


@promised
def name_is_valid(case: Case) -> None:
    """The model's name is lower-case letters, digits and single hyphens, and no command's."""
    require(bool(NAME.fullmatch(case.spec.name)), f"the name {case.spec.name!r} is not lower-case letters and hyphens")
    require(case.spec.name not in RESERVED_COMMANDS, f"{case.spec.name!r} is a command of genzoo")


@promised
def name_is_free(case: Case) -> None:
    """No other installed plugin gives a model of that name."""
    others = {p.distribution for _, p, s in registry().generators if s.name == case.spec.name} - {
        case.plugin.distribution
    }
    require(not others, f"{', '.join(sorted(others))} gives a model {case.spec.name!r} too")


@promised
def api_is_supported(case: Case) -> None:
    """The plugin asks for no newer plugin API than this genzoo has."""
    wanted = getattr(case.module, "GENZOO_API", 1)
    require(
        isinstance(wanted, int) and 1 <= wanted <= hookspecs.API_VERSION,
        f"GENZOO_API is {wanted!r}; this genzoo has {hookspecs.API_VERSION}",
    )


@promised
def metadata_are_complete(case: Case) -> None:
    """The distribution names its licence, its Python, and a bound on genzoo."""
    try:
        facts = metadata(case.plugin.distribution)
    except PackageNotFoundError:
        raise Skip("the distribution has no metadata here") from None
    licence = "License-Expression" in facts or "License" in facts
    require(licence, "the distribution names no licence")
    require("Requires-Python" in facts, "the distribution does not say which Python it needs")
    needs = [line for line in facts.get_all("Requires-Dist") or [] if re.match(r"genzoo(?![\w.-])", line)]
    require(bool(needs), "the distribution does not depend on genzoo")
    require(bool(re.search(r"<|==|~=", needs[0])), f"{needs[0]!r} has no upper bound: write genzoo>=0.1,<0.2")


# Options, without torch


def every_option(case: Case) -> Iterator[Option]:
    """The model's own options, of training and of sampling."""
    for config in (case.spec.config, case.spec.sample_options):
        yield from options_of(config).values()


@promised
def options_are_declared(case: Case) -> None:
    """Every option has a type, a help and a default that is allowed."""
    for item in every_option(case):
        require(len(item.help.strip()) > 3, f"{item.flag} has no help")
        try:
            same = item.default is None or item.check(item.default, case.name) == item.default
        except UsageError as error:
            raise AssertionError(f"the default is not allowed: {error}") from None
        require(same, f"{item.flag} changes its default {item.default!r}")
    for config in (case.spec.config, case.spec.sample_options):
        build(config, {}, case.name)


@promised
def options_do_not_clash(case: Case) -> None:
    """No option has the name of one that every training, or every sampling, has."""
    modality = case.modality.spec
    training = {*options_of(modality.train_options), *RESERVED}
    for name in options_of(case.spec.config):
        require(name not in training, f"every training has an option {name!r}")
    sampling = {*options_of(modality.write_options), *RESERVED_IN_SAMPLING}
    for name in options_of(case.spec.sample_options):
        require(name not in sampling, f"every sampling has an option {name!r}")


def _values(item: Option) -> Iterator[object]:
    """Values that an option takes: the default, the choices, the bounds."""
    bounds = [item.minimum, item.maximum]
    for value in (item.default, *item.choices, *(item.type(bound) for bound in bounds if bound is not None)):
        if value is not None and value != "":
            yield (value,) if item.many and not isinstance(value, tuple) else value


@promised
def options_mean_the_same_everywhere(case: Case) -> None:
    """A value is the same from the command line, TOML and JSON."""
    for item in every_option(case):
        for value in _values(item):
            from_text = item.check(item.shown(value), case.name)
            plain = json.dumps(list(value) if isinstance(value, tuple) else value)
            from_json = item.check(json.loads(plain), case.name)
            from_toml = item.check(tomllib.loads(f"x = {plain}")["x"], case.name)
            require(
                value == from_text == from_json == from_toml,
                f"{item.flag} {value!r} is {from_text!r} as text, {from_json!r} in JSON, {from_toml!r} in TOML",
            )


def _refused(item: Option) -> Iterator[str | float]:
    """Values that an option cannot take."""
    step = 1 if item.type is int else 1e-3
    if item.type in (int, float):
        yield "many"
        yield from (item.minimum - step for _ in "1" if item.minimum is not None)
        yield from (item.maximum + step for _ in "1" if item.maximum is not None)
        yield from (bound for bound in (item.above, item.below) if bound is not None)
        if item.type is float:
            yield "nan"
    elif item.type is bool or item.choices:
        yield "no such thing"


@promised
def options_out_of_bounds_are_refused(case: Case) -> None:
    """A value that is not allowed is refused, with its name, before torch is imported."""
    first = None
    for item in every_option(case):
        for value in _refused(item):
            try:
                taken = item.check(value if item.type is not int or isinstance(value, str) else int(value), case.name)
            except UsageError as error:
                require(item.flag in str(error), f"what is said of {item.flag} {value!r} does not name it: {error}")
                if item.name in options_of(case.spec.config) and item.type is not bool:
                    first = first or (item.flag, str(value))
            else:
                raise AssertionError(f"{item.flag} takes {value!r} for {taken!r}")
    if first and case.plugin.status == "loaded":
        seen = case.child("refuse", case.qualified, *first)
        require(seen["status"] == 2, f"{' '.join(first)} ends with status {seen['status']}, not 2")
        require(not seen["torch"], f"{' '.join(first)} is refused only after torch was imported")


@promised
def presets_are_allowed(case: Case) -> None:
    """Every preset, with the defaults, gives a training that could begin."""
    options = options_of(case.spec.config)
    kind = case.modality.spec.train_options
    for name, preset in {"": {}, **case.spec.presets}.items():
        values = {**case.spec.defaults, **preset}
        source = f"preset {name!r}" if name else "the defaults"
        try:
            build(case.spec.config, {k: v for k, v in values.items() if k in options}, case.name)
            rest = build(kind, {k: v for k, v in values.items() if k not in options}, case.name)
        except UsageError as error:
            raise AssertionError(f"{source}: {error}") from None
        require(rest.steps is not None or rest.epochs is not None, f"{source}: no steps and no epochs are given")


# The model


@promised
def target_is_a_generator(case: Case) -> None:
    """The target names a class that is a `genzoo.Generator` with `fit` and `sample`."""
    from genzoo.interface.generator import Generator

    try:
        kind = load_target(case.spec.target, f"model {case.name!r}")
    except GenzooError as error:
        raise AssertionError(str(error)) from None
    require(isinstance(kind, type) and issubclass(kind, Generator), f"{case.spec.target} is not a genzoo.Generator")
    require(not inspect.isabstract(kind), f"{case.spec.target} lacks {', '.join(kind.__abstractmethods__)}")


@promised
def importing_changes_no_global_state(case: Case) -> None:
    """Importing the model leaves the default dtype, threads, random states and CUDA as they were."""
    changed = case.observed["changed"]
    require(not changed, f"importing {case.spec.target} changes {', '.join(changed)}")


@promised
def training_moves_the_weights(case: Case) -> None:
    """A short training ends, its logged values are finite, and it changes what is sampled."""
    lines = case.run.metrics()
    require(len(lines) >= STEPS, f"{STEPS} steps logged {len(lines)} lines: use run.log, and one step an item")
    logged = {key for line in lines for key in line if key != "step" and "second" not in key}
    require(bool(logged), "nothing is logged: call run.log(loss=...)")
    infinite = [key for line in lines for key, value in line.items() if not math.isfinite(value)]
    require(not infinite, f"{infinite[:1]} is not finite")
    weights = _checkpoints(case)
    require(len(weights) >= 2, "the training wrote no two checkpoints")
    require(weights[0] != weights[-1], "the weights after the last step are those after the second")


def _checkpoints(case: Case) -> list[str]:
    """Hashes of the weights of the run's checkpoints, oldest first."""
    from safetensors.torch import load_file

    from genzoo.runs.folder import TENSORS

    every = (load_file(path / TENSORS) for path in reversed(case.run.checkpoints()))
    return [_hash({key: value for key, value in state.items() if key.startswith("model.")}) for state in every]


def _hash(tree: object) -> str:
    """Of nested dictionaries and lists of tensors and plain values."""
    import torch

    digest = hashlib.sha256()

    def add(item: object) -> None:
        if isinstance(item, torch.Tensor):
            digest.update(repr((item.dtype, tuple(item.shape))).encode())
            digest.update(item.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(item, dict):
            for key in sorted(item, key=str):
                digest.update(str(key).encode())
                add(item[key])
        elif isinstance(item, (list, tuple)):
            for part in item:
                add(part)
        else:
            digest.update(repr(item).encode())

    add(tree)
    return digest.hexdigest()


def digest(samples: Tensor | list[str]) -> str:
    """The SHA-256 of samples."""
    return _hash(samples)


def weights_of(run: RunFolder) -> str:
    """The SHA-256 of the weights that a run ended with."""
    from genzoo.sampling.model import load

    return _hash(load(run, weights="last", device="cpu").state_dict())


# Samples


def drawn(case: Case, n: int, seed: int = 3) -> Any:
    """Samples as the core draws them."""
    from genzoo.sampling.draw import sample

    return sample(case.model, n, seed=seed)


@promised
def samples_have_their_shape(case: Case) -> None:
    """0, 1 and 3 samples are that many, of the modality's form: images (N, C, H, W) of floats in [0, 1], texts."""
    import torch

    from genzoo.interface.randomness import RandomStreams

    for count in (0, 1, 3):
        model = case.model
        with torch.no_grad():
            samples = model.sample(count, options=case.spec.sample_options(), rng=RandomStreams(0, count))
        _checked(case, samples, count, f"sample({count})")


def _checked(case: Case, samples: object, count: int, source: str) -> None:
    """Samples are as the modality promises them, strictly."""
    try:
        case.modality.check(samples, count, case.run.data_spec, strict=True)
    except GenzooError as error:
        raise AssertionError(f"{source}: {error}") from None


@promised
def samples_follow_the_seed(case: Case) -> None:
    """The same seed gives the same samples, another seed others."""
    one = digest(drawn(case, 3))
    require(one == digest(drawn(case, 3)), "two requests with one seed differ: draw from rng alone")
    require(one != digest(drawn(case, 3, seed=4)), "two seeds give the same samples: draw from rng")


@promised
def samples_do_not_depend_on_how_many(case: Case) -> None:
    """Sample i is the same whether one or more are asked for."""
    import torch

    three, one = drawn(case, 3), drawn(case, 1)
    same = three[:1] == one if isinstance(one, list) else bool(torch.allclose(three[:1], one, atol=1e-4))
    require(same, "the first of three samples is not the one sample: row i of rng belongs to sample i")


@promised
def sampling_leaves_all_as_it_was(case: Case) -> None:
    """Sampling changes no weights, no modes and no global random state."""
    import torch

    from genzoo.sampling.draw import sample

    model = case.model
    before = _hash(model.state_dict()), [m.training for m in model.modules()], torch.get_rng_state()
    grad = torch.is_grad_enabled()
    sample(model, 2, seed=0)
    require(_hash(model.state_dict()) == before[0], "sampling changed the weights or buffers")
    require([m.training for m in model.modules()] == before[1], "sampling changed modules between train and eval")
    require(torch.equal(torch.get_rng_state(), before[2]), "sampling moved torch's global random state: draw from rng")
    require(torch.is_grad_enabled() == grad, "sampling left gradients switched")


@promised
def a_fresh_process_draws_the_same(case: Case) -> None:
    """A run that another process loads gives the same samples."""
    from genzoo.sampling.draw import sample

    here = digest(sample(case.run, 2, seed=5, weights="last", device="cpu"))
    require(case.observed["drawn"] == here, "another process draws other samples: something is not in the state_dict")


# Runs


@promised
def nothing_is_a_pickle(case: Case) -> None:
    """No file of a run is a pickle, nor an archive that may hold one."""
    for path in sorted(case.run.path.rglob("*")):
        if path.is_file():
            require(
                not path.read_bytes()[:4].startswith(MAGIC), f"{path.relative_to(case.run.path)} looks like a pickle"
            )


@promised
def resuming_is_exact(case: Case) -> None:
    """A run that goes on from a checkpoint ends with the bits of one that was never stopped."""
    import shutil

    from genzoo.runs.folder import RunFolder
    from genzoo.training.train import resume

    require(case.run.status == "finished", "the training did not finish")
    copy = case.folder / "runs" / "copy"
    shutil.copytree(case.run.path, copy)
    for path in RunFolder(copy).checkpoints():
        if path.name != f"step-{STEPS // 2:08d}":
            shutil.rmtree(path)
    RunFolder(copy).update(status="interrupted", step=STEPS // 2)
    resumed = resume(copy)
    same = weights_of(case.run) == weights_of(resumed)
    require(same, "its weights differ: give optimisers to run.prepare and other state to run.track")
    last, other = case.run.metrics()[-1], resumed.metrics()[-1]
    differ = [key for key in last if "second" not in key and last[key] != other.get(key)]
    require(not differ, f"its logged {', '.join(differ)} differ")


@promised
def a_stopped_run_can_go_on(case: Case) -> None:
    """A stop signal ends a training after the step, saved, and resuming finishes it."""
    from genzoo.runs.folder import RunFolder
    from genzoo.training.train import resume

    class Stop:
        def genzoo_run_logged(self, run: TrainingRun, step: int) -> None:
            if step == 1:
                run.stop_signal = 15

    stopped = False
    try:
        case.train("stopped", watchers=[Stop()])
    except Interrupted:
        stopped = True
    run = RunFolder(case.folder / "runs" / "stopped")
    require(stopped and run.status == "interrupted", f"the training went on after a stop signal: it is {run.status}")
    require(run.step == 1, f"it stopped after step {run.step}, not 1")
    require(resume(run).step == STEPS, "resuming did not finish it")


@promised
def drawing_does_not_change_a_training(case: Case) -> None:
    """Grids, scores and checkpoints between steps leave a training as it would have been."""
    busy = case.train("busy", sample_every=1, eval_every=1, save_every=1)
    require(
        weights_of(busy) == weights_of(case.run),
        "the weights differ from those of a training that drew and saved less: sampling moves its state",
    )


@promised
def files_stay_in_the_run(case: Case) -> None:
    """Training writes nothing outside the run's folder."""
    outside = case.observed["outside"]
    require(not outside, f"training writes {', '.join(outside[:3])}")


@promised
def nothing_is_called(case: Case) -> None:
    """Training calls no other machine."""
    called = case.observed["called"]
    require(not called, f"training connects to {', '.join(called[:3])}")


@promised
def a_missing_device_is_refused(case: Case) -> None:
    """A device that is not there is a clear error, and nothing is written."""
    try:
        case.train("nowhere", device="cuda:99")
    except UsageError as error:
        require("cuda:99" in str(error), f"the error does not name the device: {error}")
    else:
        raise AssertionError("--device cuda:99 is taken")
    require(not (case.folder / "runs" / "nowhere").exists(), "a run was made")


@promised
def memory_of_the_device_is_given_back(case: Case) -> None:
    """On CUDA, a training whose results are gone leaves no memory taken."""
    import gc

    import torch

    if not torch.cuda.is_available():
        raise Skip("there is no CUDA device here")
    gc.collect()
    before = torch.cuda.memory_allocated()
    case.train("cuda", device="cuda")
    gc.collect()
    left = torch.cuda.memory_allocated() - before
    require(left < 2**20, f"{left:,} bytes are still taken")


# Abilities


@promised
def scores_are_one_an_example(case: Case) -> None:
    """`evaluate` gives finite scores, one for each example."""
    import torch

    model = case.having("Evaluates", "score examples")
    batch = case.batch()
    with torch.no_grad():
        for name, scores in model.evaluate(batch).items():
            require(
                tuple(scores.shape) == (len(batch),), f"{name} has shape {tuple(scores.shape)} of {len(batch)} examples"
            )
            require(bool(torch.isfinite(scores).all()), f"{name} is not finite")


@promised
def reconstructions_are_samples(case: Case) -> None:
    """`reconstruct` gives as many examples back, of the modality's form."""
    import torch

    model, batch = case.having("Reconstructs", "reconstruct"), case.batch()
    with torch.no_grad():
        _checked(case, model.reconstruct(batch.examples), len(batch), "what reconstruct gives")


@promised
def codes_are_deterministic(case: Case) -> None:
    """`encode` gives one vector an example, always the same, and `decode` samples of it."""
    import torch

    model, batch = case.having("Encodes", "encode"), case.batch()
    with torch.no_grad():
        codes = model.encode(batch.examples)
        shape = tuple(codes.shape)
        require(codes.ndim == 2 and len(codes) == len(batch), f"encode gives {shape} for {len(batch)} examples")
        require(torch.equal(codes, model.encode(batch.examples)), "encode gives other vectors the second time")
        _checked(case, model.decode(codes), len(batch), "what decode gives")


@promised
def likelihoods_are_likelihoods(case: Case) -> None:
    """`log_likelihood` is finite, one an example, or one for each token of a row."""
    import torch

    model = case.having("HasLikelihood", "give likelihoods")
    kind = model.likelihood_kind
    require(kind in ("exact", "lower bound"), f"likelihood_kind is {kind!r}; allowed is 'exact' or 'lower bound'")
    batch = case.batch()
    with torch.no_grad():
        nats = model.log_likelihood(batch.examples)
    shape = tuple(nats.shape)
    of_rows = shape == tuple(batch.examples.shape) and nats.ndim == 2
    require(shape == (len(batch),) or of_rows, f"log_likelihood has shape {shape}; promised is {(len(batch),)}")
    require(bool(torch.isfinite(nats).all()), "log_likelihood is not finite")


@promised
def promises_of_the_modality_are_kept(case: Case) -> None:
    """What the model's modality promises besides: of text, that exact likelihoods of all next tokens sum to 1."""
    import torch

    promises = case.modality.promises()
    if not promises:
        raise Skip("the modality promises nothing besides")
    model, batch, reasons = case.model, case.batch(), []
    for promise in promises:
        try:
            with torch.no_grad():
                promise(model, batch)
        except AssertionError as error:
            raise AssertionError(f"{promise.__name__}: {error}") from None
        except Skip as skip:
            reasons.append(str(skip))
    if len(reasons) == len(promises):
        raise Skip("; ".join(reasons))


@promised
def a_stream_is_the_sample(case: Case) -> None:
    """The pieces of a stream are the text of the sample."""
    from genzoo.sampling.draw import stream

    case.having("Streams", "stream")
    pieces = list(stream(case.model, seed=3))
    require(len(pieces) > 1, "the text comes in one piece")
    require(["".join(pieces)] == drawn(case, 1), "the pieces together are not the text of sample(1)")


@promised
def labels_are_obeyed(case: Case) -> None:
    """A conditional model trains with labels and draws each class that it is asked for."""
    from genzoo.sampling.draw import sample
    from genzoo.sampling.model import load

    if "conditional" not in options_of(case.spec.config):
        raise Skip("the model does not learn from labels")
    run = case.train("conditional", conditional=True)
    label = run.data_spec.classes[-1]
    samples = sample(load(run, device="cpu"), 3, seed=0, label=label)
    require(len(samples) == 3, "three samples of a class are not three")


@promised
def what_is_exported_is_there(case: Case) -> None:
    """`export` writes files and gives the line that reads them."""
    from genzoo.sampling.export import export

    case.having("Exports", "export")
    folder = Path(case.folder / "exported")
    line = export(case.run, folder)
    require(bool(line.strip()) and "\n" not in line, f"it gives {line!r}, not a line of Python")
    require(any(path.stat().st_size for path in folder.rglob("*") if path.is_file()), "it wrote nothing")
