"""Runs on a disk that fills up: at each file that a run writes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path

from fault_cases import SAME, Case
from fault_runs import no_pictures, resume_here, run_dir_in, sum_of, write_pipeline

PAGE = 4096
ENOUGH = 1 << 28
_processes = get_context("forkserver")
_processes.set_forkserver_preload(["ensemble_pipe.run.pipeline", "ensemble_pipe.run.stages"])


@contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """Mount a file system of some bytes at a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def enlarge(folder: Path) -> None:
    options = f"remount,size={ENOUGH}"
    subprocess.run(["mount", "-o", options, folder], check=True)


class Disks:
    """Runs on disks of different sizes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pipeline = write_pipeline(folder)

    @cached_property
    def _undisturbed(self) -> tuple[str, list[Path], list[int]]:
        """The sum of what the undisturbed run comes to; its files in order; their pages so far."""
        folder = self._folder / "undisturbed"
        with disk(folder, ENOUGH):
            assert self._command(folder) == (0, "")
            root = run_dir_in(folder)
            files = [path for path in root.rglob("*") if path.is_file() and path.stat().st_size]
            files.sort(key=lambda path: path.stat().st_mtime_ns)
            pages, so_far = [], 0
            for path in files:
                so_far += -(-path.stat().st_size // PAGE)
                pages.append(so_far)
            return sum_of(root), [path.relative_to(root) for path in files], pages

    def sizes(self) -> dict[str, int]:
        """Return sizes of disks in pages, by a file whose last page they have no room for."""
        _, files, pages = self._undisturbed
        return {str(path): max(1, so_far - 1) for path, so_far in zip(files, pages, strict=True)}

    def full_at(self, name: str, pages: int) -> str:
        """Run on a disk of some pages; it must end with a message, and go on on a larger one."""
        expected, folder = self._undisturbed[0], self._folder / f"disk {name.replace('/', ' ')}"
        with disk(folder, pages * PAGE):
            status, errors = self._command(folder)
            assert "Traceback" not in errors, errors
            if status == 0:
                assert sum_of(run_dir_in(folder)) == expected
                told = re.search(r"could not be written.*", errors)
                return f"{SAME}, and a message" if told else SAME
            last = errors.strip().splitlines()[-1]
            assert status in (1, 2), f"status {status}: {last}"
            assert str(folder) in last, last
            assert "space" in last, last
            enlarge(folder)
            if not list(folder.glob("runs/*/manifest.json")):
                assert list(folder.glob("runs/*")) == [], "a run directory that is none was left"
                return "a message, and nothing is left"
            assert "ensemble-pipe resume" in last, last
            resume_here(run_dir_in(folder), expected)
            return f"{SAME} after the message and `resume`"

    def _command(self, folder: Path) -> tuple[int, str]:
        """Run the pipeline by the command; return its status, and what it says of what is wrong."""
        errors = self._folder / "errors"
        process = _processes.Process(target=_run, args=(self._pipeline, folder, errors))
        process.start()
        process.join()
        lines = errors.read_text().splitlines()
        wrong = [line for line in lines if re.match(r"error|warning|Traceback|stopped|the ", line)]
        return process.exitcode or 0, "\n".join(wrong)


def _run(pipeline: Path, folder: Path, errors: Path) -> None:
    """Run a pipeline by the command, in this process."""
    from ensemble_pipe.cli import app

    os.chdir(folder)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.argv = ["ensemble-pipe", "run", str(pipeline), "--inline"]
    with no_pictures():
        app()


def full(folder: Path, small: bool) -> Iterator[Case]:
    disks = Disks(folder)
    sizes = list(disks.sizes().items())
    for name, pages in sizes[:: max(1, len(sizes) // 3)] if small else sizes:
        yield Case(name, partial(disks.full_at, name, pages))
