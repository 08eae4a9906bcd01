"""What a curve is: how it is read, batched, checked, written, shown and measured."""

import csv
import io
from dataclasses import dataclass, replace

import torch

import genzoo
from genzoo import Batch, Dataset, DataSpec, Estimate, GenzooError, Modality, Reference, Subject

KINDS = ("arch", "sine", "square")


class CurveData(Dataset):
    """Curves (N, T), float32, with labels (N,) or none. Each tenth is for test; validation is cut from the others."""

    unit = "curves"

    def __init__(self, values, labels, classes, share):
        self.values, self.labels, self.classes = values, labels, classes
        test = torch.arange(len(values)) % 10 == 9
        train, test = (~test).nonzero()[:, 0], test.nonzero()[:, 0]
        stays, validation = genzoo.validation_cut(len(train), share)
        self.parts = {"train": train[stays], "validation": train[validation], "test": test}

    def spec(self, name):
        counts = {f"{part}_count": self.count(part) for part in self.parts}
        return DataSpec(
            name=name, modality="curves", shape=(self.values.shape[1],), classes=self.classes,
            fingerprint=genzoo.fingerprint(self.values, self.labels), extra={"curves": len(self.values)}, **counts,
        )  # fmt: skip

    def count(self, part):
        return len(self.parts[part])

    def take(self, part, index, device):
        rows = self.parts[part][index]
        return Batch(self.values[rows].to(device), None if self.labels is None else self.labels[rows].to(device))


class CurveModality(Modality):  # a sample is a float32 tensor (T,), several are (N, T)
    def open(self, paths, options, kept, progress):
        return self.take(read_table(paths[0]), options, kept, progress)

    def take(self, data, options, kept, progress):
        values, names = data
        if len(values) < 20:
            raise GenzooError(f"data {options.data!r} have {len(values)} curves; allowed are 20 or more")
        classes = sorted(set(names))
        labels = torch.tensor([classes.index(name) for name in names]) if names else None
        return CurveData(values, labels, tuple(classes), options.validation)

    def check(self, samples, count, data, *, strict=False):
        if tuple(samples.shape) != (count, *data.shape) or not torch.isfinite(samples).all():
            raise GenzooError(
                f"the model gave {tuple(samples.shape)}, or infinities; promised is {(count, *data.shape)}"
            )
        return samples.float().cpu()

    def join(self, parts, data):
        return torch.cat(parts) if parts else torch.empty(0, *data.shape)

    def write(self, samples, path, facts, options, data, labels=None):
        rows = [[f"{x:.{options.decimals}f}" for x in curve] for curve in samples.tolist()]
        names = [[]] * len(rows) if labels is None else [[data.classes[label]] for label in labels.tolist()]
        buffer, heading = io.StringIO(), [*([] if labels is None else ["label"]), *range(samples.shape[1])]
        csv.writer(buffer).writerows([heading, *(name + row for name, row in zip(names, rows, strict=True))])
        genzoo.write_file(path, buffer.getvalue().encode(), facts)

    def preview(self, path):
        curves = torch.nn.functional.interpolate(read_table(path)[0][None, :16], 256, mode="linear")[0]
        heights = (curves.max() - curves) / (curves.max() - curves.min()).clamp_min(1e-9) * 255
        picture = torch.full((1, 256, 256), 255, dtype=torch.uint8)
        picture[0, heights.long(), torch.arange(256)] = 0
        return picture

    def reference(self, dataset, data, request, progress):
        return CurveReference(dataset, data, request)

    def example(self, folder):
        data = CurveData(load_waves(folder)[0][:60], torch.arange(60) % 3, KINDS, share=0.1)
        path, spec = folder / "curves.csv", data.spec("made-up")
        self.write(data.values, path, None, self.spec.write_options(), spec, data.labels)
        return {"data": str(path)}


def read_table(path):  # curves (N, T), and the names of their classes, none without a column `label`
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = [row for row in csv.reader(file) if row]
    names = [row.pop(0) for row in rows] if header[0] == "label" else []
    try:
        return torch.tensor([[float(cell) for cell in row] for row in rows]), names
    except ValueError as error:
        raise GenzooError(f"{path} is no table of numbers below a heading: {error}") from None


def load_waves(data_dir):  # one period at any phase, with noise
    rng, kinds = torch.Generator().manual_seed(0), torch.arange(400) % 3
    sines = torch.sin(2 * torch.pi * (torch.linspace(0, 1, 32) + torch.rand(400, 1, generator=rng)))
    curves = torch.stack([sines.abs(), sines, sines.sign()])[kinds, torch.arange(400)]
    return curves + 0.1 * torch.randn(400, 32, generator=rng), [KINDS[kind] for kind in kinds]


@dataclass(eq=False, kw_only=True)
class CurveSubject(Subject):
    samples: torch.Tensor  # (N, T)
    test: torch.Tensor  # (M, T)


class CurveReference(Reference):
    columns = {"floor": "real curves", "noise": "white noise"}
    legend = "what as many training curves score, and independent points with the mean and spread of the training's"

    def __init__(self, dataset, data, request):
        parts = [dataset.take(part, torch.arange(dataset.count(part)), "cpu") for part in ("train", "test")]
        self.train, test = (part.examples for part in parts)
        self.count, self.protocol = request.count or len(test), {"test_curves": len(test)}
        self.heading = f"{self.count} samples of seed {request.seed} against {len(test)} test curves of {data.name}"
        self.floor = CurveSubject(data=data, seed=request.seed, samples=self.train[: self.count], test=test)

    def subject(self, samples, labels, model):
        return replace(self.floor, samples=samples, model=model)

    def others(self):
        noise = torch.from_numpy(self.floor.rng("noise").standard_normal(self.floor.samples.shape))
        white = (self.train.mean(0) + noise * self.train.std(0)).float()
        return {"floor": self.floor, "noise": replace(self.floor, samples=white)}

    def illustrate(self, subject, folder, facts):
        curves = genzoo.modality_of("curves")
        curves.write(subject.samples[:16], folder / "samples.csv", facts, curves.spec.write_options(), subject.data)


def spectrum_distance(subject):  # the mean absolute difference, in decades
    one, other = (torch.fft.rfft(x).abs().square().mean(0).log10() for x in (subject.samples, subject.test))
    return Estimate(float((one - other).abs().mean()))
