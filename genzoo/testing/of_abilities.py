"""Promises of what only some models can."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from genzoo.interface.errors import GenzooError, Skip
from genzoo.testing.case import Case
from genzoo.testing.check import promised, require, require_samples
from genzoo.testing.of_models import drawn

if TYPE_CHECKING:
    from torch import Tensor

    from genzoo.interface.generator import Generator
    from genzoo.interface.modality import SampleSpace
    from genzoo.runs.folder import RunFolder

KINDS = ("exact", "lower bound")
LONGER = {"steps": 200, "save_every": 0, "eval_every": 0, "log_every": 100}
SOME = 1024  # examples of which a bound is taken
OFF = 0.01  # that a sum of exact likelihoods may be from 1
ABOVE = 0.1  # that a sum of bounds, each estimated, may be above 1

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

    from genzoo.interface.generator import ability

    model, batch = case.model, case.batch()
    if (method := ability(model, "reconstruct")) is None:
        raise Skip("the model does not reconstruct")
    with torch.no_grad():
        require_samples(case, method(batch.examples), len(batch), "what reconstruct gives")
        case.modality.samples_of(batch, model.data)


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
        require_samples(case, model.decode(codes), len(batch), "what decode gives")


@promised
def likelihoods_are_of_examples(case: Case) -> None:
    """`log_likelihood` is finite, one an example, or one for each token of a row, and draws from `rng` alone; a model
    tagged `density` has an exact one."""
    _with_likelihood(case)


def _with_likelihood(case: Case) -> Any:
    """The model, if its likelihoods are of examples; skips if it has none."""
    return case.once("likelihoods_are_of_examples", lambda: _of_examples(case))


def _of_examples(case: Case) -> Any:
    import torch

    from genzoo.interface.generator import log_likelihood

    density = "density" in case.spec.tags
    try:
        model = case.having("HasLikelihood", "give likelihoods")
    except Skip:
        has_one = hasattr(case.kind, "log_likelihood")
        require(
            not has_one, 'log_likelihood needs a class attribute beside it: likelihood_kind = "exact" or "lower bound"'
        )
        require(not density, "the model is tagged density, and has no log_likelihood")
        raise
    kind, batch = model.likelihood_kind, case.batch()
    require(kind in KINDS, f"likelihood_kind is {kind!r}; allowed is 'exact' or 'lower bound'")
    require(kind == "exact" or not density, f"the model is tagged density, and its likelihood_kind is {kind!r}")
    before, half = torch.get_rng_state(), len(batch) // 2
    with torch.no_grad():
        nats, again = (log_likelihood(model, batch.examples, seed=3) for _ in "12")
        rest = log_likelihood(model, batch.examples[half:], seed=3, start=half)
    shape = tuple(nats.shape)
    of_rows = shape == tuple(batch.examples.shape) and nats.ndim == 2
    require(shape == (len(batch),) or of_rows, f"log_likelihood has shape {shape}; promised is {(len(batch),)}")
    require(bool(torch.isfinite(nats).all()), "log_likelihood is not finite")
    moved = not torch.equal(before, torch.get_rng_state())
    require(not moved, "log_likelihood moved torch's global random state: take an argument rng and draw from it")
    require(torch.equal(nats, again), "log_likelihood gives other values the second time: draw from rng alone")
    same = torch.allclose(nats[half:], rest, rtol=1e-3, atol=1e-3)
    require(same, "the likelihood of an example depends on those beside it: row i of rng belongs to example i")
    return model


@promised
def likelihoods_sum_to_one(case: Case) -> str:
    """Over all examples that there can be, of made-up data that have few, exact likelihoods sum to 1, or densities
    integrate to it; bounds from below do not exceed it."""
    model, reasons, sums = _with_likelihood(case), [], []
    for number, space in enumerate(case.modality.sample_spaces(case.folder)):
        if space.applies is not None and not space.applies(model):
            continue
        try:
            run = case.train(f"space-{number}", **space.options, **LONGER)
        except GenzooError as error:
            reasons.append(str(error))
            continue
        sums.append(_normalised(run, space))
    if not sums:
        raise Skip(reasons[0] if reasons else "there are no made-up data with few examples for it")
    wrong = [text for good, text in sums if not good]
    require(not wrong, "; ".join(wrong))
    return "; ".join(text for _, text in sums)


def _normalised(run: RunFolder, space: SampleSpace) -> tuple[bool, str]:
    """Whether the likelihoods of all possible examples sum to what they may, and to what they do."""
    import torch

    from genzoo.interface.generator import HasLikelihood
    from genzoo.sampling.model import load

    model, data = load(run, weights="last", device="cpu"), run.data_spec
    examples, exact = space.examples(data), cast(HasLikelihood, model).likelihood_kind == "exact"
    number = len(examples)
    if not exact and number > SOME:  # a bound may cost much: of many examples, some stand for all
        examples = examples[torch.randperm(number, generator=torch.Generator().manual_seed(0))[:SOME]]
    totals = [_total(model, examples, space.volume, 1 if exact else max(1, SOME // number)) * number / len(examples)]
    if exact and space.wider is not None:
        totals.append(_total(model, space.wider(data), space.volume, 1))
    if space.volume is None:
        text = f"the likelihoods of all {number:,} possible examples of {data.shape} sum to {totals[0]:.4g}"
    else:
        beyond = f", to {totals[1]:.4g} over more than that" if len(totals) > 1 else ""
        text = f"the density over {data.shape} integrates to {totals[0]:.4g} by a grid of {number:,} examples{beyond}"
    if exact:
        return any(abs(total - 1) < OFF for total in totals), f"{text}, which must be 1"
    return totals[0] < 1 + ABOVE, f"{text}, which must not be above 1 for a bound from below"


def _total(model: Generator, examples: Tensor, volume: float | None, repeats: int) -> float:
    """The sum over examples of exp(nats), the nats being a mean over seeds; beyond their range some have none."""
    import torch

    from genzoo.interface.generator import log_likelihood

    nats = []
    for start in range(0, len(examples), 4096):
        part = examples[start : start + 4096]
        with torch.no_grad():
            of_seeds = [log_likelihood(model, part, seed=seed, start=start).cpu().double() for seed in range(repeats)]
        mean = torch.stack(of_seeds).mean(0)
        nats.append(mean.sum(1) if mean.ndim == 2 else mean)
    return float(torch.cat(nats).exp().nan_to_num(0, posinf=0).sum() * (volume or 1))


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

    if not case.conditional:
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


@promised
def samples_are_written_and_shown(case: Case) -> None:
    """Samples are written in every format of their modality, say of themselves that they are generated, and can be
    shown."""
    import torch

    modality, run, samples = case.modality, case.run, drawn(case, 3)
    for suffix in modality.spec.write_options.suffixes:
        path = case.folder / f"samples{suffix}"
        facts = run.provenance(3, options={})
        modality.write(samples, path, facts, modality.spec.write_options(), run.data_spec)
        labels = modality.provenance(path)
        require(bool(labels), f"a {suffix} says nothing of where it is from: give the facts to genzoo.write_file")
        require(labels.get("genzoo", {}).get("run") == run.name, f"a {suffix} does not name the run that it is from")
        shown = modality.preview(path)
        if isinstance(shown, torch.Tensor):
            good = shown.dtype == torch.uint8 and shown.ndim == 3 and shown.shape[0] in (1, 3)
            form = f"{shown.dtype} {tuple(shown.shape)}"
            require(good, f"the preview of a {suffix} is {form}; promised is uint8 (1 or 3, H, W), or a text")
        else:
            require(isinstance(shown, str), f"the preview of a {suffix} is a {type(shown).__name__}")
