"""Connection to Ray, started locally or found at an address, with clear errors where that fails."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import psutil
import ray
from ray._private import node, ray_constants, services, utils, worker
from ray._private.authentication.authentication_token_setup import (
    maybe_enable_token_auth_if_token_available,
)
from ray._raylet import GcsClient  # type: ignore[attr-defined]

from ensemble_pipe.cluster.liveness import Liveness
from ensemble_pipe.core.errors import ClusterError
from ensemble_pipe.core.interruption import preserve_handlers

CONNECT_TIMEOUT_S = 10.0
# A busy machine may take longer than Ray waits.
STARTS = 3
# Each try to find a cluster's head takes 46 s.
FINDS = 2
# Ray waits without end for a raylet that does not answer, and no signal ends that.
SHUTDOWN_TIMEOUT_S = 20.0
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
INLINE = "`--inline` does without Ray"
# An autoscaler, a log monitor and a dashboard: half of a start's time, for nothing that is used.
NODE_TIMEOUT_S = 30.0
NODE_EVERY_S = 0.05
NEEDLESS = ("start_monitor", "start_log_monitor", "start_api_server")


class StartAbandonedError(BaseException):
    """The start of Ray was given up, since nobody waits for it any more."""


def connect(address: str, abandoned: Callable[[], bool] = lambda: False) -> bool:
    """Connect to Ray; return False where this process was connected already.

    Ray's processes end with the thread that starts them: the kernel sees to that.

    Args:
        address: "local" starts a cluster that only this machine can reach; "auto" or HOST:PORT
            joins an existing one.
        abandoned: whether a start that is under way is given up.

    Raises:
        ClusterError: Ray cannot be started, or no cluster at the address accepts the connection.
        StartAbandonedError: it was given up; its processes have ended.
    """
    if is_connected():
        return False
    _require_listener(address)
    # No usage report, and no stack dump of a worker at a signal that ends a run in order.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")
    for left in reversed(range(STARTS if address == "local" else 1)):
        before = set(psutil.Process().children())
        try:
            _init(address, abandoned)
            return True
        except Exception as error:  # of any kind: Ray raises them all
            _give_up_start(before)
            if not (left and "timed out" in str(error).lower()):
                raise ClusterError(_refusal(address, error)) from error
        except BaseException:
            _give_up_start(before)
            raise
    raise AssertionError("the last start ends the loop")


def is_connected() -> bool:
    """Return whether this process is connected to Ray."""
    return bool(ray.is_initialized())


def use_token() -> None:
    """Let this process show the token that a local Ray asks for, where there is one."""
    logging.getLogger("ray").setLevel(logging.ERROR)  # it warns that the token is asked for
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def disconnect() -> None:
    """Disconnect; a cluster started by this process is shut down, by force if necessary."""
    force = threading.Timer(SHUTDOWN_TIMEOUT_S, lambda: _kill_ray(psutil.Process().children()))
    force.daemon = True
    force.start()
    try:
        with preserve_handlers():
            ray.shutdown()
    finally:
        force.cancel()


def liveness(is_lent: Callable[[], bool] | None = None) -> Liveness:
    """Return the liveness check of the cluster that this process is connected to.

    `is_lent` says whether what was borrowed from a Ray that stays is still lent.
    """
    context = ray.get_runtime_context()
    own = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    host, _, port = context.gcs_address.rpartition(":")
    raylet = (own["NodeManagerAddress"], int(own["NodeManagerPort"]))
    return Liveness(raylet, (host.strip("[]"), int(port)), is_lent)


def _init(address: str, abandoned: Callable[[], bool]) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with preserve_handlers(), _settings(address, abandoned):
            if address == "local":
                ray.init(address="local", include_dashboard=False, **quiet)
            else:
                ray.init(address=address, **quiet)
    except SystemExit as ending:
        if ending.code != signal.SIGTERM:
            raise ClusterError(_refusal(address, ending)) from ending
        # Ray's own handler took this signal while Ray was starting.
        signal.raise_signal(signal.SIGTERM)


@contextmanager
def _settings(address: str, abandoned: Callable[[], bool]) -> Iterator[None]:
    """Set that for which Ray has no argument.

    A cluster that other machines cannot join is what Ray starts on macOS and Windows: then all its
    processes listen on the loopback interface alone, and a loopback address is taken as it is. What
    Ray would say of its processes' ends, on standard output, is left to our own errors. A local Ray
    starts without what only larger clusters or people need.
    """
    host = address.rpartition(":")[0]
    chosen: list[tuple[Any, str, Any]] = [
        (worker, "listen_error_messages", lambda *_: None),
        # Signals are this process's: only its main thread could set its handlers again.
        (ray_constants, "RAY_DISABLE_FAILURE_SIGNAL_HANDLER", True),
    ]
    if address == "local" or host in LOOPBACK:
        chosen.append((ray_constants, "ENABLE_RAY_CLUSTER", False))
    if address == "local":
        chosen += [(node.Node, name, lambda *_, **__: None) for name in NEEDLESS]
        # It imports all that a dashboard needs; `ray[default]` has that.
        chosen.append((utils, "get_dashboard_dependency_error", lambda: None))
        start, get_node = services.start_ray_process, services.get_node
        chosen.append((services, "start_ray_process", partial(_start_process, abandoned, start)))
        chosen.append((services, "get_node", partial(_await_node, abandoned, get_node)))
    else:
        chosen.append((ray_constants, "NUM_REDIS_GET_RETRIES", FINDS))
    with ExitStack() as settings:
        for module, name, value in chosen:
            settings.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        yield


def _start_process(
    abandoned: Callable[[], bool], start: Callable[..., Any], *arguments: Any, **named: Any
) -> Any:
    """Start a process of Ray, unless its start was given up."""
    if abandoned():
        raise StartAbandonedError
    return start(*arguments, **named)


def _await_node(
    abandoned: Callable[[], bool], get_node: Callable[..., Any], gcs_address: str, node_id: str
) -> Any:
    """Return a node of Ray once it is there; Ray itself would wait where nothing can end it."""
    client, sought = GcsClient(address=gcs_address), ray.NodeID.from_hex(node_id)
    deadline = time.monotonic() + NODE_TIMEOUT_S
    while sought not in client.get_all_node_info():
        if abandoned():
            raise StartAbandonedError
        if time.monotonic() > deadline:
            break
        time.sleep(NODE_EVERY_S)
    return get_node(gcs_address, node_id)


def _give_up_start(before: set[psutil.Process]) -> None:
    """End the processes left by a failed start, which Ray no longer tracks."""
    disconnect()
    _kill_ray(set(psutil.Process().children()) - before)


def _kill_ray(processes: Iterable[psutil.Process]) -> None:
    """Kill those of some processes that are Ray's, and what they have started."""
    for child in processes:
        with suppress(psutil.Error):
            if any("/ray/" in part for part in child.cmdline()):
                for process in (*child.children(recursive=True), child):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                child.wait(1.0)


def _require_listener(address: str) -> None:
    """Fail within seconds where nothing listens at HOST:PORT; Ray would take minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise ClusterError(
            f"--address {address}: nothing answers there ({error}); start a cluster with "
            "`ray start --head` or `ray up cluster.yaml`, or leave --address out"
        ) from None


def _refusal(address: str, error: BaseException) -> str:
    """Return the reason why Ray could not be started or joined, with advice."""
    reason = "; ".join(dict.fromkeys(_reasons(error)))
    if "AuthenticationError" in reason or "nauthenticated" in reason or "token" in reason.lower():
        return (
            f"--address {address}: the cluster does not let this process in ({reason}); it needs "
            "the cluster's token, as docs/cluster.md says under 'Tokens'"
        )
    if address != "local":
        return (
            f"--address {address}: no Ray cluster there that can be joined ({reason}); start one "
            "with `ray start --head` or `ray up cluster.yaml`, or leave --address out"
        )
    if "AF_UNIX path" in reason:
        return f"Ray's temporary folder has too long a path; set RAY_TMPDIR to a shorter; {INLINE}"
    return f"Ray could not be started ({reason}); {INLINE}"


def _reasons(error: BaseException | None) -> Iterator[str]:
    """Yield the line of an error that states the reason, and those of its causes."""
    while error is not None:
        lines = str(error).strip().splitlines() or [""]
        line = lines[-1 if "Traceback" in lines[0] else 0].strip()
        yield f"{type(error).__name__}: {line.split('. ')[0]}"
        error = error.__cause__
