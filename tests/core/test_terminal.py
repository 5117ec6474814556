"""Results on standard output, all else on standard error, however the streams are."""

import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer import Exit
from typer.testing import CliRunner, Result

from ensemble_pipe.cli import app
from ensemble_pipe.cli.support import errors
from ensemble_pipe.core.terminal import prepare_streams, prints_all, say, show
from ensemble_pipe.run import display as display_module
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.run.bars import Bars
from ensemble_pipe.run.display import Lines, make_display
from ensemble_pipe.training.events import Checkpoint, Event

PIPELINE = """
training: {epochs: 1}
network: {hidden: [8]}
ensemble: {learners: 2}
tracking: {mlflow: false}
"""
TABLE = "test             accuracy"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module", autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline, rows, and a run, `run`."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "p.yaml").write_text(PIPELINE)
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    np.savez(folder / "rows.npz", image=images[:200], label=digits.target[:200])
    (folder / "t.csv").write_text("a,y\n" + "1,yes\n2,no\n" * 20)
    done = call("run", folder / "p.yaml", "--inline", "--output", folder / "runs")
    assert done.exit_code == 0, done.stderr
    (run,) = (folder / "runs").iterdir()
    (folder / "run").symlink_to(run)
    return folder


# The command, how its result begins, and what is beside it.
VERBS = [
    ("run p.yaml --inline --output more", TABLE, ["run directory", "training 2", "next:"]),
    ("resume run --inline", TABLE, ["combining and measuring", "next:"]),
    ("rates p.yaml --output r.png", "      rate      loss\n", ["the curve is in r.png"]),
    ("predict run rows.npz --output o.csv", "200 predictions of 2 members in ", ["predict --help"]),
    ("evaluate run rows.npz", "200 rows ", []),
    ("compare run --output c.csv", "Runs\n", ["the comparison is in c.csv"]),
    ("data inspect t.csv", "t.csv: 40 rows", []),
]  # fmt: skip
WITHOUT_JSON = [
    ("report run", "PATH/report.html\n", ["open it in a browser"]),
    ("data list", "name  ", ["data fetch NAME"]),
    ("data fetch iris", "\nin a pipeline:", ["there is nothing to fetch"]),
    ("schema", "{\n", []),
    ("--version", "", []),
    ("ui", "the tracking server is at http://127.0.0.1:1\n", []),
    ("sync run", "MLflow run 7 is complete\n", ["look at it:", " ui "]),
]


@pytest.mark.parametrize(("command", "begins", "beside"), [*VERBS, *WITHOUT_JSON])
def test_the_result_alone_is_on_standard_output(
    command: str, begins: str, beside: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    complete = SimpleNamespace(problem=None, left_out="", mlflow_run_id=7)
    monkeypatch.setattr(runs, "sync", lambda *_: complete)
    done = call(*command.split())
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(begins.replace("PATH", str((folder / "run").resolve())))
    assert "\x1b" not in done.output
    for words in beside:
        assert words in done.stderr
        assert words not in done.stdout
    if not beside:
        assert done.stderr == ""


@pytest.mark.parametrize(("command", "begins", "beside"), VERBS[3:])
def test_with_json_standard_output_is_one_line_and_the_text_is_beside_it(
    command: str, begins: str, beside: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = call(*command.split(), "--json")
    assert done.exit_code == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert isinstance(json.loads(line), dict)
    assert begins in done.stderr


def test_a_growth_ends_with_its_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    call("run", "p.yaml", "--inline", "--output", "grown", "--set", "ensemble.learners=1")
    (run,) = Path("grown").iterdir()
    done = call("grow", run, "--learners", "1", "--inline")
    assert done.stdout.startswith(TABLE)
    *_, last_of_table, verdict = done.stdout.splitlines()
    assert "(2 members; " in last_of_table
    assert verdict.startswith("test NLL ")
    assert "training 1 network\n" in done.stderr  # the other is trained already


def test_an_error_is_no_result() -> None:
    done = call("run", "absent.yaml", "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "error: absent.yaml: no such pipeline file\n"


def test_a_stop_is_said_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(Lines):
        def event(self, event: Event) -> None:
            if isinstance(event, Checkpoint) and event.finished and event.learner == 1:
                raise KeyboardInterrupt

    monkeypatch.chdir(folder)
    monkeypatch.setattr(display_module, "make_display", Stopping)
    done = call("run", "p.yaml", "--inline", "--output", "stopped-runs")
    assert done.exit_code == 130
    assert len(re.findall(r"\bstopped\b(?!-runs)", done.stderr)) == 1
    written = "stopping: writing the ensemble of what is trained so far; a second Ctrl-C goes"
    assert written in done.stderr
    assert done.stderr.index(written) < done.stderr.index("combining and measuring")
    assert "`ensemble-pipe resume" in done.stderr


def test_memory_that_does_not_suffice_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as ended, errors():
        np.zeros(1 << 60, np.float32)
    assert ended.value.exit_code == 1
    message = capsys.readouterr().err
    assert message.startswith("error: not enough memory (Unable to allocate 4.00 EiB")


# Streams that are closed, broken, full or narrow


@pytest.fixture
def broken() -> Iterator[io.TextIOWrapper]:
    """A stream that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    yield stream
    stream.close()  # which writes what is left


def test_nobody_reads_the_result(
    broken: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", broken)
    with pytest.raises(SystemExit) as ended:
        show("a result")
    assert ended.value.code == 1
    assert capfd.readouterr().err == ""


def test_nobody_reads_the_progress(
    broken: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", broken)
    for _ in range(3):
        say("progress")


def test_no_stream_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("progress")  # which is not to appear among results
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    prepare_streams()
    say("progress")
    show("a result")
    assert isinstance(make_display(), Lines)
    assert sys.stdin.read() == ""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left"):
            show("a result")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_is_shown_as_its_escape(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding))
    prepare_streams()
    assert prints_all() == (encoding == "utf-8")
    show("\N{GREEK SMALL LETTER ALPHA} \udcff")
    shown = content.getvalue()
    assert shown == (b"\xce\xb1 \\udcff\n" if encoding == "utf-8" else b"\\u03b1 \\udcff\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "kind", "right"),
    [(Terminal, "xterm", Bars), (Terminal, "dumb", Lines), (io.StringIO, "xterm", Lines)],
)
def test_bars_are_for_terminals_that_can_move_their_cursor(
    stream: Callable[[], io.StringIO], kind: str, right: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setenv("TERM", kind)
    assert isinstance(make_display(), right)
