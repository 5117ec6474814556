"""The name of a pipeline that states none."""

from pathlib import Path

import pytest

from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.core.errors import ConfigError

TABLE = "data: {source: table, path: /data/people 2026.csv.gz, label: y}\n"


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("first try.yaml", TABLE, "first_try"),
        ("pipeline.yaml", TABLE, "people_2026"),
        ("pipeline.yaml", "seed: 2\n", "pipeline"),
        ("first.yaml", "name: mine\n", "mine"),
    ],
)
def test_it_is_that_of_the_file_or_of_its_data(
    tmp_path: Path, file: str, text: str, name: str
) -> None:
    (tmp_path / file).write_text(text)
    assert load_pipeline(tmp_path / file)[0].name == name
    assert load_pipeline(tmp_path / file, {"name": "other"})[0].name == "other"


def test_a_wrong_name_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("name: a b\n")
    with pytest.raises(ConfigError, match=r"name: .*p\.yaml:1"):
        load_pipeline(tmp_path / "p.yaml")
