"""The Tab key in real shells: words that fit, and nothing in a help text is executed."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ensemble_pipe.cli import VERBS

NAMES = {command.__name__ for verbs in VERBS.values() for command, _ in verbs} | {"data"}
ASK = """
source script
tab() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _ensemble_pipe_completion "$1"
    echo "${COMPREPLY[*]}"
}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home directory in which `ensemble-pipe` is on the path, and `up` a trap."""
    for name, line in (
        ("ensemble-pipe", f'exec "{sys.executable}" -m ensemble_pipe "$@"'),
        ("up", "touch executed"),
    ):
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)
    (tmp_path / "rows.csv").write_text("x\n")
    return tmp_path


def environment(home: Path, **others: str) -> dict[str, str]:
    paths = [str(path) for path in map(Path, sys.path) if path.is_dir()]
    path = f"{home}:{os.environ['PATH']}"
    own = {"HOME": str(home), "ZDOTDIR": str(home), "PATH": path, "TERM": "dumb"}
    return {**os.environ, **own, "PYTHONPATH": ":".join(paths), **others}


def script_of(home: Path, shell: str) -> None:
    """Write the script that `--show-completion` prints in a shell."""
    asked = environment(home, _ENSEMBLE_PIPE_COMPLETE=f"source_{shell}")
    done = subprocess.run(
        ["ensemble-pipe"], env=asked, cwd=home, capture_output=True, text=True, check=True
    )
    (home / "script").write_text(done.stdout)


def completed_by_bash(home: Path, *questions: str) -> list[list[str]]:
    asked = ASK + "".join(f"tab {question}\n" for question in questions)
    done = subprocess.run(
        ["bash", "--norc", "-c", asked], env=environment(home), cwd=home, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


def test_bash_completes_verbs_options_and_choices(home: Path) -> None:
    script_of(home, "bash")
    verbs, options, choices, nested, files = completed_by_bash(
        home,
        "ensemble-pipe --version ''",  # which is not printed then
        "ensemble-pipe predict --",
        "ensemble-pipe predict --uncertainty ''",
        "ensemble-pipe data ''",
        "ensemble-pipe predict ro",
    )
    assert set(verbs) == NAMES
    assert {"--keep", "--uncertainty", "--output", "--quiet", "--help"} <= set(options)
    assert choices == ["one", "all"]
    assert nested == ["list", "fetch", "inspect"]
    assert files == []  # so bash completes names of files
    assert "complete -o default" in (home / "script").read_text()


@contextmanager
def zsh(home: Path) -> Iterator[int]:
    """Give the terminal of an interactive zsh that has read the script."""
    setup = 'autoload -Uz compinit; compinit -u -D\nPS1="READY> "\nsource script\n'
    (home / ".zshrc").write_text(setup)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(home)
        os.execvpe("zsh", ["zsh", "-i"], environment(home))
    try:
        yield terminal
    finally:
        psutil.Process(process).kill()
        os.waitpid(process, 0)
        os.close(terminal)


def wait_for(terminal: int, pattern: str, seconds: float = 30.0) -> str:
    """Return what a terminal shows until a pattern is in it."""
    seen, end = "", time.monotonic() + seconds
    while not re.search(pattern, seen):
        assert time.monotonic() < end, seen
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 1 << 16).decode(errors="replace")
    return seen


@pytest.mark.slow  # needs zsh, which few machines have
def test_zsh_completes_the_same_and_executes_no_help_text(home: Path) -> None:
    script_of(home, "zsh")
    with zsh(home) as terminal:
        wait_for(terminal, "READY> ")
        for typed, answer in (
            ("ensemble-pipe pred\t", "predict "),
            ("ensemble-pipe run --\t", "--time-limit +-- Return within this time"),
            ("ensemble-pipe predict ro\t", r"rows\.csv"),
        ):
            os.write(terminal, typed.encode())
            wait_for(terminal, answer)
            os.write(terminal, b"\x15")
    # The help of --address names `up` in back quotes, which would be a command.
    assert not (home / "executed").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_installing_twice_keeps_what_the_user_has_and_adds_one_line(home: Path, shell: str) -> None:
    own = "alias ll='ls -l'\nzstyle ':completion:*' menu no\n"
    settings = home / f".{shell}rc"
    settings.write_text(own)
    asked = environment(home)
    called = f"install(shell={shell!r}, prog_name='ensemble-pipe')"
    code = f"from typer.completion import install; {called}"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env=asked, cwd=home, check=True)
    text = settings.read_text()
    assert text.startswith(own)
    assert len(text[len(own) :].split("\n")) - text[len(own) :].split("\n").count("") == 1
