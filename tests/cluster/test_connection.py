"""Starting Ray and finding it: each failure is one message, and signals stay as they were."""

import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
import ray
from ray._private import worker

from ensemble_pipe.cluster import connection
from ensemble_pipe.cluster.liveness import Liveness, Peer
from ensemble_pipe.core.errors import ClusterError

TIMED_OUT = Exception("The current node timed out during startup. This could happen because ...")


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that has each start of Ray end in the next of some errors."""

    def make(*endings: BaseException | None) -> list[str]:
        tried: list[str] = []

        def init(address: str, **_: Any) -> None:
            ending = endings[len(tried)]
            tried.append(address)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as Ray changes it
            if ending is not None:
                raise ending

        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray, "shutdown", lambda: None)
        monkeypatch.setattr(ray, "init", init)
        return tried

    return make


def refused_token() -> Exception:
    error = ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")
    error.__cause__ = ray.exceptions.AuthenticationError("InvalidAuthToken")
    return error


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("local", OSError(28, "No space left on device"), r"No space left.*`--inline`"),
        ("local", OSError("AF_UNIX path length cannot exceed 107 bytes"), r"RAY_TMPDIR.*--inline"),
        ("local", PermissionError(13, "Permission denied"), r"Permission denied.*`--inline`"),
        ("local", RuntimeError("Address already in use"), r"already in use.*`--inline`"),
        ("local", ValueError("a wrong RAY_ variable"), r"a wrong RAY_ variable.*`--inline`"),
        ("local", AssertionError(), r"AssertionError.*`--inline`"),
        ("local", SystemExit(1), r"SystemExit: 1.*`--inline`"),
        ("auto", ConnectionError("Could not find any"), "--address auto: no Ray cluster there"),
        ("auto", RuntimeError("Version mismatch: 2.1 here\nx"), r"Version mismatch: 2\.1 here\)"),
        ("auto", refused_token(), "does not let this process in.*docs/cluster.md"),
        ("auto", TIMED_OUT, "timed out during startup"),
        ("auto", ray.exceptions.RaySystemError("gone"), "System error: gone"),
    ],
)
def test_every_failure_is_one_message_with_the_way_out(
    starts: Callable[..., list[str]], address: str, error: BaseException, message: str
) -> None:
    tried = starts(error)
    with pytest.raises(ClusterError, match=message) as told:
        connection.connect(address)
    assert tried == [address]
    assert "\n" not in str(told.value)


def test_a_start_that_takes_too_long_is_tried_again(starts: Callable[..., list[str]]) -> None:
    tried = starts(TIMED_OUT, RuntimeError("Timed out waiting for file /tmp/ray/x_port"), None)
    assert connection.connect("local")
    assert len(tried) == 3
    tried = starts(TIMED_OUT, TIMED_OUT, TIMED_OUT)
    with pytest.raises(ClusterError, match=r"timed out during startup.*`--inline`"):
        connection.connect("local")
    assert len(tried) == 3


def test_a_raylet_that_hangs_is_ended_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = threading.Event()
    monkeypatch.setattr(connection, "SHUTDOWN_TIMEOUT_S", 0.05)
    monkeypatch.setattr(connection, "_kill_ray", lambda _: killed.set())
    monkeypatch.setattr(ray, "shutdown", lambda: killed.wait(10))
    connection.disconnect()
    assert killed.is_set()


def test_ray_prints_nothing_of_its_processes(
    starts: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts(None)
    heard: list[str] = []
    monkeypatch.setattr(worker, "listen_error_messages", lambda *_: heard.append("raylet died"))
    monkeypatch.setattr(ray, "init", lambda **_: worker.listen_error_messages(None, None))
    assert connection.connect("local")
    assert heard == []
    worker.listen_error_messages(None, None)
    assert heard == ["raylet died"]


def test_signals_are_handled_as_before(starts: Callable[..., list[str]]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        received: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
        starts(None, SystemExit(signal.SIGTERM))
        connection.connect("local")
        connection.connect("local")  # a SIGTERM that Ray's own handler took
        assert received == [signal.SIGTERM]
        signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("address", ["nowhere.invalid:6379", "127.0.0.1:99999", "a..b:1"])
def test_an_address_that_is_none_is_refused_in_seconds(
    starts: Callable[..., list[str]], address: str
) -> None:
    starts()
    with pytest.raises(ClusterError, match="nothing answers there"):
        connection.connect(address)


def test_a_peer_lives_as_long_as_it_listens() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    address = server.getsockname()
    peer = Peer(*address)
    assert peer.lives()
    accepted, _ = server.accept()
    accepted.sendall(b"hello")
    assert peer.lives()
    accepted.close()  # as servers do with a connection that says nothing
    assert peer.lives()
    patient = Peer(address[0], address[1], grace_s=60.0)
    with socket.create_server(("127.0.0.1", 0)) as another:
        whole = Liveness(another.getsockname(), address)
        server.close()
        assert not peer.lives()
        assert patient.lives()
        whole.check()  # a head may come back
        another.close()
        with pytest.raises(ClusterError, match=r"raylet is gone.*resume.*--inline"):
            whole.check()
        whole.close()
    peer.close()
