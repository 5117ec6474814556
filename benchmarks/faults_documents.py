"""Documents and tables of any shape: each is read, or refused with one message.

Hypothesis draws three kinds of input: the pipelines under pipelines/ with some values replaced, by
those of other keys too; tables of columns with odd contents and pipelines with rules for them,
which are read, split, fitted and written as a run does it; and the JSON files of a run and its
model with a value replaced or left out, or a line of its journal. Each must work or be refused by
an `InputError`, which a command prints as one message before it ends with status 2. What else is
raised is a traceback. `benchmarks/faults_files.py` runs them for its rows "hypothesis", the tests
run a few.
"""

import csv
import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pyarrow import parquet

import ensemble_pipe
from ensemble_pipe.comparison.runs import read_run
from ensemble_pipe.config.reading import load_pipeline, read_pipeline
from ensemble_pipe.config.yaml_documents import Document, read_document, read_value
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.storage import RunPaths, check_sums, read_manifest
from ensemble_pipe.data.base import open_base, read_schema
from ensemble_pipe.report.numbers import read_numbers
from ensemble_pipe.run.preparation import prepare, write_run
from ensemble_pipe.tracking.completeness import complete_entries
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.training.checkpoints import load_estimator
from ensemble_pipe.training.restoring import restore

PIPELINES = Path(__file__).parents[1] / "pipelines"
PLACE = tuple[str | int, ...]
DRAW = Callable[[st.SearchStrategy[Any]], Any]

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 2, 0.5, -0.5, 1.5, 1e308, 10**30, 10**400, float("inf"), "", "x"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abname", max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


def places_in(value: Any, above: PLACE = ()) -> Iterator[PLACE]:
    """Yield the path of every value in a document, its own first."""
    yield above
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_in(item, (*above, key))


def value_at(document: Any, place: PLACE) -> Any:
    """Return the value at a path."""
    for step in place:
        document = document[step]
    return document


def changed(draw: DRAW, document: Any, values: st.SearchStrategy[Any]) -> Any:
    """Return a document with one value replaced, left out, or given another key."""
    place = draw(st.sampled_from([*places_in(document)]))
    new = draw(values)
    if not place:
        return new
    *above, last = place
    holder = value_at(document, tuple(above))
    match draw(st.sampled_from(["replace", "replace", "remove", "rename"])):
        case "replace":
            holder[last] = new
        case "rename" if isinstance(holder, dict):
            holder[draw(st.text(max_size=4))] = holder.pop(last)
        case _:
            del holder[last]
    return document


# Pipelines


def _shipped() -> list[Any]:
    return [read_document(path).data for path in sorted(PIPELINES.glob("*.yaml"))]


SHIPPED = _shipped()
OF_PIPELINES = [value_at(one, place) for one in SHIPPED for place in places_in(one) if place]


@st.composite
def pipelines(draw: st.DrawFn) -> Any:
    """Draw the plain values of a pipeline, most of them wrong."""
    document = draw(st.sampled_from(SHIPPED))
    for _ in range(draw(st.integers(1, 3))):
        document = changed(
            draw, json.loads(json.dumps(document)), VALUES | st.sampled_from(OF_PIPELINES)
        )
        if not isinstance(document, dict):
            break
    return document


def read_drawn_pipeline(document: Any) -> None:
    """Read a pipeline as from a file."""
    data = read_value(yaml.safe_dump(document, allow_unicode=True), "p.yaml")
    if isinstance(data, dict):
        read_pipeline(Document("p.yaml", data))


# Tables

CELLS = {
    "numbers": st.integers(-3, 3).map(str) | st.floats(width=32).map(str),
    "large": st.sampled_from(["1e308", "-1e308", "9" * 30, "1e-320", "inf", "-inf", "nan", "0x10"]),
    "whole": st.integers(-9, 9).map(str),
    "codes": st.sampled_from(["a", "b", "c"]),
    "spellings": st.sampled_from(["a", "b", "c", "A", " a", "", "\u0000", "ä", '"', "a\nb"]),
    "dates": st.dates().map(str) | st.datetimes().map(str),
    "flags": st.sampled_from(["true", "false", "True", "1", "0", "yes"]),
    "missing": st.sampled_from(["", "NA", "nan", "null", "?"]),
    "text": st.text(max_size=8),
    "constant": st.just("7"),
}
NAMES = st.sampled_from(["a", "b", "c", "y", "row", "image", "prediction"]) | st.text(max_size=4)
RULES = [
    {}, {}, {}, {"*": {"kind": "number"}}, {"*": {"kind": "category"}}, {"*": {"kind": "date"}},
    {"*": {"kind": "number", "missing": "error"}},
    {"a": {"kind": "category", "missing": "category"}},
    {"a": {"kind": "number", "missing": "median", "indicator": True}}, {"b": {"kind": 3}},
]  # fmt: skip
ARROW = st.sampled_from([
    pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.bool_(), pa.string(), pa.binary(),
    pa.date32(), pa.timestamp("ns"), pa.timestamp("s", "UTC"), pa.time64("us"), pa.duration("s"),
    pa.decimal128(38, 4), pa.null(), pa.list_(pa.int8()), pa.struct([("a", pa.int8())]),
    pa.dictionary(pa.int8(), pa.string()), pa.large_string(), pa.string_view(),
])  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes, dict[str, Any]]:
    """Draw the name and content of a table, and the sections of a pipeline for it."""
    # Hypothesis draws the first of a few most often: it is what is right.
    task = draw(st.sampled_from(["classification", "regression"]))
    right = "whole" if task == "regression" else "codes"
    names = ["y", "a", *draw(st.lists(NAMES, max_size=3, unique=True))]
    rows = draw(st.sampled_from([40, 40, 40, 40, 8, 1]))
    label = draw(st.sampled_from([right] * 8 + list(CELLS)))
    kinds = [label, *(draw(st.sampled_from(list(CELLS))) for _ in names[1:])]
    cells = [
        draw(
            st.lists(
                CELLS[kind] | CELLS["missing"] if place and draw(st.booleans()) else CELLS[kind],
                min_size=min(rows, 7),
                max_size=min(rows, 7),
            )
        )
        for place, kind in enumerate(kinds)
    ]
    columns = [(own * rows)[:rows] for own in cells]
    data: dict[str, Any] = {
        "source": "table",
        "label": "y",
        "columns": draw(st.sampled_from(RULES)),
    }
    if draw(st.integers(0, 9)) == 7:
        data[draw(st.sampled_from(["weight", "group", "time"]))] = draw(st.sampled_from(names))
    sections = {"data": data, "task": task}
    if draw(st.booleans()):
        return "t.csv", _csv(names, columns), sections
    kind = draw(ARROW)
    return "t.parquet", _parquet(names, columns, kind), sections


def _csv(names: list[str], columns: list[list[str]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    return stream.getvalue().encode("utf-8", "surrogatepass")


def _parquet(names: list[str], columns: list[list[str]], kind: pa.DataType) -> bytes:
    """Return columns of texts as Parquet, the second of a type, if need be without values."""
    label, texts, *others = [pa.array(column, pa.string()) for column in columns]
    typed = _cast(texts, kind, pa.nulls(len(texts), kind))
    stream = io.BytesIO()
    numbers = _cast(label, pa.float64(), label)
    parquet.write_table(pa.table([numbers, typed, *others], names), stream)
    return stream.getvalue()


def _cast(texts: pa.Array, kind: pa.DataType, otherwise: pa.Array) -> pa.Array:
    try:
        return texts.cast(kind)
    except (pa.ArrowException, NotImplementedError):
        return otherwise


def prepare_drawn_table(drawn: tuple[str, bytes, dict[str, Any]]) -> None:
    """Read, split, fit and write a table as a run does before it trains."""
    name, content, sections = drawn
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        sections = {**sections, "data": {**sections["data"], "path": str(path)}}
        config, _ = read_pipeline(Document("p.yaml", sections))
        write_run(RunPaths(Path(folder) / "run"), prepare(config))


# The JSON of runs and models

JSON = (
    "manifest.json", "base/schema.json", "base/train.json", "base/test.json", "mlflow.json",
    "growth.json", "predictions/test.json", "model/manifest.json", "model/model.json",
    "learners/0000/step-*.json", "learners/0002/estimator.json", "journal.jsonl",
)  # fmt: skip


@st.composite
def run_files(draw: st.DrawFn, root: Path) -> tuple[Path, bytes]:
    """Draw a file of a run, and what it holds now."""
    path = next(root.glob(draw(st.sampled_from(JSON))))
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    number = draw(st.integers(0, len(lines) - 1))
    document = changed(draw, json.loads(lines[number]), VALUES)
    if isinstance(document, dict) and draw(st.booleans()):
        document.pop("crc", None)  # as earlier versions wrote it
    lines[number] = json.dumps(document)
    return path, "\n".join([*lines, ""]).encode()


def resume_without_training(paths: RunPaths) -> None:
    """Read all that a resume reads before it trains."""
    manifest = read_manifest(paths)
    check_sums(paths.root, manifest.sums)
    plans = load_pipeline(paths.pipeline)[1].networks
    complete_entries(paths)
    base = open_base(paths.base / "train.arrow")
    for plan in plans:
        list(restore(paths, plan, read_schema(paths), base.table.num_rows, manifest.run_id))
    load_estimator(paths, len(plans), manifest.run_id)
    Cursor.load(paths.cursor)


DOORS: tuple[Callable[[RunPaths], object], ...] = (
    resume_without_training,
    read_numbers,
    lambda paths: read_run(paths.root),
    lambda paths: ensemble_pipe.load(paths.root),
)


def use_run(paths: RunPaths, drawn: tuple[Path, bytes]) -> None:
    """Use a run in all ways with one file changed; a refusal names the run."""
    path, content = drawn
    before = path.read_bytes()
    path.write_bytes(content)
    refused = None
    try:
        for door in DOORS:
            try:
                door(paths)
            except InputError as error:
                refused = error
                if str(paths.root) not in str(error):
                    raise ValueError(f"does not name the run: {error}") from None
    finally:
        path.write_bytes(before)
    if refused is not None:
        raise refused


def count(
    strategy: st.SearchStrategy[Any], use: Callable[[Any], None], cases: int
) -> dict[str, Any]:
    """Draw cases and use each; return how many worked, were refused, and ended in a traceback."""
    found: Counter[str] = Counter()
    examples: list[str] = []

    @seed(0)
    @settings(
        max_examples=cases, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(drawn=strategy)
    def run(drawn: Any) -> None:
        outcome = "worked"
        try:
            use(drawn)
        except InputError as error:
            outcome = "refused" if str(error).strip() else "silent"
        except Exception as error:
            outcome = "traceback"
            examples.append(f"{type(error).__name__}: {error!s:.200} from {drawn!s:.600}")
        found[outcome] += 1

    run()
    tried, failed = sum(found.values()), found["traceback"] + found["silent"]
    return {
        "tried": tried,
        **found,
        "held": tried - failed,
        "failed": failed,
        "examples": examples[:8],
    }


def measure(kind: str, cases: int, paths: RunPaths | None = None) -> dict[str, Any]:
    """Return the counts of "pipelines", "tables", or "run files" (of the run `paths`)."""
    if kind == "pipelines":
        return count(pipelines(), read_drawn_pipeline, cases)
    if kind == "tables":
        return count(tables(), prepare_drawn_table, cases)
    assert paths is not None
    return count(run_files(paths.root), lambda drawn: use_run(paths, drawn), cases)
