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
from typing import TYPE_CHECKING, Any

from genzoo.interface.errors import GenzooError, Skip, UsageError, one_line
from genzoo.interface.specs import GeneratorSpec, Json
from genzoo.registry.installed import Plugin, installed
from genzoo.registry.plugins import modality_of, registry
from genzoo.runs.folder import RunFolder

if TYPE_CHECKING:
    from genzoo.interface.dataset import Batch
    from genzoo.interface.generator import Generator
    from genzoo.interface.modality import Modality

STEPS = 4
TINY: dict[str, Any] = {
    "steps": STEPS, "batch_size": 8, "log_every": 1, "eval_every": 2, "sample_every": 0, "save_every": 2, "keep": 9,
    "device": "cpu", "threads": 1,
}  # fmt: skip


class Case:
    """A model, its plugin and its short trainings, in a folder that goes when this goes. Trainings have the model's
    preset `tiny`, if it has one.

    Attributes:
        plugin: as the registry has it, or would have it if it loaded.
        name: of the model.
    """

    def __init__(self, model: str, options: Mapping[str, object] | None = None) -> None:
        self.plugin, self.target = self._plugin_of(model)
        names = [spec.name for spec in self.specs]
        wanted = model.rpartition("/")[2]
        self.name = wanted if wanted in names or len(names) != 1 else names[0]
        small = next((dict(spec.presets.get("tiny", {})) for spec in self.specs if spec.name == self.name), {})
        small.pop("epochs", None)
        tiny = {k: v for k, v in TINY.items() if self._has_batches() or k != "batch_size"}
        self.options: dict[str, Any] = small | tiny | dict(options or {})
        self.folder = Path(tempfile.mkdtemp(prefix="genzoo-check-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def _has_batches(self) -> bool:
        return all(spec.mini_batches for spec in self.specs if spec.name == self.name)

    @staticmethod
    def _plugin_of(model: str) -> tuple[Plugin, str]:
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
            hook = getattr(self.module, "genzoo_generators", None)
            return [spec for spec in (hook() if hook else ()) if isinstance(spec, GeneratorSpec)]
        except (Exception, SystemExit):
            return []

    @property
    def spec(self) -> GeneratorSpec:
        """The model, as its plugin gives it."""
        specs = [spec for spec in self.specs if spec.name == self.name]
        if not specs:
            raise AssertionError(f"the plugin gives no model {self.name!r}")
        return specs[0]

    def child(self, task: str, *arguments: str) -> Json:
        """What a task of `genzoo.testing.child` finds, in a process of its own."""
        # it must see the same installed plugins, and what is on this process's path
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", "genzoo.testing.child", task, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=self.folder, timeout=300)
        lines = done.stdout.strip().splitlines()
        if done.returncode or not lines:
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise AssertionError(f"in a process of its own: {reason}")
        seen: Json = json.loads(lines[-1])
        return seen

    @cached_property
    def imported(self) -> Json:
        """What importing the plugin, and nothing else, brings along."""
        return self.child("import_plugin", self.target)

    # With torch

    @cached_property
    def loadable(self) -> None:
        """Skips what needs a plugin that loads."""
        if self.plugin.status != "loaded":
            raise Skip(f"the plugin does not load: {'; '.join(self.plugin.problems) or self.plugin.status}")
        from genzoo.sampling.model import class_of

        try:
            class_of(self.spec)
        except GenzooError as error:
            raise Skip(f"the model's class cannot be loaded: {error}") from None

    @property
    def qualified(self) -> str:
        return f"{self.plugin.distribution}/{self.name}"

    @cached_property
    def modality(self) -> Modality[Any]:
        """The kind of data."""
        return modality_of(self.spec.modality)

    @cached_property
    def data(self) -> dict[str, object]:
        """The training options that name a small data set, made up by the modality."""
        return dict(self.modality.example(self.folder))

    def train(self, name: str, **changes: Any) -> RunFolder:
        """A short training."""
        self.loadable  # noqa: B018  (it skips)
        from genzoo.training.train import train

        where = {"runs_dir": str(self.folder / "runs"), "name": name}
        return train(self.qualified, **self.options | self.data | where | changes)

    @cached_property
    def run(self) -> RunFolder:
        """A short training that came to its end."""
        try:
            return self.train("whole")
        except GenzooError as error:
            raise AssertionError(f"a training of {STEPS} steps failed: {one_line(error)}") from error

    @property
    def model(self) -> Generator:
        """Its model, as it is loaded anew."""
        from genzoo.sampling.model import load

        return load(self.run, weights="last", device="cpu")

    def having(self, ability: str, verb: str) -> Any:
        """The model, if it has an ability, else skips."""
        from genzoo.interface import generator

        model = self.model
        if not isinstance(model, getattr(generator, ability)):
            raise Skip(f"the model does not {verb}")
        return model

    def batch(self) -> Batch:
        """A few held-out examples with their labels."""
        import torch

        from genzoo.runs.data import load_data

        dataset, _ = load_data(self.run)
        return dataset.take("test", torch.arange(min(6, dataset.count("test"))), torch.device("cpu"))

    @cached_property
    def observed(self) -> Json:
        """What importing the model, sampling the run and another training do, seen from a process of its own."""
        self.loadable  # noqa: B018
        runs = self.folder / "observed"
        options = {**self.options, **self.data, "runs_dir": str(runs), "name": "seen"}
        return self.child("observe", self.spec.target, self.qualified, str(self.run.path), json.dumps(options))
