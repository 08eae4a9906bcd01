"""genzoo: every family of generative model behind one interface.

Importing this package imports nothing heavy; each public name is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genzoo.average import EMA as EMA
    from genzoo.data.files import load_image as load_image
    from genzoo.data.images import Batch as Batch
    from genzoo.data.images import ImageData as ImageData
    from genzoo.data.text import TextData as TextData
    from genzoo.data.text import TokenData as TokenData
    from genzoo.data.tokens import Tokenizer as Tokenizer
    from genzoo.dropout import Dropout as Dropout
    from genzoo.errors import Diverged as Diverged
    from genzoo.errors import GenzooError as GenzooError
    from genzoo.errors import GenzooWarning as GenzooWarning
    from genzoo.errors import Interrupted as Interrupted
    from genzoo.errors import UsageError as UsageError
    from genzoo.evaluation.compare import compare as compare
    from genzoo.evaluation.evaluate import Evaluation as Evaluation
    from genzoo.evaluation.evaluate import Measured as Measured
    from genzoo.evaluation.evaluate import evaluate as evaluate
    from genzoo.evaluation.features import Features as Features
    from genzoo.evaluation.measures import Estimate as Estimate
    from genzoo.evaluation.measures import NotMeasurable as NotMeasurable
    from genzoo.evaluation.measures import Subject as Subject
    from genzoo.evaluation.text import TextSubject as TextSubject
    from genzoo.generator import Encodes as Encodes
    from genzoo.generator import Evaluates as Evaluates
    from genzoo.generator import Exports as Exports
    from genzoo.generator import Generator as Generator
    from genzoo.generator import HasLikelihood as HasLikelihood
    from genzoo.generator import Reconstructs as Reconstructs
    from genzoo.generator import Streams as Streams
    from genzoo.hookspecs import API_VERSION as API_VERSION
    from genzoo.hookspecs import hookimpl as hookimpl
    from genzoo.linear import Linear as Linear
    from genzoo.options import option as option
    from genzoo.plan import list_models as list_models
    from genzoo.randomness import RandomStreams as RandomStreams
    from genzoo.run import Run as Run
    from genzoo.run_folder import RunFolder as RunFolder
    from genzoo.run_folder import find_run as find_run
    from genzoo.run_folder import runs as runs
    from genzoo.samples import marks as marks
    from genzoo.samples import write_grid as write_grid
    from genzoo.sampling import export as export
    from genzoo.sampling import interpolate as interpolate
    from genzoo.sampling import load as load
    from genzoo.sampling import reconstruct as reconstruct
    from genzoo.sampling import sample as sample
    from genzoo.sampling import stream as stream
    from genzoo.spec import CommandSpec as CommandSpec
    from genzoo.spec import DatasetSpec as DatasetSpec
    from genzoo.spec import DataSpec as DataSpec
    from genzoo.spec import FeatureSpec as FeatureSpec
    from genzoo.spec import GeneratorSpec as GeneratorSpec
    from genzoo.spec import ImageTrainOptions as ImageTrainOptions
    from genzoo.spec import MetricSpec as MetricSpec
    from genzoo.spec import TextTrainOptions as TextTrainOptions
    from genzoo.training import resume as resume
    from genzoo.training import train as train

__version__ = "0.1.0"

_HOME = {
    "average": ("EMA",),
    "data.files": ("load_image",),
    "data.images": ("Batch", "ImageData"),
    "data.text": ("TextData", "TokenData"),
    "data.tokens": ("Tokenizer",),
    "dropout": ("Dropout",),
    "errors": ("Diverged", "GenzooError", "GenzooWarning", "Interrupted", "UsageError"),
    "evaluation.compare": ("compare",),
    "evaluation.evaluate": ("Evaluation", "Measured", "evaluate"),
    "evaluation.features": ("Features",),
    "evaluation.measures": ("Estimate", "NotMeasurable", "Subject"),
    "evaluation.text": ("TextSubject",),
    "generator": ("Encodes", "Evaluates", "Exports", "Generator", "HasLikelihood", "Reconstructs", "Streams"),
    "hookspecs": ("API_VERSION", "hookimpl"),
    "linear": ("Linear",),
    "options": ("option",),
    "randomness": ("RandomStreams",),
    "run": ("Run",),
    "run_folder": ("RunFolder", "find_run", "runs"),
    "samples": ("marks", "write_grid"),
    "sampling": ("export", "interpolate", "load", "reconstruct", "sample", "stream"),
    "spec": (
        "CommandSpec",
        "DataSpec",
        "DatasetSpec",
        "FeatureSpec",
        "GeneratorSpec",
        "ImageTrainOptions",
        "MetricSpec",
        "TextTrainOptions",
    ),
    "plan": ("list_models",),
    "training": ("resume", "train"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'genzoo' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"genzoo.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
