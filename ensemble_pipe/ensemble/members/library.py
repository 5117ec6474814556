"""Members that are models of LightGBM or CatBoost."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.core.documents import parse_json
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.members.fitted import FittedMember, FittedRecord, log_probabilities
from ensemble_pipe.ensemble.members.member import SavedFiles
from ensemble_pipe.training.boosting_libraries import catboost_rows
from ensemble_pipe.training.estimator_settings import CATBOOST, LIGHTGBM
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.library_models import (
    Library,
    LibraryModels,
    load_library,
    read_models,
)
from ensemble_pipe.training.tree_inputs import TreeInputs, divide_groups

# Every call has as many rows, so that the bits of a row depend on nothing around it.
CHUNK_ROWS = 1024
FILE_PATTERN = r"^library-\d+\.(lightgbm|catboost)$"


@dataclass(frozen=True)
class LibraryMember(FittedMember):
    """A model of a library, or one for each target."""

    record: ClassVar[str] = "library"
    library: ClassVar[Library]

    def models(self, schema: Schema) -> LibraryModels:
        """Return the content of the file, checked against a schema.

        Raises:
            CorruptFileError: it is none that may be read.
        """
        view = schema.source_view
        shape = view.width, len(view.categories)
        if shape not in self._read:
            self._read[shape] = read_models(self.content, self.library, *shape, self.where)
        return self._read[shape]

    @property
    def where(self) -> str:
        """Its file, for messages."""
        return self._file_name

    def rounds(self, schema: Schema) -> int:
        """See `Member`."""
        found = self.models(schema)
        per_round = len(found.classes) if len(found.classes) > 2 else 1
        counts = [self._trees(text) // per_round for text in found.models]
        return max(1, round(float(np.mean(counts))))

    @abstractmethod
    def _trees(self, model: str) -> int:
        """Return how many trees a model's text holds, one of several outputs as often as these."""

    @abstractmethod
    def _loaded(self, model: str) -> Any:
        """Return a model of the library, from a text that `read_models` wrote."""

    @abstractmethod
    def _raw(self, model: Any, rows: Floats, categories: int) -> Floats:
        """Return the sums (R,) or (R, K) of the trees for rows (R, C)."""

    def require_fit(self, schema: Schema) -> None:
        """See `FittedMember`."""
        found = self.models(schema)
        divide_groups(np.array(found.groups, np.int32), schema.source_view)
        if schema.task == "classification":
            known = set(found.classes) <= set(range(len(schema.classes)))
            if not known or len(found.classes) < 2 or len(found.models) != 1:
                raise ValueError(f"its model is not for {len(schema.classes)} classes")
        elif found.classes or len(found.models) != schema.target_count:
            raise ValueError(f"its models are not for {schema.target_count} targets")
        load_library(self.library)

    def is_of_plan(self, plan: EstimatorPlan, task: Task) -> bool:
        """See `FittedMember`."""
        return plan.has_facts(self._facts)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return parse_json(self.content, LibraryModels, self.where).facts

    @cached_property
    def _read(self) -> dict[tuple[int, int], LibraryModels]:
        """The content as checked, by the numbers of columns, so that it is read once."""
        return {}

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """The loaded models by their text, so that each is loaded once."""
        return {}

    def _predict(self, schema: Schema, read: Read, rows: int) -> Floats:
        """See `MemberAlone`."""
        found, view = self.models(schema), schema.source_view
        inputs = TreeInputs(view, divide_groups(np.array(found.groups, np.int32), view))
        outputs = np.empty((rows, len(schema.classes) or schema.target_count), np.float32)
        encoded = np.zeros((CHUNK_ROWS, *schema.input_shape), np.float32)
        for start in range(0, rows, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, rows)
            read(start, stop, encoded[: stop - start])
            encoded[stop - start :] = 0
            seen = inputs.read(encoded.reshape(CHUNK_ROWS, -1))
            count = len(view.categories)
            raw = np.column_stack([self._sums(text, seen, count) for text in found.models])
            outputs[start:stop] = _outputs(raw, found, schema)[: stop - start]
        return outputs

    def _sums(self, text: str, rows: Floats, categories: int) -> Floats:
        try:
            if text not in self._kept:
                self._kept[text] = self._loaded(text)
            return self._raw(self._kept[text], rows, categories)
        except Exception as error:  # what the library raises of a model that it cannot read
            told = f"{self.where}: not a model that can be read ({error})"
            raise CorruptFileError(told) from None


def _outputs(raw: Floats, found: LibraryModels, schema: Schema) -> Floats:
    """Return the outputs (n, O) of the sums (n, S) of the models."""
    if schema.task == "regression":
        return raw
    logits = np.column_stack([np.zeros(len(raw)), raw[:, 0]]) if raw.shape[1] == 1 else raw
    return log_probabilities(softmax(logits), list(found.classes), len(schema.classes))


@dataclass(frozen=True)
class LightGbmMember(LibraryMember):
    """A model of LightGBM."""

    library: ClassVar[Library] = "lightgbm"
    suffix: ClassVar[str] = LIGHTGBM

    def _trees(self, model: str) -> int:
        return model.count("\nTree=")

    def _loaded(self, model: str) -> Any:
        return load_library("lightgbm").Booster(model_str=model)

    def _raw(self, model: Any, rows: Floats, categories: int) -> Floats:
        return np.asarray(model.predict(rows, raw_score=True, num_threads=1))


@dataclass(frozen=True)
class CatBoostMember(LibraryMember):
    """A model of CatBoost."""

    library: ClassVar[Library] = "catboost"
    suffix: ClassVar[str] = CATBOOST

    def _trees(self, model: str) -> int:
        found = parse_json(model.encode(), dict[str, Any], self.where)
        outputs = len(np.atleast_1d(found["scale_and_bias"][1]))
        return len(found["oblivious_trees"]) * outputs

    def _loaded(self, model: str) -> Any:
        found = load_library("catboost").CatBoost()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            path.write_text(model)
            found.load_model(str(path), format="json")
        return found

    def _raw(self, model: Any, rows: Floats, categories: int) -> Floats:
        data = catboost_rows(load_library("catboost"), rows, categories)
        kind = "RawFormulaVal"
        return np.asarray(model.predict(data, prediction_type=kind, thread_count=1))


KINDS = {kind.suffix: kind for kind in (LightGbmMember, CatBoostMember)}


class LibraryRecord(FittedRecord):
    """Of a model of a library, which its file's suffix names."""

    file_pattern: ClassVar[str | None] = FILE_PATTERN

    kind: Literal["library"]
    file: Annotated[str, Field(pattern=FILE_PATTERN)]

    def _member(self, schema: Schema, saved: SavedFiles) -> FittedMember:
        return self.of_kind(KINDS[Path(self.file).suffix], schema, saved)
