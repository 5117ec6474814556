"""Addresses: what is hidden in them, where it comes from again, and paths as SQLite addresses."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from ensemble_pipe.config.reading import Pipeline, load_pipeline, resolve
from ensemble_pipe.core.addresses import mask_secrets, restore_secrets, sqlite_address, sqlite_path
from ensemble_pipe.core.errors import ConfigError, DataError, EnsemblePipeError
from ensemble_pipe.core.messages import quote

ENVIRONMENT = ("URI", "USERNAME", "PASSWORD", "TOKEN")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.mark.parametrize(("address", "expected"), [
    ("http://ann:pw@host:5000", "http://ann:***@host:5000"),
    ("https://ann:p%40w@host/path", "https://ann:***@host/path"),
    ("https://ann:p@w@host/path", "https://ann:***@host/path"),
    ("https://:pw@host", "https://:***@host"),
    ("https://token@host", "https://***@host"),
    ("https://host/x?token=abc&b=c", "https://host/x?token=***&b=c"),
    ("https://host/x?b=c&X-Amz-Signature=12ab", "https://host/x?b=c&X-Amz-Signature=***"),
    ("postgresql+psycopg2://ann:p/w@host/db", "postgresql+psycopg2://ann:***@host/db"),
    ("mysql://ann:1234@host/db", "mysql://ann:***@host/db"),
    ("s3://KEY:SEC/RET@bucket/a.parquet", "s3://KEY:***@bucket/a.parquet"),
    ("s3://b/a?access_key=K&secret_key=S", "s3://b/a?access_key=***&secret_key=***"),
    ("two: http://a:b@c and http://d:e@f.", "two: http://a:***@c and http://d:***@f."),
    ("http://host:5000/mlflow@team", "http://host:5000/mlflow@team"),
    ("http://host:5000?a=b@c", "http://host:5000?a=b@c"),
    ("postgresql://ann@host/db", "postgresql://ann@host/db"),
    ("sqlite:////x/a:b@c/mlflow.db", "sqlite:////x/a:b@c/mlflow.db"),
    ("models:/m@champion", "models:/m@champion"),
    ("time 12:30 of ann@host", "time 12:30 of ann@host"),
])  # fmt: skip
def test_passwords_and_tokens_are_hidden_and_nothing_else(address: str, expected: str) -> None:
    assert mask_secrets(address) == expected
    assert mask_secrets(expected) == expected


@pytest.mark.parametrize(("address", "environment", "expected"), [
    ("http://host", {}, "http://host"),
    ("http://ann:***@host", {}, None),
    ("http://ann:***@host", {"PASSWORD": "p/w"}, "http://ann:p%2Fw@host"),
    ("http://ann:***@host", {"USERNAME": "bob", "PASSWORD": "pw"}, "http://bob:pw@host"),
    ("http://ann:***@host", {"TOKEN": "t"}, "http://host"),
    ("http://***@host", {"USERNAME": "bob", "PASSWORD": "pw"}, "http://host"),
    ("mysql://ann:***@host/db", {"PASSWORD": "p@w"}, "mysql://ann:p%40w@host/db"),
    ("http://h/x?token=***", {"PASSWORD": "pw"}, None),
    ("http://h/x?token=***", {"URI": "http://h/x?token=t"}, "http://h/x?token=t"),
    ("http://h/x?token=***", {"URI": "http://other/x?token=t"}, None),
])  # fmt: skip
def test_what_is_hidden_comes_from_the_environment(
    address: str,
    environment: dict[str, str],
    expected: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    assert restore_secrets(address) == expected


@pytest.mark.parametrize(
    "name", ["runs", "ques?tion", "100%", "%41", "%2541", "a#b", "ä ö", "日本", "a:b@c", "x" * 250]
)
def test_a_path_is_an_address_and_back(name: str) -> None:
    path = Path("/x", name, "mlflow.db")
    address = sqlite_address(path)
    assert sqlite_path(address) == path
    assert make_url(address).database == str(path)
    assert not make_url(address).query
    assert mask_secrets(address) == address


@pytest.mark.parametrize(
    "address", ["http://h/a", "sqlite:///:memory:", "sqlite:///", "mysql://h/a"]
)
def test_other_addresses_are_no_sqlite_file(address: str) -> None:
    assert sqlite_path(address) is None


def test_a_pipeline_is_written_without_secrets() -> None:
    secret = "s3://KEY:SECRET@bucket/a.parquet"
    given = {"strategy": "predictions", "name": "other", "path": secret}
    config = Pipeline.model_validate({
        "data": {"source": "table", "path": secret, "test_path": secret, "label": "y"},
        "ensemble": {"pool": [{"strategy": "linear"}, given]},
        "tracking": {"uri": "http://ann:SECRET@host?token=SECRET"},
    })  # fmt: skip
    assert config.tracking.uri == "http://ann:SECRET@host?token=SECRET"
    assert "SECRET" not in repr(config.tracking)
    written = resolve(config)
    assert "SECRET" not in str(written)
    assert written["tracking"]["uri"] == "http://ann:***@host?token=***"


@pytest.mark.parametrize("kind", [EnsemblePipeError, DataError])
def test_errors_say_no_secret(kind: type[EnsemblePipeError]) -> None:
    assert str(kind("http://ann:pw@host: cannot be reached")) == (
        "http://ann:***@host: cannot be reached"
    )


def test_a_value_is_hidden_before_it_is_cut() -> None:
    assert "pw" not in quote("http://ann:" + "pw" * 100 + "@host")


@pytest.mark.parametrize(
    "address",
    ["http//ann:SECRET@host", "http:ann:SECRET@host", "ann:SECRET@host", "ftp://SECRET@h"],
)
def test_an_address_that_is_written_wrong_is_refused_without_its_secrets(
    address: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"tracking: {{uri: '{address}'}}\n")
    with pytest.raises(ConfigError, match=r"tracking\.uri: string should match .*@h") as refused:
        load_pipeline(path)
    assert "SECRET" not in str(refused.value)
