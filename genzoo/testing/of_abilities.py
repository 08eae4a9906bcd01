"""Promises of what only some models can."""

from __future__ import annotations

from pathlib import Path

from genzoo.interface.errors import Skip, one_line
from genzoo.interface.options import options_of
from genzoo.testing.case import Case
from genzoo.testing.check import promised, require, require_samples
from genzoo.testing.of_models import drawn

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
            raise AssertionError(f"{promise.__name__}: {str(error) or 'an assertion without a word'}") from None
        except Skip as skip:
            reasons.append(str(skip))
        except Exception as error:
            raise AssertionError(f"{promise.__name__}: {one_line(error)}") from error
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
