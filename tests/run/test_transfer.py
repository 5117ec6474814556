"""Transfer learning: which weights training begins with, which of them move, and how far."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import Prepared, StopAt
from safetensors.numpy import save_file

import ensemble_pipe
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError, CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.core.tensor_files import read_tensors
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.run.pipeline import RunResult, resume, run
from ensemble_pipe.run.transfer import first_rows, read_sources

# The source knows five of the digits, and so has five outputs.
SOURCE = {
    "name": "source",
    "classes": [0, 1, 2, 3, 4],
    "network": {"hidden": [16, 8]},
    "training": {"epochs": 5, "batch_size": 32, "schedule": {"name": "constant"}},
    "ensemble": {"learners": 2},
    "tracking": {"mlflow": False},
}
NETWORK = {"hidden": [16, 8]}
LAST = ("dense3/kernel", "dense3/bias")
LOWER = ("dense1/kernel", "dense1/bias", "dense2/kernel", "dense2/bias")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("runs")
    return run(Pipeline.model_validate(SOURCE), output=folder, inline=True)


def write_tensors(source: RunResult, folder: Path) -> Path:
    """Write the tensors of the source's first member by name."""
    save_file(read_sources(Path(source.run_dir))[0].tensors, folder / "tensors.safetensors")
    return folder / "tensors.safetensors"


def rows_of(prepared: Prepared) -> list[Floats]:
    return list(first_rows(make_plans(prepared.config), prepared.schema).values())


def tensors_of(prepared: Prepared, row: Floats) -> dict[str, Floats]:
    layout = prepared.plans[0].build(prepared.schema).layout
    return {name: tensor[0] for name, tensor in layout.views(row[None]).items()}


def transferring(
    prepare: Callable[..., Prepared],
    source: RunResult,
    *,
    learners: int = 1,
    network: dict[str, Any] = NETWORK,
    training: dict[str, Any] | None = None,
    **transfer: Any,
) -> Prepared:
    return prepare(
        network=network,
        transfer={"weights": source.run_dir, **transfer},
        ensemble={"learners": learners},
        training=training or {},
    )


# Where the weights come from


def test_learners_begin_with_the_sources_members_in_turn_and_a_last_layer_of_their_own(
    prepare: Callable[..., Prepared], source: RunResult
) -> None:
    prepared = transferring(prepare, source, learners=3)
    members = [one.tensors for one in read_sources(Path(source.run_dir))]
    for plan, row in zip(prepared.plans, rows_of(prepared), strict=True):
        found, network = tensors_of(prepared, row), plan.build(prepared.schema)
        for name in LOWER:
            assert found[name].tobytes() == members[plan.learner % 2][name].tobytes()
        for name in LAST:
            drawn = network.draw(name, plan.seed, plan.learner).astype(np.float32)
            assert found[name].tobytes() == drawn.tobytes()


def test_weights_may_lie_in_a_run_a_model_a_file_or_the_newest_that_fits(
    prepare: Callable[..., Prepared], source: RunResult, tmp_path: Path
) -> None:
    model = RunPaths(Path(source.run_dir)).model
    pattern = Path(source.run_dir).parent / "source-*"
    places = [source.run_dir, model, write_tensors(source, tmp_path), pattern]
    rows = {
        rows_of(transferring(prepare, source, weights=str(place)))[0].tobytes() for place in places
    }
    assert len(rows) == 1


def test_tensors_to_be_drawn_anew_may_be_named(
    prepare: Callable[..., Prepared], source: RunResult
) -> None:
    prepared = transferring(prepare, source, fresh=["dense[23]/*"])
    found = tensors_of(prepared, rows_of(prepared)[0])
    (untrained,) = prepare(network=NETWORK, ensemble={"learners": 1}).plans
    drawn = tensors_of(prepared, untrained.build(prepared.schema).initialize(1, 0))
    member = read_sources(Path(source.run_dir))[0].tensors
    for name, tensor in found.items():
        expected = member[name] if name.startswith("dense1/") else drawn[name]
        assert tensor.tobytes() == expected.tobytes()


def test_the_last_layer_too_is_taken_where_it_fits(
    prepare: Callable[..., Prepared], source: RunResult
) -> None:
    transfer = {"weights": source.run_dir, "fresh": []}
    five = prepare(network=NETWORK, classes=[5, 6, 7, 8, 9], transfer=transfer)
    member = ensemble_pipe.load(source.run_dir).members[0]
    assert isinstance(member, NetworkMember)
    assert rows_of(five)[0].tobytes() == member.row.tobytes()


# What is refused

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "another number of outputs": (
        {"fresh": []},
        r"transfer\.weights: dense3/kernel has shape \(8, 5\) in .*source-.*, but \(8, 10\) here; "
        r"name it in transfer\.fresh to draw it anew",
    ),
    "another width": (
        {"network": {"hidden": [16, 9]}},
        r"transfer\.weights: dense2/kernel has shape \(16, 8\) in .*, but \(16, 9\) here; .*",
    ),
    "another depth": (
        {"network": {"hidden": [16, 8, 5, 5]}},
        r"transfer\.weights: .* has no tensor dense4/kernel; it has dense1/kernel, .*dense3/bias; "
        r"name it in transfer\.fresh to draw it anew",
    ),
    "an unknown pattern of fresh": (
        {"fresh": ["dense1/*", "conv*"]},
        r"transfer\.fresh: 'conv\*' fits no tensor of the network; it has dense1/kernel, .*",
    ),
    "an unknown pattern of freeze": (
        {"freeze": ["dense9/*"]},
        r"transfer\.freeze: 'dense9/\*' fits no tensor of the network; .*",
    ),
    "an unknown pattern of rate_factors": (
        {"rate_factors": {"dense1": 0.1}},
        r"transfer\.rate_factors: 'dense1' fits no tensor of the network; .*",
    ),
    "nothing but a last layer": (
        {"network": {"name": "wide_and_deep", "hidden": [16, 8]}},
        r"transfer\.fresh: the last layer of this network holds all of its tensors; name those "
        r"that are to be drawn anew, of residual1/dense1/kernel, .*",
    ),
    "no weights": (
        {"weights": "absent"},
        r"transfer\.weights: absent is no run directory with a model, no model directory and no "
        "safetensors file; name one, or run the pipeline that makes it first",
    ),
}


@pytest.mark.parametrize(("transfer", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_does_not_fit_is_named(
    prepare: Callable[..., Prepared], source: RunResult, transfer: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        transferring(prepare, source, **transfer)


def test_members_that_share_weights_are_transferred_to_such(
    prepare: Callable[..., Prepared], tmp_path: Path
) -> None:
    ensemble = {"strategy": "shared", "members": 3, "form": "mini"}
    shared = run(
        Pipeline.model_validate(SOURCE | {"ensemble": ensemble, "training": {"epochs": 1}}),
        output=tmp_path,
        inline=True,
    )
    transfer = {"weights": shared.run_dir}
    same = prepare(network=NETWORK, ensemble=ensemble, transfer=transfer)
    stored = read_sources(Path(shared.run_dir))[0].tensors
    found = tensors_of(same, rows_of(same)[0])
    equal = {name for name in found if found[name].tobytes() == stored[name].tobytes()}
    assert set(found) - equal == {"dense3/kernel", "dense3/bias"}
    message = (
        r"^transfer\.weights: .*; its members share weights, so take ensemble: \{strategy: shared, "
        r"members: 3, form: mini\} and the network of its pipeline\.yaml; or name it in .* anew$"
    )
    with pytest.raises(ConfigError, match=message):
        transferring(prepare, shared, network={"hidden": [16, 9]})


def test_a_file_of_something_else_is_refused(
    prepare: Callable[..., Prepared], source: RunResult, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CorruptFileError, match=r"weights\.safetensors: not a safetensors file"):
        transferring(prepare, source, weights=str(path))


# What moves


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adamw", "weight_decay": 0.1},
        {"name": "sgd", "l2": 0.1, "clip_norm": 1.0, "max_norm": 0.5},
    ],
)
def test_frozen_tensors_keep_every_bit(
    prepare: Callable[..., Prepared], source: RunResult, optimizer: dict[str, Any]
) -> None:
    training = {"optimizer": optimizer}
    freeze = ["dense1/*", "*2/bias"]
    prepared = transferring(prepare, source, learners=2, training=training, freeze=freeze)
    result = train_from(prepared, rows_of(prepared))
    for learner, first in enumerate(rows_of(prepared)):
        before, after = tensors_of(prepared, first), tensors_of(prepared, result[learner])
        still = {name for name in before if before[name].tobytes() == after[name].tobytes()}
        assert still == {"dense1/kernel", "dense1/bias", "dense2/bias"}


def test_a_rate_factor_scales_the_step_of_its_tensors_alone(
    prepare: Callable[..., Prepared], source: RunResult
) -> None:
    training = {"batch_size": "all", "epochs": 1, "optimizer": {"name": "sgd"}}
    whole = transferring(prepare, source, training=training)
    slow = transferring(
        prepare, source, training=training, rate_factors={"*": 1.0, "dense*": 0.5, "dense2/*": 0.1}
    )
    first = tensors_of(whole, rows_of(whole)[0])
    full = tensors_of(whole, train_from(whole, rows_of(whole))[0])
    part = tensors_of(slow, train_from(slow, rows_of(slow))[0])
    for name, before in first.items():
        factor = 0.1 if name.startswith("dense2/") else 0.5
        expected = factor * (full[name] - before)
        np.testing.assert_allclose(part[name] - before, expected, rtol=1e-3, atol=1e-7)


def train_from(prepared: Prepared, rows: list[Floats]) -> list[Floats]:
    """Train every learner from a row of its own; return the rows they end with."""
    found = prepared.train(rows=rows)
    return [checkpoints[-1].state.row for checkpoints in found.values()]


def test_a_frozen_batch_norm_keeps_its_statistics_in_an_average_too(
    prepare: Callable[..., Prepared], tmp_path: Path
) -> None:
    network = {"name": "cnn", "filters": [4], "hidden": [8]}
    training = {"averaging": {"name": "ema", "decay": 0.9}}
    first = prepare(network=network, ensemble={"learners": 1})
    trained = tensors_of(first, first.train()[0][-1].state.row)
    save_file(dict(trained), tmp_path / "cnn.safetensors")
    transfer = {"weights": str(tmp_path / "cnn.safetensors"), "freeze": ["*1/*"], "fresh": []}
    prepared = prepare(
        network=network, ensemble={"learners": 1}, training=training, transfer=transfer
    )
    last = prepared.train(rows=rows_of(prepared))[0][-1].state
    for row in (last.row, last.member_row):
        for name, tensor in tensors_of(prepared, row).items():
            frozen = name.split("/")[0].endswith("1")
            assert (tensor.tobytes() == trained[name].tobytes()) == frozen


# Whole runs


def test_a_transferred_start_is_ahead_of_one_from_scratch(
    source: RunResult, tmp_path: Path
) -> None:
    few = {
        **SOURCE,
        "name": "few",
        "splits": {"train": 40, "validation": 0.15, "stop": 0.1},
        "training": {"epochs": 3, "schedule": {"name": "constant"}},
        "ensemble": {"learners": 2, "combine": {"temperature": False}},
    }
    transfer = {"weights": source.run_dir, "fresh": [], "rate_factors": {"dense1/*": 0.1}}
    results = [
        run(Pipeline.model_validate(values), output=tmp_path, inline=True)
        for values in (few, {**few, "transfer": transfer})
    ]
    scratch, transferred = (result.metrics["test/nll"] for result in results)
    assert transferred < 0.5 * scratch


@pytest.mark.parametrize("checkpoints", [1, 4])
def test_a_resume_needs_the_source_no_more(
    source: RunResult, tmp_path: Path, checkpoints: int
) -> None:
    """After one checkpoint the second learner has not begun: it starts from its kept first row."""
    weights = write_tensors(source, tmp_path)
    transfer = {"weights": str(weights), "freeze": ["dense1/*"], "rate_factors": {"dense2/*": 0.5}}
    values = {
        **SOURCE,
        "name": "target",
        "classes": None,
        "training": {"epochs": 3},
        "transfer": transfer,
        "cluster": {"stack": 1},
    }
    target = Pipeline.model_validate(values)
    whole = run(target, output=tmp_path / "whole", inline=True)
    with pytest.raises(KeyboardInterrupt):
        run(target, output=tmp_path / "part", inline=True, display=StopAt(checkpoints))
    weights.unlink()
    (stopped,) = (tmp_path / "part").iterdir()
    assert resume(stopped, inline=True).metrics == whole.metrics
    for name in ("model/members.safetensors", "predictions/test.arrow"):
        assert (stopped / name).read_bytes() == (Path(whole.run_dir) / name).read_bytes()
    kept = read_tensors(stopped / "base" / "first_rows.safetensors")
    assert sorted(kept) == ["0", "1"]


# What is recorded, and what cannot be meant


def test_the_run_records_the_weights_that_a_pattern_stood_for(
    source: RunResult, tmp_path: Path
) -> None:
    pattern = f"{Path(source.run_dir).parent}/source-*"
    settings = {**SOURCE, "name": "target", "transfer": {"weights": pattern}}
    result = run(Pipeline.model_validate(settings), output=tmp_path, inline=True)
    kept = yaml.safe_load(RunPaths(Path(result.run_dir)).pipeline.read_text())
    assert kept["transfer"]["weights"] == str(source.run_dir)


@pytest.mark.parametrize(
    ("transfer", "message"),
    [
        ({"fresh": [], "freeze": ["*"]}, "every tensor is frozen, so nothing would be trained"),
        ({"freeze": ["dense3/bias"]}, r"dense3/bias is drawn anew, so it must be trained"),
    ],
)
def test_freezing_what_must_move_is_refused(
    prepare: Callable[..., Prepared], source: RunResult, transfer: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        transferring(prepare, source, **transfer)


def test_weights_that_are_not_finite_are_named(
    prepare: Callable[..., Prepared], source: RunResult, tmp_path: Path
) -> None:
    tensors = read_sources(Path(source.run_dir))[0].tensors
    tensors["dense1/bias"] = np.full_like(tensors["dense1/bias"], np.nan)
    path = tmp_path / "nan.safetensors"
    save_file(tensors, path)
    with pytest.raises(ConfigError, match=r"dense1/bias in .* holds numbers that are not finite"):
        prepare(network=NETWORK, transfer={"weights": str(path)}, ensemble={"learners": 1})


def test_a_type_that_numpy_does_not_have_is_named(tmp_path: Path) -> None:
    header = b'{"dense1/bias":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    path = tmp_path / "half.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x00\x00")
    with pytest.raises(CorruptFileError, match="type 'BF16', which cannot be read; save them as"):
        read_sources(path)
