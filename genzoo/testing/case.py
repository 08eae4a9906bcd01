"""One model under test. What several checks look at (a short training, a process of its own) is made once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from genzoo.interface.errors import Skip, UsageError, unknown
from genzoo.interface.options import normalise, options_of
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
T = TypeVar("T")


class Broken(Exception):
    """What a check needs cannot be had, as another check fails: its name, and the error that it failed with."""

    def __init__(self, check: str, error: Exception) -> None:
        super().__init__(f"{check} failed")
        self.check, self.error = check, error


class Case:
    """A model, its plugin and its short trainings, in a folder that goes when this goes. Trainings have the model's
    preset `tiny`, if it has one and no other is named.

    What many checks need (`spec`, `kind`, `run`) is made once. Each is the promise of one check; where it cannot be had
    they raise `Broken` with the name of that one.

    Attributes:
        plugin: as the registry has it.
        name: of the model.

    Raises:
        UsageError: there is no such model, it is blocked, or has no such preset or option.
    """

    def __init__(self, model: str, options: Mapping[str, object] | None = None, preset: str | None = None) -> None:
        self.plugin, self.target, self.name = _plugin_of(model)
        self.options = {normalise(name): value for name, value in (options or {}).items()}
        self.preset = preset
        self._made: dict[str, object] = {}
        self._broken: dict[str, Exception] = {}
        if self.plugin.status == "loaded" and preset is not None and preset not in self.spec.presets:
            raise unknown(f"preset of {self.name}", preset, self.spec.presets)
        self.folder = Path(tempfile.mkdtemp(prefix="genzoo-check-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        if self.plugin.status == "loaded" and options:
            from genzoo.training.plan import plan

            plan(self.qualified, {**self.tiny, "runs_dir": str(self.folder)})  # it refuses what is not allowed

    def once(self, check: str, make: Callable[[], T]) -> T:
        """What `make` gives, made once. If it raises, `check` is broken, and so is all that needs it."""
        if check not in self._made and check not in self._broken:
            try:
                self._made[check] = make()
            except (Skip, Broken):
                raise
            except Exception as error:
                self._broken[check] = error
        if check in self._broken:
            raise Broken(check, self._broken[check])
        return cast(T, self._made[check])

    # Without torch

    @property
    def spec(self) -> GeneratorSpec:
        """The model, as its plugin gives it."""
        return self.once("plugin_loads", self._spec)

    def _spec(self) -> GeneratorSpec:
        if self.plugin.error is not None:
            raise self.plugin.error
        for _, plugin, spec in registry().generators:
            if plugin is self.plugin and spec.name == self.name:
                return spec
        raise AssertionError(f"the plugin {self.plugin.name!r} gives no model {self.name!r}")

    def child(self, task: str, *arguments: str) -> Json:
        """What a task of `genzoo.testing.child` finds, in a process of its own."""
        # it must see the same installed plugins, and what is on this process's path
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", "genzoo.testing.child", task, *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            cwd=self.folder,
            timeout=300,
        )
        lines = done.stdout.strip().splitlines()
        if done.returncode or not lines:
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise AssertionError(f"in a process of its own: {reason}")
        seen: Json = json.loads(lines[-1])
        return seen

    @cached_property
    def imported(self) -> Json:
        """What importing the plugin, and nothing else, brings along."""
        if self.plugin.source is not None:
            raise Skip("a model that is registered may import what it likes; a distribution may not")
        return self.child("import_plugin", self.target)

    # With torch

    @property
    def kind(self) -> type[Generator]:
        """The model's class."""
        spec = self.spec
        return self.once("target_is_a_generator", lambda: _class_of(spec))

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

    @cached_property
    def tiny(self) -> dict[str, Any]:
        """The options of a short training."""
        preset = self.spec.presets.get(self.preset or "tiny", {})
        small = {name: value for name, value in preset.items() if name not in ("steps", "epochs")}
        tiny = {name: value for name, value in TINY.items() if self.spec.mini_batches or name != "batch_size"}
        return {**small, **tiny, **self.options}

    def train(self, name: str, **changes: Any) -> RunFolder:
        """One more short training, which need not be tried where none ends."""
        self.run  # noqa: B018  (it raises)
        return self._train(name, **changes)

    def _train(self, name: str, **changes: Any) -> RunFolder:
        from genzoo.training.train import train

        where = {"runs_dir": str(self.folder / "runs"), "name": name}
        return train(self.qualified, **{**self.tiny, **self.data, **where, **changes})

    @property
    def run(self) -> RunFolder:
        """A short training that came to its end."""
        self.kind  # noqa: B018  (it raises)
        return self.once("a_training_ends", lambda: self._train("whole"))

    @property
    def model(self) -> Generator:
        """Its model, as it is loaded anew."""
        from genzoo.sampling.model import load

        return load(self.run, weights="last", device="cpu")

    @property
    def conditional(self) -> bool:
        """Whether the model can learn from labels."""
        return "conditional" in options_of(self.spec.config)

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
        run, runs, target = self.run, self.folder / "observed", self.spec.target
        if (source := self.plugin.source) is not None:
            if source.path is None:
                raise Skip("no other process has a model that was typed; write it into a file, and register that")
            target = str(source.path)
        assert isinstance(target, str), "what a distribution gives names its class"
        options = {**self.tiny, **self.data, "runs_dir": str(runs), "name": "seen"}
        return self.child("observe", target, self.qualified, str(run.path), json.dumps(options))


def _plugin_of(model: str) -> tuple[Plugin, str, str]:
    """The plugin of a model, or one of that name that failed, its module, and the model's name."""
    known, name = registry(), model.rpartition("/")[2]
    try:
        plugin, spec = known.generators.get(model)
        name = spec.name
    except UsageError:
        plugins = [p for p in known.plugins if model in (p.name, p.distribution, f"{p.distribution}/{p.name}")]
        if not plugins:
            raise
        plugin = plugins[0]
        models = [spec.name for _, other, spec in known.generators if other is plugin]
        name = models[0] if len(models) == 1 else name
        if plugin.status == "blocked":
            raise UsageError(f"plugin {plugin.name!r} is left out by GENZOO_PLUGINS or GENZOO_BLOCK") from None
    if plugin.source is not None:
        return plugin, "" if plugin.source.path is None else plugin.source.path.stem, name
    targets = {(p.distribution, p.name): target for p, target in installed()}
    return plugin, targets[plugin.distribution, plugin.name], name


def _class_of(spec: GeneratorSpec) -> type[Generator]:
    import inspect

    from genzoo.sampling.model import class_of

    kind = class_of(spec)
    if inspect.isabstract(kind):
        raise AssertionError(f"{spec.target} lacks {', '.join(sorted(kind.__abstractmethods__))}")
    return kind
