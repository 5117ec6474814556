"""The command line as a person meets it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ensemble_pipe import __version__
from ensemble_pipe.cli import app

VERBS = [
    "run", "init", "check", "search", "refine", "resume", "predict", "evaluate", "report",
    "compare", "promote", "sync", "ui", "schema",
]  # fmt: skip


def invoke(*arguments: object) -> "subprocess.CompletedProcess[str]":
    code = "from ensemble_pipe.cli import app; app()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_help_answers_at_once() -> None:
    def seconds() -> float:
        began = time.monotonic()
        assert invoke("--help").returncode == 0
        return time.monotonic() - began

    assert min(seconds() for _ in range(5)) < 0.5


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    done = CliRunner().invoke(app, [verb, "--help"])
    assert done.exit_code == 0
    assert f"Example: ensemble-pipe {verb}" in done.output


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == __version__


def test_the_schema_is_json() -> None:
    done = CliRunner().invoke(app, ["schema"])
    assert json.loads(done.stdout)["title"] == "Pipeline"


def test_a_run_prints_a_table_the_next_commands_and_one_json_line(tmp_path: Path) -> None:
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text("training: {epochs: 2}\ntracking: {mlflow: false}\n")
    settings = ["--set", "ensemble.learners=2", "--set", "network.hidden=[8]"]
    output = tmp_path / "runs"
    done = invoke("run", pipeline, "--output", output, "--inline", "--json", *settings)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    result = json.loads(done.stdout)
    assert set(result) >= {
        "run_id", "run_dir", "model_uri", "mlflow_run_id", "metrics", "seconds", "members",
    }  # fmt: skip
    assert result["members"] == 2
    assert {"test/accuracy", "member_mean/test/accuracy", "member_best/test/nll"} <= set(
        result["metrics"]
    )
    for row in ("mean member", "best member", "ensemble"):
        assert row in done.stderr
    assert f"ensemble-pipe predict {result['run_dir']} INPUT" in done.stderr
    assert f"ensemble-pipe ui --output {output}" in done.stderr
    assert "learner 1  epoch 2/2" in done.stderr
    assert "\x1b[" not in done.stderr


def test_a_usage_error_ends_with_status_2() -> None:
    assert invoke("run").returncode == 2
    assert invoke("launch").returncode == 2


def test_what_this_user_may_not_write_ends_with_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from typer import Exit

    from ensemble_pipe.cli.support import errors

    with pytest.raises(Exit) as stopped, errors():
        raise PermissionError(13, "Permission denied", "runs/a/report.html")
    assert stopped.value.exit_code == 2
    assert "runs/a/report.html: no permission to read or write it" in capsys.readouterr().err
