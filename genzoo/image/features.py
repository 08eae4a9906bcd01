"""Features to compare images by, without a download: of a small classifier of the data's own labels, or of an untrained
network.

A network is a function of the data and a fixed seed. A classifier is shipped with its data, or trained once and kept on
the disk, and named by the SHA-256 of its weights, which every result carries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import Tensor, nn

from genzoo.image.data import to_bytes, to_unit
from genzoo.interface import distances
from genzoo.interface.dataset import Dataset, Progress, Share, silent
from genzoo.interface.errors import GenzooError, UsageError
from genzoo.interface.files import write_folder
from genzoo.interface.parsing import parse_json
from genzoo.interface.specs import DataSpec, Json
from genzoo.registry.data import data_folder, shipped_classifiers

WIDTH = 64  # features: few, so that the covariance of some hundred images has full rank
SEED = 20261122
STEPS, BATCH = 2000, 128  # of the classifier's training
CPU = torch.device("cpu")


class Network(nn.Module):
    """Convolutions that halve the image until it is 7 pixels or less a side; then `WIDTH` features of variance 1, and a
    score for each class."""

    centre: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, *size = shape
        layers: list[nn.Module] = []
        widths = [32, 64, 96, 128]
        while not layers or max(size) > 7:
            after = widths.pop(0) if len(widths) > 1 else widths[0]
            layers += [nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2, ceil_mode=True)]
            channels, size = after, [-(-side // 2) for side in size]
        inputs = channels * size[0] * size[1]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(inputs, WIDTH))
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(WIDTH, classes))
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.register_buffer("scale", torch.ones(WIDTH))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] to features (B, WIDTH)."""
        raw: Tensor = self.body(images * 2 - 1)
        return (raw - self.centre) / self.scale

    def scores(self, features: Tensor) -> Tensor:
        """Features (B, WIDTH) to the logits of the classes (B, K)."""
        logits: Tensor = self.head(features * self.scale + self.centre)
        return logits

    @torch.no_grad()
    def standardize(self, data: Dataset, count: int) -> None:
        """From now on, give features of mean 0 and variance 1 over the first `count` training images, and the same
        scores as before."""
        batches = data.examples("train", CPU, count)
        raw = torch.cat([self.body(batch.examples * 2 - 1) for batch in batches])
        self.centre.copy_(raw.mean(0))
        self.scale.copy_(raw.std(0).clamp_min(1e-6))


@dataclass(frozen=True)
class Features:
    """A way from images to features that a plugin or genzoo gives.

    Attributes:
        network: images (B, C, H, W) in [0, 1] to features (B, D), on the CPU.
        name: what results call it.
        sha256: of the weights.
        head: features (B, D) to the logits of the classes (B, K); None if it knows none.
        accuracy: share of the test images that it classifies right.
        kept: the folder that holds its weights; None where none does.
    """

    network: Callable[[Tensor], Tensor]
    name: str
    sha256: str
    head: Callable[[Tensor], Tensor] | None = None
    accuracy: float | None = None
    kept: Path | None = None

    @torch.no_grad()
    def of(self, images: Tensor) -> Tensor:
        """Images as uint8 (N, C, H, W) to features (N, D), float64."""
        return torch.cat([self.network(to_unit(part)).double() for part in torch.split(images, 250)])

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> Tensor | None:
        """Features (N, D) to what each class is given, (N, K); None without a head."""
        return None if self.head is None else self.head(features.float()).double().softmax(1)


def classifier_features(data: Dataset, spec: DataSpec, folder: Path, progress: Progress) -> Features:
    """The features of a classifier of the data's own labels: the one that is shipped with the data set, else one
    that is trained at the first call and kept in `folder`. The examples are pictures (C, H, W) in [0, 1], or what can
    be seen as such.

    Raises:
        UsageError: the data have no labels.
        GenzooError: what is kept is damaged.
    """
    if not spec.classes:
        raise UsageError(f"--features is classifier, and data {spec.name!r} have no labels; allowed is random")
    kept = kept_classifier(spec, folder) or _keep(spec, folder, *_trained(data, spec, progress))
    facts = _facts(kept)
    if facts.get("fingerprint", spec.fingerprint) != spec.fingerprint:
        raise _damaged(kept, "it is of other data")
    network = _weighted(kept, _network(spec.shape, len(spec.classes)))
    return Features(network, "classifier-v2", facts["sha256"], network.scores, float(facts["accuracy"]), kept)


def shipped_features(name: str, data: Dataset, spec: DataSpec) -> Features:
    """The features of the classifier that is shipped with the data set of a name, for other data of the same shape, so
    that figures on these compare between machines too. Where it has all classes of the data by their names, it knows
    them.

    Raises:
        UsageError: the data are of another shape.
        GenzooError: none is shipped, or it is damaged.
    """
    pattern = f"{name}-{'[0-9a-f]' * 12}-*-v2"
    kept = next((path for place in shipped_classifiers(name) for path in sorted(place.glob(pattern))), None)
    if kept is None:
        raise GenzooError(f"no classifier is shipped with data {name!r}")
    facts = _facts(kept)
    shape, classes = tuple(facts["shape"]), facts["classes"]
    if spec.shape != shape:
        raise UsageError(f"--features {name} are of images of shape {shape}; those of {spec.name} are {spec.shape}")
    network = _weighted(kept, _network(shape, len(classes)))
    features = Features(network, f"{name}-classifier-v2", facts["sha256"], kept=kept)
    if not spec.classes or not set(spec.classes) <= set(classes):
        return features
    columns = [classes.index(label) for label in spec.classes]

    def head(features: Tensor) -> Tensor:
        return network.scores(features)[:, columns]

    return replace(features, head=head, accuracy=_accuracy(data, network, head))


def kept_classifier(spec: DataSpec, folder: Path) -> Path | None:
    """The folder of the classifier of some data, if it need not be trained: it is shipped with the data set, or kept in
    `folder` or in the user's own."""
    places = [*shipped_classifiers(spec.name), *_places(folder)]
    return next((place / _name(spec) for place in places if (place / _name(spec)).exists()), None)


def _name(spec: DataSpec) -> str:
    return f"{spec.name}-{spec.fingerprint[:12]}-{spec.train_count}-v2"


def random_features(data: Dataset, spec: DataSpec, folder: Path, progress: Progress) -> Features:
    """The features of the same network with its first, untrained weights, each batch normalisation fitted to the first
    1,000 training images. The examples are as for `classifier_features`."""
    network = _network(spec.shape, len(spec.classes))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train().momentum = 1.0
    with torch.no_grad():
        first = data.take("train", torch.arange(min(1000, spec.train_count)), CPU)
        network(first.examples)
    network.eval().standardize(data, len(first))
    return Features(network, "random-v1", hashlib.sha256(_bytes(network)).hexdigest())


def inception_features(data: Dataset, spec: DataSpec, folder: Path, progress: Progress) -> Features:
    """The Inception network of the Fréchet inception distance (Heusel et al. 2017), by torch-fidelity, whose file of
    weights has to be in `features/` of the data folder. Raises `GenzooError` where they are not."""
    weights = folder / INCEPTION
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise GenzooError("--features inception needs torch-fidelity; pip install torch-fidelity") from None
    if not weights.exists():
        raise GenzooError(f"--features inception needs the weights {weights}; torch-fidelity says where they are from")
    extractor = FeatureExtractorInceptionV3(
        "inception", ["2048"], feature_extractor_weights_path=str(weights), verbose=False
    ).eval()

    def network(images: Tensor) -> Tensor:
        colour = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        features: Tensor = extractor(colour.mul(255).round().to(torch.uint8))[0]
        return features

    return Features(network, "inception", hashlib.sha256(weights.read_bytes()).hexdigest())


def quick_distance(data: Dataset, spec: DataSpec) -> Callable[[Tensor], float]:
    """A function from images (N, C, H, W) in [0, 1] to their Fréchet distance from up to 2,000 validation images in
    random features: cheap enough to watch a training by, blind to the test images, and no reward for copying training
    images."""
    features = random_features(data, spec, Path(), silent)
    batches = data.examples("validation", CPU, 2000)
    with torch.no_grad():
        reference = distances.moments(torch.cat([features.network(batch.examples).double() for batch in batches]))

    def distance(images: Tensor) -> float:
        return distances.frechet_distance_of_moments(*distances.moments(features.of(to_bytes(images))), *reference)

    return distance


INCEPTION = "weights-inception-2015-12-05-6726825d.pth"


def _places(folder: Path) -> list[Path]:
    """Where classifiers are kept: in the data's folder, or in the user's own where that cannot be written to."""
    return list(dict.fromkeys([folder, data_folder(None) / "features"]))


def _keep(spec: DataSpec, folder: Path, network: Network, accuracy: float) -> Path:
    content = _bytes(network)
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "accuracy": accuracy, "fingerprint": spec.fingerprint}

    def fill(aside: Path) -> None:
        (aside / "classifier.safetensors").write_bytes(content)
        (aside / "classifier.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8", newline="\n")

    problem: OSError | None = None
    for place in _places(folder):
        try:
            place.mkdir(parents=True, exist_ok=True)
            write_folder(place / _name(spec), fill)
            return place / _name(spec)
        except OSError as error:
            problem = error
    assert problem is not None
    raise GenzooError(
        f"cannot keep the classifier of the evaluation in {folder} ({problem.strerror}); give a --data-dir"
    )


def _facts(kept: Path) -> Json:
    try:
        facts: Json = parse_json((kept / "classifier.json").read_text("utf-8"))
        content = (kept / "classifier.safetensors").read_bytes()
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise ValueError("its weights do not have the SHA-256 that it names")
        float(facts["accuracy"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(kept, error) from None
    return facts


def _weighted(kept: Path, network: Network) -> Network:
    try:
        network.load_state_dict(load((kept / "classifier.safetensors").read_bytes()))
    except (OSError, ValueError, RuntimeError) as error:
        raise _damaged(kept, error) from None
    return network


def _damaged(kept: Path, reason: object) -> GenzooError:
    return GenzooError(f"{kept} is damaged ({reason}); remove that folder and it is made anew")


def _network(shape: tuple[int, ...], classes: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return Network(shape, classes or 1).eval()


def _bytes(network: nn.Module) -> bytes:
    return save({key: value.contiguous() for key, value in network.state_dict().items()})


def _trained(data: Dataset, spec: DataSpec, progress: Progress) -> tuple[Network, float]:
    """A trained network and its accuracy on the test images. Cross entropy, images moved by up to
    two pixels, one cycle of the step size."""
    network = _network(spec.shape, len(spec.classes)).train()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, STEPS)
    activity = "training the classifier of the evaluation (steps)"
    progress(activity, 0, STEPS)
    source = data.batches(range(STEPS), Share(BATCH, SEED), CPU)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        for step, batch in enumerate(source):
            assert batch.labels is not None
            loss = F.cross_entropy(network.scores(network(_moved(batch.examples))), batch.labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            if step % 20 == 19:
                progress(activity, step + 1, STEPS)
    network.eval().standardize(data, min(5000, spec.train_count))
    return network, _accuracy(data, network, network.scores)


@torch.no_grad()
def _accuracy(data: Dataset, network: Network, head: Callable[[Tensor], Tensor]) -> float:
    """The share of the test images that are classified right."""
    right = 0
    for batch in data.examples("test", CPU):
        assert batch.labels is not None
        right += int((head(network(batch.examples)).argmax(1) == batch.labels).sum())
    return right / data.count("test")


def _moved(images: Tensor, most: int = 2) -> Tensor:
    """Each image (B, C, H, W) moved by up to `most` pixels, its edge repeated."""
    count, _, height, width = images.shape
    padded = F.pad(images, (most,) * 4, mode="replicate")
    down, right = torch.randint(0, 2 * most + 1, (2, count))
    rows = (down[:, None] + torch.arange(height))[:, None, :, None]
    columns = (right[:, None] + torch.arange(width))[:, None, None, :]
    which, channel = torch.arange(count)[:, None, None, None], torch.arange(images.shape[1])[None, :, None, None]
    return padded[which, channel, rows, columns]
