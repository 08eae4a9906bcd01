"""genzoo: every family of generative model behind one interface.

Importing this package imports nothing heavy; each public name is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genzoo.interface.version import __version__ as __version__

if TYPE_CHECKING:
    from genzoo import kernels as kernels
    from genzoo.evaluation import report as report
    from genzoo.evaluation.compare import Comparison as Comparison
    from genzoo.evaluation.compare import compare as compare
    from genzoo.evaluation.evaluate import evaluate as evaluate
    from genzoo.evaluation.result import Evaluation as Evaluation
    from genzoo.evaluation.result import Measured as Measured
    from genzoo.image import ImageTrainOptions as ImageTrainOptions
    from genzoo.image import ImageWriteOptions as ImageWriteOptions
    from genzoo.image.data import ImageBatch as ImageBatch
    from genzoo.image.data import ImageData as ImageData
    from genzoo.image.data import Images as Images
    from genzoo.image.features import Features as Features
    from genzoo.image.features import classifier_features as classifier_features
    from genzoo.image.features import kept_classifier as kept_classifier
    from genzoo.image.features import random_features as random_features
    from genzoo.image.features import shipped_features as shipped_features
    from genzoo.image.measures import ImageSet as ImageSet
    from genzoo.image.measures import ImageSubject as ImageSubject
    from genzoo.interface import distances as distances
    from genzoo.interface import folders as folders
    from genzoo.interface import provenance as provenance
    from genzoo.interface import sets as sets
    from genzoo.interface.alarms import Alarms as Alarms
    from genzoo.interface.dataset import Batch as Batch
    from genzoo.interface.dataset import Dataset as Dataset
    from genzoo.interface.dataset import Part as Part
    from genzoo.interface.dataset import Progress as Progress
    from genzoo.interface.dataset import Readable as Readable
    from genzoo.interface.dataset import Share as Share
    from genzoo.interface.dataset import check_labels as check_labels
    from genzoo.interface.dataset import fingerprint as fingerprint
    from genzoo.interface.dataset import select as select
    from genzoo.interface.dataset import silent as silent
    from genzoo.interface.dataset import to_device as to_device
    from genzoo.interface.dataset import validation_cut as validation_cut
    from genzoo.interface.errors import Diverged as Diverged
    from genzoo.interface.errors import GenzooError as GenzooError
    from genzoo.interface.errors import GenzooWarning as GenzooWarning
    from genzoo.interface.errors import Interrupted as Interrupted
    from genzoo.interface.errors import Skip as Skip
    from genzoo.interface.errors import UsageError as UsageError
    from genzoo.interface.errors import one_line as one_line
    from genzoo.interface.errors import some_of as some_of
    from genzoo.interface.errors import unknown as unknown
    from genzoo.interface.files import class_folders as class_folders
    from genzoo.interface.files import write_file as write_file
    from genzoo.interface.files import write_folder as write_folder
    from genzoo.interface.generator import Encodes as Encodes
    from genzoo.interface.generator import Evaluates as Evaluates
    from genzoo.interface.generator import Exports as Exports
    from genzoo.interface.generator import Generator as Generator
    from genzoo.interface.generator import HasLatents as HasLatents
    from genzoo.interface.generator import HasLikelihood as HasLikelihood
    from genzoo.interface.generator import Reconstructs as Reconstructs
    from genzoo.interface.generator import Streams as Streams
    from genzoo.interface.generator import ability as ability
    from genzoo.interface.generator import log_likelihood as log_likelihood
    from genzoo.interface.hookspecs import API_VERSION as API_VERSION
    from genzoo.interface.hookspecs import hookimpl as hookimpl
    from genzoo.interface.measures import Estimate as Estimate
    from genzoo.interface.measures import EvaluationRequest as EvaluationRequest
    from genzoo.interface.measures import NotMeasurable as NotMeasurable
    from genzoo.interface.measures import Reference as Reference
    from genzoo.interface.measures import Subject as Subject
    from genzoo.interface.measures import mean as mean
    from genzoo.interface.modality import DataSurvey as DataSurvey
    from genzoo.interface.modality import Modality as Modality
    from genzoo.interface.modality import SampleSpace as SampleSpace
    from genzoo.interface.options import Option as Option
    from genzoo.interface.options import option as option
    from genzoo.interface.options import options_of as options_of
    from genzoo.interface.parsing import aligned as aligned
    from genzoo.interface.parsing import parse_json as parse_json
    from genzoo.interface.parsing import printable as printable
    from genzoo.interface.pictures import read_labels as read_labels
    from genzoo.interface.pictures import read_picture as read_picture
    from genzoo.interface.pictures import tiled as tiled
    from genzoo.interface.pictures import write_animation as write_animation
    from genzoo.interface.pictures import write_picture as write_picture
    from genzoo.interface.provenance import Facts as Facts
    from genzoo.interface.randomness import RandomStreams as RandomStreams
    from genzoo.interface.randomness import derive_seed as derive_seed
    from genzoo.interface.randomness import permutation as permutation
    from genzoo.interface.randomness import seeded as seeded
    from genzoo.interface.run import Run as Run
    from genzoo.interface.run import State as State
    from genzoo.interface.run import Stateful as Stateful
    from genzoo.interface.shown import Listing as Listing
    from genzoo.interface.specs import CommandSpec as CommandSpec
    from genzoo.interface.specs import DatasetSpec as DatasetSpec
    from genzoo.interface.specs import DataSpec as DataSpec
    from genzoo.interface.specs import FeatureSpec as FeatureSpec
    from genzoo.interface.specs import GeneratorSpec as GeneratorSpec
    from genzoo.interface.specs import Json as Json
    from genzoo.interface.specs import MetricSpec as MetricSpec
    from genzoo.interface.specs import ModalitySpec as ModalitySpec
    from genzoo.interface.specs import TrainOptions as TrainOptions
    from genzoo.interface.specs import WriteOptions as WriteOptions
    from genzoo.registry.data import data_folder as data_folder
    from genzoo.registry.data import list_datasets as list_datasets
    from genzoo.registry.data import shipped_classifiers as shipped_classifiers
    from genzoo.registry.installed import Plugin as Plugin
    from genzoo.registry.installed import PluginSource as PluginSource
    from genzoo.registry.plugins import modality_of as modality_of
    from genzoo.registry.provenance import read_provenance as read_provenance
    from genzoo.registry.session import register as register
    from genzoo.runs.find import find_run as find_run
    from genzoo.runs.find import list_runs as list_runs
    from genzoo.runs.find import output_path as output_path
    from genzoo.runs.find import runs_folder as runs_folder
    from genzoo.runs.folder import RunFolder as RunFolder
    from genzoo.runs.show import draw_curves as draw_curves
    from genzoo.sampling.draw import real_samples as real_samples
    from genzoo.sampling.draw import sample as sample
    from genzoo.sampling.draw import stream as stream
    from genzoo.sampling.export import export as export
    from genzoo.sampling.latents import interpolate as interpolate
    from genzoo.sampling.latents import reconstruct as reconstruct
    from genzoo.sampling.latents import walk as walk
    from genzoo.sampling.model import load as load
    from genzoo.sampling.plane import LatentPlane as LatentPlane
    from genzoo.sampling.plane import latent as latent
    from genzoo.sampling.view import View as View
    from genzoo.sampling.view import show as show
    from genzoo.sampling.write import write_samples as write_samples
    from genzoo.text import TextTrainOptions as TextTrainOptions
    from genzoo.text import TextWriteOptions as TextWriteOptions
    from genzoo.text.data import TextBatch as TextBatch
    from genzoo.text.data import TextData as TextData
    from genzoo.text.data import TokenData as TokenData
    from genzoo.text.measures import TextSubject as TextSubject
    from genzoo.text.tokens import Pieces as Pieces
    from genzoo.text.tokens import Tokenizer as Tokenizer
    from genzoo.training.average import EMA as EMA
    from genzoo.training.groups import train_seeds as train_seeds
    from genzoo.training.plan import list_models as list_models
    from genzoo.training.train import resume as resume
    from genzoo.training.train import train as train

_HOME = {
    "evaluation.compare": ("Comparison", "compare"),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.result": ("Evaluation", "Measured"),
    "image": ("ImageTrainOptions", "ImageWriteOptions"),
    "image.data": ("ImageBatch", "ImageData", "Images"),
    "image.features": ("Features", "classifier_features", "kept_classifier", "random_features", "shipped_features"),
    "image.measures": ("ImageSet", "ImageSubject"),
    "interface.alarms": ("Alarms",),
    "interface.dataset": (
        "Batch",
        "Dataset",
        "Part",
        "Progress",
        "Readable",
        "Share",
        "check_labels",
        "fingerprint",
        "select",
        "silent",
        "to_device",
        "validation_cut",
    ),
    "interface.errors": (
        "Diverged",
        "GenzooError",
        "GenzooWarning",
        "Interrupted",
        "Skip",
        "UsageError",
        "one_line",
        "some_of",
        "unknown",
    ),
    "interface.files": ("class_folders", "write_file", "write_folder"),
    "interface.parsing": ("aligned", "parse_json", "printable"),
    "interface.generator": (
        "Encodes",
        "Evaluates",
        "Exports",
        "Generator",
        "HasLatents",
        "HasLikelihood",
        "Reconstructs",
        "Streams",
        "ability",
        "log_likelihood",
    ),
    "interface.hookspecs": ("API_VERSION", "hookimpl"),
    "interface.measures": ("Estimate", "EvaluationRequest", "NotMeasurable", "Reference", "Subject", "mean"),
    "interface.modality": ("Modality", "SampleSpace", "DataSurvey"),
    "interface.options": ("Option", "option", "options_of"),
    "interface.pictures": (
        "read_labels",
        "read_picture",
        "tiled",
        "write_animation",
        "write_picture",
    ),
    "interface.provenance": ("Facts",),
    "interface.randomness": (
        "RandomStreams",
        "derive_seed",
        "permutation",
        "seeded",
    ),
    "interface.run": ("Run", "State", "Stateful"),
    "interface.shown": ("Listing",),
    "interface.specs": (
        "CommandSpec",
        "DataSpec",
        "DatasetSpec",
        "FeatureSpec",
        "GeneratorSpec",
        "Json",
        "MetricSpec",
        "ModalitySpec",
        "TrainOptions",
        "WriteOptions",
    ),
    "registry.data": ("data_folder", "list_datasets", "shipped_classifiers"),
    "registry.installed": ("Plugin", "PluginSource"),
    "registry.plugins": ("modality_of",),
    "registry.provenance": ("read_provenance",),
    "registry.session": ("register",),
    "runs.find": ("find_run", "list_runs", "output_path", "runs_folder"),
    "runs.folder": ("RunFolder",),
    "runs.show": ("draw_curves",),
    "sampling.draw": ("real_samples", "sample", "stream"),
    "sampling.export": ("export",),
    "sampling.latents": ("interpolate", "reconstruct", "walk"),
    "sampling.model": ("load",),
    "sampling.write": ("write_samples",),
    "sampling.plane": ("LatentPlane", "latent"),
    "sampling.view": ("View", "show"),
    "text": ("TextTrainOptions", "TextWriteOptions"),
    "text.data": ("TextBatch", "TextData", "TokenData"),
    "text.measures": ("TextSubject",),
    "text.tokens": ("Pieces", "Tokenizer"),
    "training.average": ("EMA",),
    "training.groups": ("train_seeds",),
    "training.plan": ("list_models",),
    "training.train": ("resume", "train"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_MODULES = {  # public as a whole
    "kernels": "kernels",
    "report": "evaluation.report",
    **{name: f"interface.{name}" for name in ("distances", "folders", "provenance", "sets")},
}

__all__ = ["__version__", *_MODULE_OF, *_MODULES]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        value: object = import_module(f"genzoo.{_MODULES[name]}")
    elif name in _MODULE_OF:
        value = getattr(import_module(f"genzoo.{_MODULE_OF[name]}"), name)
    else:
        raise AttributeError(f"module 'genzoo' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
