"""What processes hold of memory, from Linux's /proc: private, shared, and of one file."""

import ctypes
import mmap
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Memory:
    """Of one process, in bytes.

    Attributes:
        private: pages that no other process has, without those of the file.
        file_pss: its share of the pages of the file, each divided by the processes that map it.
    """

    private: int
    file_pss: int


def memory_of(process: int, file: str) -> Memory:
    """Return what a process holds; `file` is the end of the path of a mapped file."""
    private = file_pss = 0
    inside = False
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        name, *fields = line.split()
        if not name.endswith(":"):
            inside = line.endswith(file)
        elif name in ("Private_Clean:", "Private_Dirty:") and not inside:
            private += 1024 * int(fields[0])
        elif name == "Pss:" and inside:
            file_pss += 1024 * int(fields[0])
    return Memory(private, file_pss)


def cached_bytes(path: Path) -> int:
    """Return how much of a file lies in the page cache, whoever maps it (mincore(2))."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    resident = (ctypes.c_ubyte * pages)()
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), size, mmap.MAP_PRIVATE) as mapped:
        start = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(mapped)))
        found = ctypes.CDLL(None, use_errno=True).mincore(start, ctypes.c_size_t(size), resident)
        if found:
            raise OSError(ctypes.get_errno(), "mincore failed")
    return sum(page & 1 for page in resident) * mmap.PAGESIZE


def family(process: int) -> list[psutil.Process]:
    """Return a process and all its descendants that are still there."""
    parent = psutil.Process(process)
    return [parent, *parent.children(recursive=True)]


def private_bytes(process: int) -> int:
    """Return the private memory of a process that a file does not stand behind."""
    found = 0
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        name, *fields = line.split()
        if name in ("Private_Dirty:", "Swap:"):
            found += 1024 * int(fields[0])
    return found
