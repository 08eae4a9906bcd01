"""What an evaluation gives: measures, each beside what real data and trivial models score; as JSON has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from genzoo.interface.errors import GenzooError, one_line
from genzoo.interface.parsing import parse_json
from genzoo.interface.specs import Json, load_target

SHOWN = 3  # measures of a short repr


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measure of a run.

    Attributes:
        value: of the samples, or of the model.
        uncertainty: its standard error in the same unit; None if there is none. Of several runs their standard
            deviation.
        references: what real data ("floor") and trivial models score, by the names in `Evaluation.columns`; without
            those of which the measure has no meaning.
        of: of what it is, where models can differ in it. Two that differ do not compare.
        count: of how many runs, which differ in the seed alone, it is the mean.
    """

    name: str
    value: float
    unit: str
    better: str
    uncertainty: float | None = None
    references: Mapping[str, float] = field(default_factory=dict)
    of: str = ""
    count: int = 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation:
    """What `evaluate` gives, as JSON has it.

    Attributes:
        run, model: their names.
        protocol: all that two results must share to be compared.
        heading: in one line, what was measured how.
        columns: titles of what stands beside each value, by the names in `Measured.references`.
        legend: what these are, in words.
        measures: in the order of the table.
        left_out: by measure, why it has no value.
        facts: of the run and the sampling: step, parameters, seconds, options, versions, and what the modality says.
        path: the file that it is kept in; beside it are samples.
        of_seeds: those that it is the mean of, where it is of runs that differ in the seed alone.
    """

    run: str
    model: str
    protocol: Mapping[str, Any]
    heading: str
    columns: Mapping[str, str]
    legend: str
    measures: tuple[Measured, ...]
    left_out: Mapping[str, str]
    facts: Mapping[str, Any]
    path: Path | None = None
    of_seeds: tuple[Evaluation, ...] = ()

    def to_json(self) -> Json:
        """As JSON has it."""
        keys = ("run", "model", "protocol", "heading", "columns", "legend", "left_out", "facts")
        of_seeds = {"of_seeds": [result.to_json() for result in self.of_seeds]} if self.of_seeds else {}
        return {key: getattr(self, key) for key in keys} | {"measures": [asdict(m) for m in self.measures]} | of_seeds

    def to_rows(self) -> list[dict[str, Any]]:
        """A row a measure, as `pandas.DataFrame` takes them: the run and its model, the value with its uncertainty and
        unit, which way is better, and a column for each of `references`."""
        keys = ("name", "of", "value", "uncertainty", "unit", "better")
        return [
            {"run": self.run, "model": self.model, **{key: getattr(m, key) for key in keys}, **m.references}
            for m in self.measures
        ]

    def __repr__(self) -> str:
        first = ", ".join(f"{m.name} {m.value:.4g}" for m in self.measures[:SHOWN])
        return f"<evaluation of {self.run}: {first}{', ...' if len(self.measures) > SHOWN else ''}>"

    def _repr_html_(self) -> str:
        html: str = load_target("genzoo.evaluation.report:of_one", "an evaluation")(self)  # which is made of these
        return html

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """The inverse, from a file. Raises `GenzooError` if it holds none."""
        try:
            values = parse_json(path.read_text("utf-8"))
            measures = tuple(Measured(**measure) for measure in values.pop("measures"))
            return cls(measures=measures, path=path, **values)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise GenzooError(f"{path} is not the result of an evaluation: {one_line(error)}") from None
