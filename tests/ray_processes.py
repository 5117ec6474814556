"""Processes below one that tests look at or kill: what Ray starts, by the titles that it gives."""

import psutil


def processes_below(process: int | None, title: str) -> list[psutil.Process]:
    """Return those below a process (None: this one) whose command line holds `title`."""
    found = psutil.Process(process).children(recursive=True)
    return [child for child in found if title in _command_line(child)]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has ended meanwhile, or is a zombie
        return ""
