"""The contact sheet: what the shards of the run hold, drawn the same each time."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Prepared

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.report.contact_sheet import draw_contact_sheet, make_sheet
from ensemble_pipe.run import stages
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import PicturesEntry

SHIFT = {"name": "shift_crop", "pixels": 2}
pytestmark = pytest.mark.usefixtures("rendered_pictures")

POLICIES: dict[str, list[dict[str, Any]]] = {
    "images": [SHIFT],
    "mixed images": [SHIFT, {"name": "mixup"}, {"name": "cutmix"}],
    "only mixed": [{"name": "mixup"}],
    "table": [{"name": "swap_noise"}, {"name": "mixup"}],
    "series": [{"name": "signal_shift"}, {"name": "mixup"}],
}


def table(folder: Path) -> dict[str, Any]:
    """Return a data section for a table whose names would break a formula."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(200, 3)), columns=["a", "$\\frac$", "c"])
    frame["kind"] = np.where(frame.a > 0, "$\\bad{$", "<b>")
    frame.to_csv(folder / "rows.csv", index=False)
    return {"source": "table", "path": str(folder / "rows.csv"), "label": "kind"}


@pytest.mark.parametrize("case", POLICIES)
def test_a_sheet_is_drawn_alike_each_time(
    prepare: Callable[..., Prepared], tmp_path: Path, case: str
) -> None:
    data = table(tmp_path) if case in ("table", "series") else {"source": "bundled"}
    ready = prepare(augment=POLICIES[case], data=data)
    path = draw_contact_sheet(ready.paths, ready.recipe, ready.schema, epochs=4)
    first = path.read_bytes()
    assert path == ready.paths.pictures / "augmentation.svg"
    assert first.startswith(b"<svg")
    assert draw_contact_sheet(ready.paths, ready.recipe, ready.schema, 4).read_bytes() == first


@pytest.mark.parametrize(
    ("augment", "epochs", "versions"),
    [({}, 20, 7), ({}, 3, 3), ({"pool": 2}, 20, 2), ({"share": "per_learner"}, 2, 2)],
)
def test_it_holds_rows_of_the_shards_in_epochs_that_differ(
    prepare: Callable[..., Prepared], augment: dict[str, Any], epochs: int, versions: int
) -> None:
    ready = prepare(augment={"policy": [SHIFT], **augment})
    sheet = make_sheet(ready.recipe, ready.schema, epochs)
    assert [version.title for version in sheet.versions] == [
        f"epoch {epoch + 1}" for epoch in range(versions)
    ]
    originals = inputs_of(ready, None)
    places = [int(np.flatnonzero((originals == row).all(axis=(1, 2, 3)))[0]) for row in sheet.rows]
    assert len(set(sheet.labels)) == 8
    for epoch, version in enumerate(sheet.versions):
        assert np.array_equal(version.rows, inputs_of(ready, epoch)[places])


def inputs_of(ready: Prepared, epoch: int | None) -> np.ndarray:
    """Return the rows of all shards, as the first learner's training has them."""
    data = ready.data
    if epoch is None:
        return data.part("train").read_stored(0, data.rows)
    made = data.make_shards(data.request(0, epoch, None))
    return np.concatenate([shard.column("input").chunk(0).to_numpy_ndarray() for shard in made])


def test_rows_come_from_all_over_a_file_that_is_sorted_by_class(
    prepare: Callable[..., Prepared], tmp_path: Path
) -> None:
    kinds = np.repeat([f"kind {index}" for index in range(10)], 100)
    rows = np.arange(1000.0)
    pd.DataFrame({"row": rows, "kind": kinds}).to_csv(tmp_path / "rows.csv", index=False)
    data = {"source": "table", "path": str(tmp_path / "rows.csv"), "label": "kind"}
    ready = prepare(data=data, shard_rows=50, augment=[{"name": "feature_noise"}])
    sheet = make_sheet(ready.recipe, ready.schema, epochs=1)
    assert len(set(sheet.labels)) == 8
    assert {"kind 0", "kind 9"} <= set(sheet.labels)


def test_mixed_rows_say_what_they_are_of(prepare: Callable[..., Prepared]) -> None:
    ready = prepare(augment=[SHIFT, {"name": "mixup", "alpha": 1000.0}])
    sheet = make_sheet(ready.recipe, ready.schema, epochs=7)
    assert [bool(version.captions) for version in sheet.versions] == [False] * 4 + [True] * 3
    captions = [c for version in sheet.versions for c in version.captions if "100%" not in c]
    shares = [int(share) for caption in captions for share in re.findall(r"(\d+)%", caption)]
    assert len(shares) > 24
    assert all(46 <= share <= 54 for share in shares)


@pytest.mark.parametrize("after_s", [0.0, 1e9])
def test_a_run_draws_its_sheet_once_and_never_before_an_epoch(
    after_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "SHEET_AFTER_S", after_s)
    (tmp_path / "p.yaml").write_text(
        "augment: [{name: shift_crop}]\ntraining: {epochs: 2}\nnetwork: {hidden: [4]}\n"
        "ensemble: {learners: 1}\ntracking: {mlflow: false}\n"
    )
    paths = RunPaths(Path(run(tmp_path / "p.yaml", output=tmp_path, inline=True).run_dir))
    entries = list(read_entries(paths.journal))
    kinds = [entry.kind for entry in entries]
    first = entries[kinds.index("pictures")]
    assert isinstance(first, PicturesEntry)
    assert first.names == ["augmentation.svg"]
    assert kinds.count("pictures") == 2
    assert kinds.index("epoch") < kinds.index("pictures")
    assert ("epoch" in kinds[kinds.index("pictures") :]) is (after_s == 0)
    assert (paths.pictures / "augmentation.svg").is_file()


def test_a_name_shows_what_a_terminal_would_obey() -> None:
    from ensemble_pipe.report.contact_sheet import _short

    assert _short("a\x1b[2J", 30) == r"a\x1b[2J"
    assert _short("\N{RIGHT-TO-LEFT OVERRIDE}abc", 30) == r"\u202eabc"
