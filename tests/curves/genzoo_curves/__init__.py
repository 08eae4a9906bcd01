"""Curves for genzoo: one-dimensional series of one length, as rows of a .csv. Options and registration; no torch."""

from dataclasses import dataclass
from typing import ClassVar

import genzoo
from genzoo import DatasetSpec, GeneratorSpec, MetricSpec, ModalitySpec, TrainOptions, WriteOptions, option


@dataclass(frozen=True, kw_only=True)
class CurveTrainOptions(TrainOptions):
    data: str = option("waves", help="A data set's name, or a .csv file.")


@dataclass(frozen=True, kw_only=True)
class CurveWriteOptions(WriteOptions):
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    decimals: int = option(4, help="Digits behind the point.", minimum=0, maximum=9)


@dataclass(frozen=True, kw_only=True)
class PCAOptions:
    conditional: bool = option(False, help="Learn from labels: a mean for each class.")
    rank: int = option(4, help="Components.", minimum=1, maximum=1000)


@genzoo.hookimpl
def genzoo_modalities():
    return [
        ModalitySpec(
            name="curves", summary="series of one length", target="genzoo_curves.modality:CurveModality",
            train_options=CurveTrainOptions, write_options=CurveWriteOptions, template="genzoo_curves:template",
            sources="a .csv file with a curve a row", suffixes=(".csv",), count=16,
        )
    ]  # fmt: skip


@genzoo.hookimpl
def genzoo_datasets():
    target = "genzoo_curves.modality:load_waves"
    return [DatasetSpec(name="waves", summary="400 noisy curves", modality="curves", target=target)]


@genzoo.hookimpl
def genzoo_generators():
    return [
        GeneratorSpec(
            name="pca", summary="Principal components with a Gaussian", modality="curves",
            target="genzoo_curves.model:PCA", config=PCAOptions, defaults={"steps": 20, "log_every": 1},
        )
    ]  # fmt: skip


@genzoo.hookimpl
def genzoo_metrics():
    summary, target = "difference of the mean power spectra, in decades", "genzoo_curves.modality:spectrum_distance"
    return [MetricSpec(name="spectrum_distance", summary=summary, modality="curves", better="lower", target=target)]
