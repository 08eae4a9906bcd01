"""What plugins give, one shelf for each kind of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from genzoo.interface.errors import UsageError, unknown
from genzoo.interface.specs import (
    CommandSpec,
    DatasetSpec,
    FeatureSpec,
    GeneratorSpec,
    MetricSpec,
    ModalitySpec,
)
from genzoo.registry.installed import CORE, Plugin

Spec = TypeVar("Spec", ModalitySpec, GeneratorSpec, DatasetSpec, CommandSpec, MetricSpec, FeatureSpec)
AnySpec = ModalitySpec | GeneratorSpec | DatasetSpec | CommandSpec | MetricSpec | FeatureSpec


class Shelf(Generic[Spec]):
    """The specs of one kind by name. What two distributions give under one name is had as `distribution/name`; measures
    and features of two modalities may share a name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.failed: Sequence[str] = ()  # plugins that may have given what is missing here
        self._entries: list[tuple[Plugin, Spec]] = []

    def add(self, plugin: Plugin, spec: Spec) -> None:
        for other, present in self._entries:
            if not same_name(present, spec):
                continue
            for one, two in ((plugin, other), (other, plugin)):
                one.problems.append(
                    f"{self.kind} {spec.name!r} is also given by {two.distribution}; it is reached as"
                    f" {one.distribution}/{spec.name}"
                )
        self._entries.append((plugin, spec))

    def remove(self, plugin: Plugin) -> None:
        """Take what a plugin gave away again."""
        self._entries = [(other, spec) for other, spec in self._entries if other is not plugin]

    def of_distribution(self, distribution: str, like: Spec) -> bool:
        """Whether a distribution gives the name of a spec already."""
        return any(plugin.distribution == distribution and same_name(spec, like) for plugin, spec in self._entries)

    def get(self, name: str, modality: str | None = None) -> tuple[Plugin, Spec]:
        """The plugin and spec of `name` or `distribution/name`, among those of a modality. Raises `UsageError`."""
        entries = self._entries if modality is None else self.of_modality(modality)
        matches = [(p, s) for p, s in entries if name in (s.name, f"{p.distribution}/{s.name}")]
        if len(matches) == 1:
            return matches[0]
        if matches:
            qualified = " or ".join(sorted(f"{p.distribution}/{s.name}" for p, s in matches))
            raise UsageError(f"{self.kind} {name!r} is given by {len(matches)} plugins; say {qualified}")
        error = unknown(self.kind, name, [s.name for _, s in entries] if modality else self.names())
        if self.failed:
            error = UsageError(f"{error} (failed to load: {', '.join(self.failed)}; see `genzoo plugins`)")
        raise error

    def first(self) -> tuple[Plugin, Spec]:
        """What came first: genzoo's own."""
        return self._entries[0]

    def names(self) -> list[str]:
        """The names that `get` takes, sorted; qualified where two distributions give one name."""
        return sorted(name for name, _, _ in self)

    def of_modality(self, modality: str) -> list[tuple[Plugin, Spec]]:
        """Plugins and specs of one modality, or of any: genzoo's own in their order, then those of others by name."""
        entries = [(p, s) for p, s in self._entries if getattr(s, "modality", None) in (modality, "")]
        foreign = [(p, s) for p, s in entries if p.distribution != CORE]
        foreign.sort(key=lambda entry: (entry[1].name, entry[0].distribution))
        return [entry for entry in entries if entry[0].distribution == CORE] + foreign

    def __iter__(self) -> Iterator[tuple[str, Plugin, Spec]]:
        for plugin, spec in sorted(self._entries, key=lambda entry: (entry[1].name, entry[0].distribution)):
            alone = sum(same_name(spec, other) for _, other in self._entries) == 1
            yield (spec.name if alone else f"{plugin.distribution}/{spec.name}"), plugin, spec


def same_name(one: AnySpec, other: AnySpec) -> bool:
    modalities = {getattr(spec, "modality", None) for spec in (one, other)}
    alike = not isinstance(one, (MetricSpec, FeatureSpec)) or len(modalities) == 1 or "" in modalities
    return one.name == other.name and alike
