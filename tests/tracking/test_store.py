"""MLflow's store in an SQLite file."""

from pathlib import Path

import pytest

from ensemble_pipe.core.addresses import sqlite_address, sqlite_path
from ensemble_pipe.tracking.store import open_store


@pytest.mark.slow
def test_a_store_in_the_making_of_which_a_process_was_stopped_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(uri: str, _: str) -> None:
        made = sqlite_path(uri)
        assert made is not None
        made.write_bytes(b"half of the tables")
        raise KeyboardInterrupt

    path = tmp_path / "mlflow.db"
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore", stopped)
        with pytest.raises(KeyboardInterrupt):
            open_store(sqlite_address(path), "mine")
    assert not path.exists()
    assert open_store(sqlite_address(path), "mine")[1]
    assert sorted(one.name for one in tmp_path.iterdir()) == [".mlflow.db.lock", "mlflow.db"]
