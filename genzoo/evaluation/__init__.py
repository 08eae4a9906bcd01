"""Measuring what a model learnt, the same way for every model. Importing this package imports nothing heavy."""

from __future__ import annotations

from genzoo.spec import FeatureSpec, MetricSpec

_HERE = "genzoo.evaluation"
FEATURES = (
    FeatureSpec(
        name="classifier",
        summary="a small classifier of the data's own labels, trained once and kept in the data folder",
        target=f"{_HERE}.features:classifier_features",
    ),
    FeatureSpec(
        name="random",
        summary="the same network untrained, for data without labels",
        target=f"{_HERE}.features:random_features",
    ),
    FeatureSpec(
        name="inception",
        summary="torch-fidelity's Inception network, if its weights are in the data folder",
        target=f"{_HERE}.features:inception_features",
    ),
)


def _image(name: str, unit: str, better: str, summary: str, *needs: str) -> MetricSpec:
    return MetricSpec(
        name=name, modality="image", unit=unit, better=better, summary=summary, needs=needs,
        target=f"{_HERE}.measures:{name}",
    )  # fmt: skip


def _text(name: str, unit: str, better: str, summary: str, *needs: str) -> MetricSpec:
    return MetricSpec(
        name=name, modality="text", unit=unit, better=better, summary=summary, needs=needs,
        target=f"{_HERE}.text:{name}",
    )  # fmt: skip


METRICS = (
    _image("frechet_distance", "", "lower", "Fréchet distance of samples and test images in the features"),
    _image("kernel_distance", "", "lower", "squared kernel distance in the features, without bias"),
    _image("precision", "share", "higher", "samples that lie where test images lie"),
    _image("recall", "share", "higher", "test images that lie where samples lie"),
    _image("density", "", "higher", "how close samples lie to test images; 1 for real ones"),
    _image("coverage", "share", "higher", "test images that have a sample near them"),
    _image("two_sample_accuracy", "share", "lower", "how often samples are told from test images; 0.5 is ideal"),
    _image("class_distance", "share", "lower", "samples that would have to change class to have the data's shares"),
    _image("mean_confidence", "share", "higher", "how sure the classifier is of a sample"),
    _image("confident", "share", "higher", "samples that the classifier is more than 0.9 sure of"),
    _image(
        "label_accuracy", "share", "higher", "samples that the classifier finds to be of their class", "conditional"
    ),
    _image("duplicates", "share", "lower", "samples nearer to another than all but 1% of training images are"),
    _image("pair_ssim", "", "lower", "structural similarity between two samples; high for samples that are alike"),
    _image("train_test_ratio", "", "higher", "distance to training images by that to test images; below 1: copies"),
    _image("copies", "share", "lower", "samples nearer to a training image than all but 1% of test images are"),
    _image("reconstruction_mse", "", "lower", "mean squared error of reconstructed test images", "reconstruct"),
    _image("reconstruction_ssim", "", "higher", "structural similarity to them of reconstructions", "reconstruct"),
    _image("nll", "nats an example", "lower", "negative log-likelihood of test images, or a bound", "log_likelihood"),
    _image("bits_per_dim", "bits", "lower", "the same for each pixel and channel", "log_likelihood"),
    _text(
        "bits_per_character",
        "bits",
        "lower",
        "negative log-likelihood of a character of held-out text",
        "log_likelihood",
    ),
    _text("nll", "nats a character", "lower", "the same in nats", "log_likelihood"),
    _text("perplexity", "", "lower", "of a token of held-out text, as the model cuts it", "log_likelihood"),
    _text("distinct", "share", "higher", "runs of three words among the samples that differ"),
    _text("repetition", "share", "lower", "runs of four words that a sample said before"),
    _text("copied_length", "characters", "lower", "the longest passage of a sample that is in the training text"),
    _text("longest_copy", "characters", "lower", "the same of the sample that copies most"),
)


def place(measure: str) -> int:
    """Where a measure stands in a table: genzoo's own in their order, then those of plugins."""
    own = [spec.name for spec in METRICS]
    return own.index(measure) if measure in own else len(own)
