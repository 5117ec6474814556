"""Downloads from a server on loopback that breaks off, lies, stalls and redirects."""

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble_pipe.core.errors import CorruptFileError, EnsemblePipeError
from ensemble_pipe.data.public.catalogue import PublicSet, RemoteFile
from ensemble_pipe.data.public.download import Patience, download
from ensemble_pipe.data.public.fetch import DOWNLOADS, data_section, fetch, is_there

CONTENT = np.random.default_rng(0).bytes(3_000_000)
HASTY = Patience(timeout_s=5.0, waits_s=(0.0, 0.0))


@dataclass
class Host:
    """What the server does, and what it was asked.

    Attributes:
        content: what it sends.
        whole_only: whether it knows no ranges.
        breaks: for each of its first answers, after how many bytes it breaks off.
        stalls_s: before the first answer.
        statuses: of its first answers.
        asked: the Range header of each request.
    """

    content: bytes = CONTENT
    whole_only: bool = False
    breaks: list[int] = field(default_factory=list)
    stalls_s: float = 0.0
    statuses: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def file(self, **changes: Any) -> RemoteFile:
        sum_ = hashlib.sha256(CONTENT).hexdigest()
        return replace(RemoteFile("f.bin", f"{self.url}/f.bin", len(CONTENT), sum_), **changes)


class Handler(BaseHTTPRequestHandler):
    host: Host

    def do_GET(self) -> None:
        host = self.host
        if self.path == "/moved":
            return self._answer(302, Location=f"{host.url}/f.bin")
        if self.path == "/elsewhere":
            return self._answer(302, Location="ftp://127.0.0.1/f.bin")
        asked = self.headers["Range"]
        host.asked.append(asked)
        time.sleep(host.stalls_s)
        host.stalls_s = 0.0
        if host.statuses:
            return self._answer(host.statuses.pop(0))
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if host.whole_only or not asked:
            first = 0
            self.send_response(200)
        else:
            self.send_response(206)
            whole = len(host.content)
            self.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
        self.send_header("Content-Length", str(len(host.content) - first))
        self.end_headers()
        last = first + host.breaks.pop(0) if host.breaks else None
        self.wfile.write(host.content[first:last])
        return None

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return None


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    server = Server(("127.0.0.1", 0), type("H", (Handler,), {"host": host}))
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield host
    server.shutdown()
    thread.join()
    server.server_close()


def quiet(*_: object) -> None:
    return None


def test_a_file_comes_whole_and_leaves_no_part(host: Host, tmp_path: Path) -> None:
    told: list[int] = []
    path = download(host.file(), tmp_path / "new", lambda done, _: told.append(done), HASTY)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["f.bin"]
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)
    download(host.file(), tmp_path / "new", quiet, HASTY)
    assert host.asked == [None]


def test_it_goes_on_where_it_was_killed(host: Host, tmp_path: Path) -> None:
    def kill(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(host.file(), tmp_path, kill, HASTY)
    have = (tmp_path / "f.bin.part").stat().st_size
    assert len(CONTENT) // 2 < have < len(CONTENT)
    assert download(host.file(), tmp_path, quiet, HASTY).read_bytes() == CONTENT
    assert host.asked == [None, f"bytes={have}-"]


def test_it_goes_on_where_the_host_broke_off(host: Host, tmp_path: Path) -> None:
    host.breaks = [1_000_000, 700_000]
    assert download(host.file(), tmp_path, quiet, HASTY).read_bytes() == CONTENT
    assert host.asked == [None, "bytes=1000000-", "bytes=1700000-"]


def test_it_begins_anew_where_the_host_knows_no_ranges(host: Host, tmp_path: Path) -> None:
    host.breaks, host.whole_only = [1_000_000], True
    assert download(host.file(), tmp_path, quiet, HASTY).read_bytes() == CONTENT


@pytest.mark.parametrize("statuses", [[503], [500, 429], [416]])
def test_a_passing_refusal_is_tried_again(host: Host, tmp_path: Path, statuses: list[int]) -> None:
    host.statuses = statuses
    assert download(host.file(), tmp_path, quiet, HASTY).read_bytes() == CONTENT


def test_a_silent_host_is_tried_again(host: Host, tmp_path: Path) -> None:
    host.stalls_s = 0.6
    hasty = Patience(timeout_s=0.2, waits_s=(0.6,))
    assert download(host.file(), tmp_path, quiet, hasty).read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away(host: Host, tmp_path: Path) -> None:
    (tmp_path / "f.bin.part").write_bytes(bytes(len(CONTENT) + 1))
    assert download(host.file(), tmp_path, quiet, HASTY).read_bytes() == CONTENT


def test_a_redirect_is_followed_to_http_alone(host: Host, tmp_path: Path) -> None:
    moved = host.file(url=f"{host.url}/moved")
    assert download(moved, tmp_path, quiet, HASTY).read_bytes() == CONTENT
    with pytest.raises(EnsemblePipeError, match="ftp"):
        download(host.file(url=f"{host.url}/elsewhere"), tmp_path / "b", quiet, HASTY)


def test_a_wrong_sum_is_named_and_the_part_deleted(host: Host, tmp_path: Path) -> None:
    host.content = CONTENT[:-1] + b"\0"
    found = hashlib.sha256(host.content).hexdigest()
    with pytest.raises(CorruptFileError) as caught:
        download(host.file(), tmp_path, quiet, HASTY)
    for text in (f"{host.url}/f.bin", host.file().sha256, found):
        assert text in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_more_is_taken_than_was_stated(host: Host, tmp_path: Path) -> None:
    host.content = CONTENT * 20
    told: list[int] = []
    with pytest.raises(CorruptFileError, match="should have 3000000 bytes, but more are sent"):
        download(host.file(), tmp_path, lambda done, _: told.append(done), HASTY)
    assert max(told) <= len(CONTENT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("statuses", "tries", "why"), [
    ([404], 1, "404 Not Found"), ([503] * 9, 3, "503 Service Unavailable"),
])  # fmt: skip
def test_a_lasting_refusal_says_what_to_do(
    host: Host, tmp_path: Path, statuses: list[int], tries: int, why: str
) -> None:
    host.statuses = statuses
    with pytest.raises(EnsemblePipeError) as caught:
        download(host.file(), tmp_path, quiet, HASTY)
    wanted = (
        host.url.removeprefix("http://"),
        why,
        f"--output {tmp_path}/f.bin",
        host.file().sha256,
    )
    for text in wanted:
        assert text in str(caught.value)
    assert len(host.asked) == tries


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/f.bin", "http://no.such.host.invalid/f.bin"])
def test_offline_there_is_one_message(tmp_path: Path, url: str) -> None:
    with pytest.raises(EnsemblePipeError, match=r"cannot be fetched .*\n  curl --location"):
        download(RemoteFile("f.bin", url, 1, "0" * 64), tmp_path, quiet, HASTY)


def test_a_file_brought_by_hand_is_taken_if_it_is_the_right_one(tmp_path: Path) -> None:
    offline = Host(url="http://127.0.0.1:1").file()
    (tmp_path / "f.bin").write_bytes(CONTENT)
    assert download(offline, tmp_path, quiet, HASTY).read_bytes() == CONTENT
    (tmp_path / "f.bin").write_bytes(b"another")
    with pytest.raises(CorruptFileError, match=r"f\.bin: is not .* remove it"):
        download(offline, tmp_path, quiet, HASTY)


# Sets


def letters(host: Host, rows: int = 16_010) -> PublicSet:
    lines = (f"{'ABC'[row % 3]}," + ",".join([str(row % 16)] * 16) for row in range(rows))
    host.content = ("\n".join(lines) + "\n").encode()
    sum_ = hashlib.sha256(host.content).hexdigest()
    name = "letter-recognition.data"
    file = RemoteFile(name, f"{host.url}/{name}", len(host.content), sum_)
    return PublicSet("letter", "letters", (1, 1), "CC", (file,), "here", "letter", label="letter")


def test_a_set_is_fetched_once(host: Host, tmp_path: Path) -> None:
    entry, said = letters(host), list[str]()
    assert not is_there(entry, tmp_path)
    assert fetch(entry, tmp_path, quiet, said.append, HASTY)
    assert is_there(entry, tmp_path)
    assert not fetch(entry, tmp_path, quiet, said.append, HASTY)
    assert len(host.asked) == 1
    assert said == []
    assert data_section(entry, tmp_path)["data"] == {
        "source": "table",
        "path": f"{tmp_path}/letter/train.parquet",
        "test_path": f"{tmp_path}/letter/test.parquet",
        "label": "letter",
    }
    assert [file.name for file in (tmp_path / "letter" / DOWNLOADS).iterdir()] == ["lock"]


@pytest.mark.parametrize("damage", ["change", "delete", "manifest"])
def test_a_damaged_set_is_fetched_again(host: Host, tmp_path: Path, damage: str) -> None:
    entry, said = letters(host), list[str]()
    fetch(entry, tmp_path, quiet, quiet, HASTY)
    path = tmp_path / "letter" / ("manifest.json" if damage == "manifest" else "train.parquet")
    right = path.read_bytes()
    path.unlink()
    if damage != "delete":
        path.write_bytes(b'{"downloads": {}, "files": []}')
    assert fetch(entry, tmp_path, quiet, said.append, HASTY)
    assert path.name in said[0]
    assert path.read_bytes() == right


def test_two_that_fetch_at_once_fetch_once(host: Host, tmp_path: Path) -> None:
    entry, said, done = letters(host), list[str](), list[bool]()
    host.stalls_s = 0.3

    def run() -> None:
        done.append(fetch(entry, tmp_path, quiet, said.append, HASTY))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, False, True]
    assert len(host.asked) == 1
    assert all("waiting for it" in text for text in said)
    assert len(said) == 2
