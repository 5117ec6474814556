"""Remote file systems that do not answer: an error within seconds, by a host on loopback."""

import socket
import time

import pytest

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources import open_rows, remote

pytestmark = pytest.mark.slow

URIS = {
    "gs": "gs://anonymous@bucket/x.parquet?scheme=http&endpoint_override={}",
    "s3": "s3://key:secret@bucket/x.parquet?scheme=http&region=none&endpoint_override={}",
}


@pytest.mark.parametrize(
    ("scheme", "listens", "timeout_s", "message"),
    [
        ("gs", False, 2.0, "no answer within 2 s"),  # it would be tried for 15 minutes
        ("gs", True, 2.0, "no answer within 2 s"),
        ("s3", False, 20.0, ", or refuses .*Could not connect"),
        ("s3", True, 2.0, "no answer within 2 s"),
    ],
)
def test_a_host_that_does_not_answer_is_not_waited_for(
    scheme: str, listens: bool, timeout_s: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TIMEOUT_S", timeout_s)
    began = time.monotonic()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        location = URIS[scheme].format(f"127.0.0.1%3A{server.getsockname()[1]}")
        with pytest.raises(
            DataError, match=f"^{scheme}://.*: its host cannot be reached.*{message}"
        ):
            open_rows(location)
    assert time.monotonic() - began < 20
