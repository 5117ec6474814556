"""What a terminal would obey, what the system refuses, and what a process of its own shows."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import (
    ROWS_OF_CSV,
    predict,
    refused,
    refused_in_a_process,
    run,
    run_table,
    table_model,
    write,
)
from typer.testing import CliRunner

from ensemble_pipe.cli import app

pytestmark = pytest.mark.usefixtures("empty_folder")

# What a terminal would obey, and what would fill it

SIGNS = "\x1b]0;title\x07\x1b[2J"


def test_escape_sequences_are_shown_not_obeyed() -> None:
    rows = "".join(f"{SIGNS}{row % 3},{row % 2},1\n" for row in range(60))
    write("t.csv", f"a{SIGNS},y,b\n{rows}")
    shown = r"a\x1b]0;title\x07\x1b[2J"
    numbers = 'data.columns={"*": {kind: number}}'
    assert f"column '{shown}': '{shown[1:]}0' is not a number" in run_table("t.csv", numbers)
    assert f"its columns are: {shown}, y, b" in run_table("t.csv", "data.label=q")
    result = CliRunner().invoke(app, ["data", "inspect", "t.csv", "--label", f"a{SIGNS}"])
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert f"label '{shown}': 3 classes\n  {shown[1:]}0  20" in result.output
    assert "\x1b" not in refused("data", "inspect", f"{SIGNS}.csv")
    assert "\x1b" not in run("seed: 1", f"na{SIGNS}me=1", f"name={SIGNS}")


def test_long_names_and_values_are_cut() -> None:
    name, value = "n" * 5000, "v" * 5000
    write("t.csv", f"{name},y\n" + f"{value},0\n{value},1\n" * 30)
    assert len(run_table("t.csv", 'data.columns={"*": {kind: number}}')) < 400
    assert len(run_table("t.csv", "data.label=q")) < 400
    assert len(run_table("t.csv", f"data.ignore=[{name}]")) < 400
    write("t.csv", "a,y\n" + f"1,{value}\n2,{value}\n" * 30)
    assert len(run_table("t.csv")) < 400
    write("t.csv", f"a,b,y\n{value[:4000]}\xff,1,2\n")
    assert len(run_table("t.csv")) < 400


# What the operating system refuses


@pytest.fixture
def no_rights(empty_folder: Path) -> Iterator[None]:
    """Be nobody, whom rights bind; by the folder's own name nothing above it need be entered."""
    empty_folder.chmod(0o777)
    table_model()  # imports what it needs
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    yield
    os.seteuid(own)


@pytest.mark.usefixtures("no_rights")
@pytest.mark.parametrize(
    "closed", ["t.csv", "t.parquet", "t.npy", "t.npz", "images/a/0.png", "images/a", "images"]
)
def test_what_may_not_be_read(closed: str) -> None:
    Path("images/a").mkdir(parents=True)
    for name in ("t.csv", "t.parquet", "t.npy", "t.npz", "images/a/0.png"):
        write(name, "x")
    Path(closed).chmod(0)
    try:
        message = refused("data", "inspect", closed.split("/")[0])
        assert message == f"{closed}: cannot be read (Permission denied)"
        if closed == "t.parquet":
            assert refused("data", "inspect", "t*.parquet") == message
    finally:
        Path(closed).chmod(0o700)


@pytest.mark.usefixtures("no_rights")
@pytest.mark.parametrize("command", [
    "run X", "rates X", "resume X", "report X", "grow X --learners 1",
    "predict X t.csv --output o.csv", "evaluate model X",
])  # fmt: skip
@pytest.mark.parametrize("given", ["closed", "closed/p.yaml", "p.yaml"])
def test_what_a_command_is_given_may_not_be_read(command: str, given: str) -> None:
    write("t.csv", "a,b\n1,2\n")
    write("p.yaml", "seed: 1\n")
    Path("closed").mkdir()
    for path in ("closed", "p.yaml"):
        Path(path).chmod(0)
    try:
        message = refused(*command.replace("X", given).split())
        assert given in message
        # Whoever needs no pipeline need not read one to see that it is one.
        assert re.search("[Pp]ermission denied|no permission to read|is a pipeline file", message)
    finally:
        for path in ("closed", "p.yaml"):
            Path(path).chmod(0o700)


@pytest.mark.usefixtures("no_rights")
def test_a_folder_that_may_not_be_written_to() -> None:
    write("t.csv", "a,b\n1,2\n")
    Path("closed").mkdir(mode=0o500)
    message = predict("model", "t.csv", "closed/out.csv")
    right = "no file can be written there (Permission denied); choose another folder"
    assert message == f"closed: {right}"
    message = refused("data", "fetch", "adult", "--folder", "closed")
    assert message == f"closed/adult: {right}"


def test_a_folder_below_a_file_or_where_none_can_be_made() -> None:
    table_model()
    write("t.csv", "a,b\n1,2\n")
    assert predict("model", "t.csv", "t.csv/out.csv").startswith("t.csv: no file can be written")
    assert refused("data", "fetch", "adult", "--folder", "/proc/x").startswith(
        "/proc/x/adult: no f"
    )
    assert refused("data", "inspect", "t.csv/t.csv").startswith("t.csv/t.csv: no such file")


# In a process of its own


def test_a_wrong_pipeline_ends_a_process_before_ray_is_imported() -> None:
    Path("p.yaml").write_text("training:\n  epoch: 3\n")
    message = refused_in_a_process("run", "p.yaml")
    assert message.startswith("training.epoch: unknown key 'epoch'; did you mean 'epochs'?")


def test_a_wrong_data_file_ends_a_process_in_which_ray_starts_meanwhile() -> None:
    rules = "columns: {b: {kind: number}}"
    Path("p.yaml").write_text(f"data: {{source: table, path: t.csv, label: y, {rules}}}\n")
    write("t.csv", f"a,b,y\n{ROWS_OF_CSV}5,tall,0\n")
    message = refused_in_a_process("run", "p.yaml", "--json", while_ray_starts=True)
    assert message.startswith("t.csv: row 60 (from 0, line 62), column 'b': 'tall' is not a number")


def test_a_damaged_model_ends_a_process_before_ray_is_imported() -> None:
    path = Path(table_model()) / "members.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    write("t.csv", "a,b\n1,2\n")
    message = refused_in_a_process("predict", "model", "t.csv", "--output", "out.csv", "--json")
    assert message.startswith("model/members.safetensors: its contents do not match the sha256")
