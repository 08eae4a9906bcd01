"""Promises of a model and of what it draws."""

from __future__ import annotations

import math
from typing import Any

from genzoo.interface.errors import Skip
from genzoo.interface.options import build
from genzoo.interface.specs import VALIDATION
from genzoo.testing.case import STEPS, Case
from genzoo.testing.check import digest, hash_of, promised, require, require_samples

# The model


@promised
def target_is_a_generator(case: Case) -> None:
    """The target names a class that is a `genzoo.Generator` with `fit` and `sample`."""
    case.kind  # noqa: B018  (it raises)


@promised
def a_training_ends(case: Case) -> None:
    """A short training on made-up data comes to its end."""
    case.run  # noqa: B018  (it raises)


@promised
def importing_changes_no_global_state(case: Case) -> None:
    """Importing the model leaves the default dtype, threads, random states and CUDA as they were."""
    changed = case.observed["changed"]
    require(not changed, f"importing {case.spec.target} changes {', '.join(changed)}")


@promised
def a_training_is_logged(case: Case) -> None:
    """A training logs finite values, one line a step if it is asked to."""
    lines = case.run.metrics()
    require(len(lines) >= STEPS, f"{STEPS} steps logged {len(lines)} lines: use run.log, and one step an item")
    logged = {key for line in lines for key in line if key != "step" and "second" not in key}
    require(bool(logged), "nothing is logged: call run.log(loss=...)")
    infinite = [key for line in lines for key, value in line.items() if not math.isfinite(value)]
    require(not infinite, f"{infinite[:1]} is not finite")


@promised
def best_by_names_a_score(case: Case) -> None:
    """The score by which the best weights are kept is among those that `--eval-every` gives."""
    best_by = case.kind.best_by
    if best_by is None:
        raise Skip("the model keeps its last weights")
    name, direction = best_by
    scores = sorted({key for line in case.run.metrics() for key in line if key.startswith(VALIDATION)})
    require(name in scores, f"best_by names {name!r}; there is {', '.join(scores) or 'no score'}")
    require(direction in ("lower", "higher"), f"best_by is {direction!r}; allowed is 'lower' or 'higher'")


@promised
def training_moves_the_weights(case: Case) -> None:
    """A training changes the weights that the model begins with, and with mini-batches goes on changing them; those of
    a model tagged `closed-form` stay as they are after the first step."""
    weights = _checkpoints(case)
    require(len(weights) >= 2, "the training wrote no two checkpoints")
    require(weights[-1] != _untrained(case), f"the weights after {STEPS} steps are those before the first")
    if "closed-form" in case.spec.tags:
        require(
            weights[0] == weights[-1], "the model is tagged closed-form, and its weights change after the first step"
        )
    elif case.spec.mini_batches:
        require(weights[0] != weights[-1], "the weights after the last step are those after the second; a model that is"
                " fitted at once has the tag 'closed-form'")  # fmt: skip


def _untrained(case: Case) -> str:
    """The hash of the weights that the run began with."""
    import torch

    from genzoo.interface.randomness import seeded
    from genzoo.sampling.model import build_model

    run, cpu = case.run, torch.device("cpu")
    with seeded(run.training.seed, cpu):
        config: object = build(case.spec.config, run.record["options"], case.name)
        model = build_model(case.spec, config, run.data_spec, cpu, run.kept())
    return hash_of({f"model.{name}": value for name, value in model.state_dict().items()})


def _checkpoints(case: Case) -> list[str]:
    """Hashes of the weights of the run's checkpoints, oldest first."""
    from safetensors.torch import load_file

    from genzoo.runs.folder import TENSORS

    every = (load_file(path / TENSORS) for path in reversed(case.run.checkpoints()))
    return [hash_of({key: value for key, value in state.items() if key.startswith("model.")}) for state in every]


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
        require_samples(case, samples, count, f"sample({count})")


@promised
def samples_follow_the_seed(case: Case) -> None:
    """The same seed gives the same samples, another seed others."""
    seeded_samples(case)


def seeded_samples(case: Case) -> None:
    """For checks that need samples which follow the seed."""
    case.once("samples_follow_the_seed", lambda: _follow_the_seed(case))


def _follow_the_seed(case: Case) -> None:
    one = digest(drawn(case, 3))
    require(one == digest(drawn(case, 3)), "two requests with one seed differ: draw from rng alone")
    require(one != digest(drawn(case, 3, seed=4)), "two seeds give the same samples: draw from rng")


@promised
def samples_do_not_depend_on_how_many(case: Case) -> None:
    """Sample i is the same whether one or more are asked for."""
    import torch

    seeded_samples(case)
    three, one = drawn(case, 3), drawn(case, 1)
    same = three[:1] == one if isinstance(one, list) else bool(torch.allclose(three[:1], one, atol=1e-4))
    require(same, "the first of three samples is not the one sample: row i of rng belongs to sample i")


@promised
def sampling_leaves_all_as_it_was(case: Case) -> None:
    """Sampling changes no weights, no modes and no global random state."""
    import torch

    from genzoo.sampling.draw import sample

    seeded_samples(case)
    model = case.model
    before = hash_of(model.state_dict()), [m.training for m in model.modules()], torch.get_rng_state()
    grad = torch.is_grad_enabled()
    sample(model, 2, seed=0)
    require(hash_of(model.state_dict()) == before[0], "sampling changed the weights or buffers")
    require([m.training for m in model.modules()] == before[1], "sampling changed modules between train and eval")
    require(torch.equal(torch.get_rng_state(), before[2]), "sampling moved torch's global random state: draw from rng")
    require(torch.is_grad_enabled() == grad, "sampling left gradients switched")


@promised
def a_fresh_process_draws_the_same(case: Case) -> None:
    """A run that another process loads gives the same samples."""
    from genzoo.sampling.draw import sample

    seeded_samples(case)
    here = digest(sample(case.run, 2, seed=5, weights="last", device="cpu"))
    require(case.observed["drawn"] == here, "another process draws other samples: something is not in the state_dict")
