"""One model under test. What several checks look at (a short training, a process of its own) is made once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from genzoo.errors import GenzooError, UsageError, one_line
from genzoo.registry import Plugin, installed, registry
from genzoo.run_folder import RunFolder
from genzoo.spec import GeneratorSpec

STEPS = 4
TINY: dict[str, Any] = {
    "steps": STEPS, "batch_size": 8, "log_every": 1, "eval_every": 2, "sample_every": 0, "save_every": 2, "keep": 9,
    "device": "cpu", "threads": 1,
}  # fmt: skip


class Skip(Exception):
    """A check that has no meaning here; the message says why."""


class Case:
    """A model, its plugin and its short trainings, in a folder that goes when this goes. Trainings have the model's
    preset `tiny`, if it has one.

    Attributes:
        plugin: as the registry has it, or would have it if it loaded.
        name: of the model.
    """

    def __init__(self, model: str, options: Mapping[str, Any] | None = None) -> None:
        self.plugin, self.target = self._found(model)
        own = [spec.name for spec in self.specs]
        wanted = model.rpartition("/")[2]
        self.name = wanted if wanted in own or len(own) != 1 else own[0]
        small = next((dict(spec.presets.get("tiny", {})) for spec in self.specs if spec.name == self.name), {})
        small.pop("epochs", None)
        self.options = small | TINY | dict(options or {})
        self.folder = Path(tempfile.mkdtemp(prefix="genzoo-check-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    @staticmethod
    def _found(model: str) -> tuple[Plugin, str]:
        """The plugin of a model, or one of that name, and its module."""
        known = registry()
        try:
            plugin = known.generators.get(model)[0]
        except UsageError:
            plugins = [p for p in known.plugins if model in (p.name, p.distribution, f"{p.distribution}/{p.name}")]
            if not plugins:
                raise
            plugin = plugins[0]
        pairs = {(p.distribution, p.name): target for p, target in installed()}
        return plugin, pairs[plugin.distribution, plugin.name]

    # Without torch

    @cached_property
    def module(self) -> ModuleType:
        """The plugin's module."""
        return import_module(self.target)

    @cached_property
    def specs(self) -> list[GeneratorSpec]:
        """The models that the plugin gives, loaded or not."""
        try:
            given = getattr(self.module, "genzoo_generators", None)
            return [spec for spec in (given() if given else ()) if isinstance(spec, GeneratorSpec)]
        except (Exception, SystemExit):
            return []

    @property
    def spec(self) -> GeneratorSpec:
        """The model, as its plugin gives it."""
        found = [spec for spec in self.specs if spec.name == self.name]
        if not found:
            raise AssertionError(f"the plugin gives no model {self.name!r}")
        return found[0]

    def child(self, task: str, *arguments: str) -> dict[str, Any]:
        """What a task of `genzoo.testing.child` finds, in a process of its own."""
        # it must see the same installed plugins, and what is on this process's path
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", "genzoo.testing.child", task, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=self.folder, timeout=300)
        lines = done.stdout.strip().splitlines()
        if done.returncode or not lines:
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise AssertionError(f"in a process of its own: {reason}")
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    @cached_property
    def imported(self) -> dict[str, Any]:
        """What importing the plugin, and nothing else, brings along."""
        return self.child("import_plugin", self.target)

    # With torch

    @cached_property
    def loadable(self) -> None:
        """Skips what needs a plugin that loads."""
        if self.plugin.status != "loaded":
            raise Skip(f"the plugin does not load: {'; '.join(self.plugin.problems) or self.plugin.status}")
        from genzoo.sampling import class_of

        try:
            class_of(self.spec)
        except GenzooError as error:
            raise Skip(f"the model's class cannot be loaded: {error}") from None

    @property
    def qualified(self) -> str:
        return f"{self.plugin.distribution}/{self.name}"

    @cached_property
    def data(self) -> Path:
        """A small data set: pictures of two brightnesses with labels, or sentences."""
        import numpy as np

        rng = np.random.default_rng(0)
        if self.spec.modality == "text":
            words = ("the", "cat", "sat", "on", "a", "mat", "and", "then", "it", "ran", "to", "log", "by", "river")
            path = self.folder / "text.txt"
            lines = [" ".join(rng.choice(words, 8)).capitalize() + ".\n" for _ in range(200)]
            path.write_text("".join(lines), "utf-8")
            return path
        labels = np.arange(64) % 4
        places = np.linspace(-1, 1, 28)
        blobs = np.exp(-4 * ((places[:, None] - (labels[:, None, None] - 1.5) / 3) ** 2 + places**2))
        images = (200 * blobs + rng.integers(0, 50, blobs.shape)).astype(np.uint8)
        path = self.folder / "images.npz"
        np.savez(path, images=images[:48], labels=labels[:48], test_images=images[48:], test_labels=labels[48:])
        return path

    def train(self, name: str, **changes: Any) -> RunFolder:
        """A short training."""
        self.loadable  # noqa: B018  (it skips)
        from genzoo.training import train

        given = {"data": str(self.data), "runs_dir": str(self.folder / "runs"), "name": name}
        return train(self.qualified, **self.options | given | changes)

    @cached_property
    def run(self) -> RunFolder:
        """A short training that came to its end."""
        try:
            return self.train("whole")
        except GenzooError as error:
            raise AssertionError(f"a training of {STEPS} steps failed: {one_line(error)}") from error

    @property
    def model(self) -> Any:
        """Its model, as it is loaded anew."""
        from genzoo.sampling import load

        return load(self.run, weights="last", device="cpu")

    def having(self, ability: str, what: str) -> Any:
        """The model, if it has an ability, else skips."""
        from genzoo import generator

        model = self.model
        if not isinstance(model, getattr(generator, ability)):
            raise Skip(f"the model does not {what}")
        return model

    def batch(self) -> Any:
        """A few held-out images and labels, or tokens (B, T) of held-out text."""
        import torch

        from genzoo.data.builtin import load
        from genzoo.data.files import tick
        from genzoo.data.images import Batch, ImageData, to_unit
        from genzoo.sampling import tokenizer_of

        dataset, _ = load(self.run.training, registry(), tick, tokenizer_of(self.run))
        if isinstance(dataset, ImageData):
            images, labels = dataset.test_images, dataset.test_labels
            assert isinstance(images, torch.Tensor), "a small .npz is held in memory"
            return Batch(to_unit(images[:6]), None if labels is None else labels[:6])
        return torch.as_tensor(dataset.test[:96], dtype=torch.int64).view(4, 24)

    @cached_property
    def observed(self) -> dict[str, Any]:
        """What importing the model, sampling the run and another training do, seen from a process of its own."""
        self.loadable  # noqa: B018
        runs = self.folder / "observed"
        given = {**self.options, "data": str(self.data), "runs_dir": str(runs), "name": "seen"}
        return self.child("observe", self.spec.target, self.qualified, str(self.run.path), json.dumps(given))
