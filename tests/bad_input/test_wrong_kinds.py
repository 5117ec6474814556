"""The wrong kind of file or folder for a command: what it is, and which command takes it."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import image_model, refused, table_model, write, write_parquet, write_training_idx
from PIL import Image

import ensemble_pipe
from ensemble_pipe.core.errors import InputError

pytestmark = pytest.mark.usefixtures("empty_folder")

# Commands by the kind of argument that they need; X is what they are given.
NEED = {
    "a pipeline file": ["run X --inline", "rates X"],
    "a run directory": ["resume X", "report X", "compare X", "sync X", "grow X --learners 1"],
    "a model": ["predict X rows.csv --output out.csv", "evaluate X rows.csv"],
    "a file or folder of rows": ["data inspect X", "init X --label y", "evaluate model X"],
}
RUN = "`ensemble-pipe run p.yaml` runs it"
RESUME = "`ensemble-pipe resume runs/a` continues it"
INSPECT = "`ensemble-pipe init {} --label COLUMN` writes a pipeline for it"
PREDICT = "`ensemble-pipe predict model INPUT --output FILE` predicts with it"


def make_all() -> None:
    """Make one of each kind."""
    table_model()
    write("rows.csv", "a,b\n1,2\n")
    write("p.yaml", "seed: 1\n")
    write("t.npz", b"PK\x03\x04")
    write("t.npy", b"\x93NUMPY")
    write("a.zip", b"PK\x03\x04more")
    write("bare", b"PAR1 and so on")
    write("program", b"\x7fELF\x00")
    write("numbers", b"1\x00\x00")
    write_parquet()
    write_training_idx()
    Image.new("L", (8, 8)).save("i.png")
    for name in ("learners", "base"):
        (Path("runs/a") / name).mkdir(parents=True)
    for name in ("manifest.json", "journal.jsonl"):
        (Path("runs/a") / name).write_text(json.dumps({}))
    Path("folder").mkdir()


# What is given, what it is, and what is advised.
GIVEN = {
    "a pipeline file": [("p.yaml", "a pipeline file", RUN)],
    "a run directory": [
        ("runs/a", "a run directory", RESUME),
        ("runs", "a folder of run directories", "name one of them, such as runs/a"),
        ("runs/a/journal.jsonl", "a JSON file", "it belongs to the run directory "),
        ("runs/a/learners", "a folder", "it belongs to the run directory "),
    ],
    "a model": [("model", "a model directory", PREDICT)],
    "a file or folder of rows": [
        *(
            (name, "a data file", INSPECT.format(name))
            for name in ("rows.csv", "t.parquet", "t.npz", "t.npy", "i.png")
        ),
        ("bare", "a .parquet file by its contents", "let its name end with .parquet"),
    ],
    "nothing of this program": [
        ("a.zip", "a zip archive", ""),
        ("program", "a program", ""),
        ("numbers", "a binary file", ""),
    ],
}
# Of rows other messages tell: which format, which images.
CASES = [
    (command, *given)
    for wanted, commands in NEED.items()
    for kind, found in GIVEN.items()
    for command in commands
    for given in found
    if kind != wanted
    and not (wanted == "a model" and given[0] == "runs/a")
    and not (wanted.startswith("a file") and (kind.startswith("nothing") or given[1] == "a folder"))
]


def test_every_command_says_what_it_was_given() -> None:
    make_all()
    for command, given, kind, advice in CASES:
        message = refused(*command.replace("X", given).split())
        assert message.startswith(f"{given}: is {kind}"), (command, message)
        assert advice in message, (command, message)
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize("command", [c for commands in NEED.values() for c in commands])
@pytest.mark.parametrize("given", ["absent", "folder", "folder/absent"])
def test_what_is_not_there_or_is_empty(command: str, given: str) -> None:
    table_model()
    write("rows.csv", "a,b\n1,2\n")
    Path("folder").mkdir()
    message = refused(*command.replace("X", given).split())
    assert message.startswith(f"{given}: ")
    assert "Errno" not in message


def test_a_run_without_a_model_yet_says_how_to_finish_it() -> None:
    make_all()
    message = refused("predict", "runs/a", "rows.csv", "--output", "out.csv")
    assert message.startswith("runs/a: this run has no model yet; finish it with `ensemble-pipe r")


def test_json_that_is_a_pipeline_runs_and_other_json_is_told() -> None:
    write("p.json", json.dumps({"seed": -1}))
    assert refused("run", "p.json").startswith("seed: input should be greater than or equal to 0")
    write("p.json", "[1, 2]")
    assert refused("run", "p.json") == (
        "p.json: the file is empty or holds no keys; see pipelines/digits.yaml (it holds a list)"
    )


def test_a_data_file_as_a_pipeline_is_not_read_as_one() -> None:
    Path("large.csv").touch()
    with open("large.csv", "r+b") as stream:
        stream.truncate(1 << 40)
    assert "is a data file, not a pipeline file" in refused("run", "large.csv")


def test_run_directories_are_no_data_and_data_files_are_no_weights() -> None:
    make_all()
    for kind in ("{source: image_folder, folder: X}", "{source: table, path: X, label: y}"):
        write("p.yaml", f"data: {kind}\n".replace("X", "runs/a"))
        assert refused("run", "p.yaml").startswith("runs/a: is a run directory, not a file or fol")
    write("p.yaml", "transfer: {weights: t.parquet}\n")
    message = refused("run", "p.yaml")
    assert message.startswith("transfer.weights: t.parquet is a data file, no weights; `ensemble")


def test_an_output_of_no_known_format() -> None:
    table_model()
    write("p.yaml", "seed: 1\n")
    Path("folder.png").mkdir()
    advice = "choose such an ending"
    assert refused("rates", "p.yaml", "--output", "r.txt").endswith(f"written as .png; {advice}")
    assert refused("rates", "p.yaml", "--output", "folder.png").endswith("a folder; name a file")


def test_the_ui_wants_the_folder_of_the_runs() -> None:
    make_all()
    assert refused("ui", "--output", "runs/a").endswith("name its folder, --output runs")
    assert refused("ui", "--output", "p.yaml").endswith("name the folder of the run directories")
    write("mlflow.db", b"SQLite format 3\x00")
    assert refused("ui", "--output", "nowhere").startswith("nowhere: no such folder; name the fol")


def test_no_run_is_made_within_a_run() -> None:
    make_all()
    for command in ("run p.yaml --inline", "search p.yaml --set search.space=table"):
        message = refused(*command.split(), "--output", "runs/a")
        assert message.endswith("in which no other run is made; name its folder, --output runs")


def test_a_data_file_as_a_pipeline_is_trained_on_with_a_label() -> None:
    make_all()
    message = refused("run", "rows.csv")
    assert message.endswith("; `ensemble-pipe run rows.csv --label COLUMN` trains on it at once")


def test_an_option_that_is_missing_has_an_example() -> None:
    make_all()
    assert refused("grow", "runs/a") == "--learners is missing; give it, such as --learners 4"
    message = refused("predict", "model", "rows.csv")
    assert message == "--output is missing; give it, such as --output predictions.csv"


def test_inputs_are_checked_before_outputs() -> None:
    make_all()
    write("out.txt", "mine")
    assert refused("init", "absent.csv", "-o", "p.yaml").startswith("absent.csv: no such file")
    message = refused("predict", "absent", "rows.csv", "--output", "out.txt")
    assert message.startswith("absent: ")
    assert refused("compare", "absent", "--output", "out.txt").startswith("absent: ")


def test_the_command_that_is_advised_can_be_pasted_into_a_shell() -> None:
    Path("my runs").mkdir()
    write("my runs/it's.yaml", "seed: 1\n")
    message = refused("resume", "my runs/it's.yaml")
    command = message.split("`")[1]
    assert shlex.split(command) == ["ensemble-pipe", "run", "my runs/it's.yaml"]


def test_an_image_model_given_a_pipeline() -> None:
    image_model()
    write("p.yaml", "seed: 1\n")
    message = refused("predict", "model", "p.yaml", "--output", "out.csv")
    assert message == f"p.yaml: is a pipeline file; {RUN}"


@pytest.mark.parametrize("verb", [ensemble_pipe.run, ensemble_pipe.search])
def test_in_python_a_mapping_is_no_pipeline(verb: Callable[..., object]) -> None:
    with pytest.raises(InputError, match=r"not a dict; .*model_validate"):
        verb({"seed": 1}, inline=True)
    assert not Path("runs").exists()
