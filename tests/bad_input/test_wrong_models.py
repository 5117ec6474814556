"""Wrong models, and wrong rows for a model: one message that teaches, status 2."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import (
    INSTEAD,
    TEST_IMAGES,
    Harmful,
    image_model,
    images_of,
    predict,
    refused,
    table_model,
    write,
    write_idx,
)

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.serving.model import load

pytestmark = pytest.mark.usefixtures("empty_folder")


def test_a_missing_model() -> None:
    message = predict("absent", write("t.csv", "a,b\n1,2\n"))
    assert message == (
        "absent: no model there; name a run directory, a model directory or an MLflow model URI"
    )


@pytest.mark.parametrize("name", ["members.safetensors", "model.json"])
def test_a_model_with_a_flipped_bit(name: str) -> None:
    path = Path(table_model()) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    message = predict("model", write("t.csv", "a,b\n1,2\n"))
    assert message.startswith(f"model/{name}: its contents do not match the sha256 sum in its mani")


def test_a_model_without_its_members() -> None:
    (Path(table_model()) / "members.safetensors").unlink()
    message = predict("model", write("t.csv", "a,b\n1,2\n"))
    assert message == (
        "model/members.safetensors: missing, though its manifest lists it; restore it from a copy"
    )


def test_predictions_into_an_unknown_ending() -> None:
    message = predict(table_model(), write("t.csv", "a,b\n1,2\n"), "out.xlsx")
    assert message == (
        "out.xlsx: predictions are written as .parquet, .arrow, .csv; choose such an ending"
    )


TABLES: dict[str, tuple[str, str]] = {
    "a column too few": (
        "a\n1\n",
        "t.csv: has no column 'b'; its columns are: a",
    ),
    "a missing value": (
        "b,a\n1,2\n1,\n",
        "t.csv: row 1 (from 0, line 3), column 'a': a missing value or NaN; "
        f"{INSTEAD} `columns: {{a: {{missing: mean}}}}`",
    ),
    "text": ("a,b\n1,2\n1,x\n", "t.csv: row 1 (from 0, line 3), column 'b': 'x' is not a number"),
}


@pytest.mark.parametrize("what", TABLES)
def test_predictions_for_a_table_with(what: str) -> None:
    text, message = TABLES[what]
    assert predict(table_model(), write("t.csv", text)).startswith(message)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (10**30, "10{30} is too large for an integer of 64 bits"),
        (10**5000, "a number of over 1024 bits"),
        ("x", "'x' is not a number"),
        (b"x", "b'x' is no number, text or date"),
        ([1], r"\[1\] is no number, text or date"),
        (1j, "1j is no number, text or date"),
    ],
    ids=lambda value: str(type(value)),
)
def test_predictions_for_objects_that_are_no_numbers(value: object, problem: str) -> None:
    model = load(table_model())
    objects = np.empty((2, 2), object)
    objects[:] = [[0.5, 1.0], [1, 1.0]]
    objects[1, 0] = value
    for rows in (objects, pd.DataFrame(objects, columns=["a", "b"])):
        with pytest.raises(DataError, match=rf"row 1 \(from 0\), column 'a': {problem}"):
            model.predict(rows)


def test_predictions_for_a_missing_file() -> None:
    assert predict(table_model(), "absent.csv").startswith("absent.csv: no such file; paths are")


def test_predictions_for_a_table_by_a_model_of_images() -> None:
    message = predict(image_model(), write("t.csv", "a,b\n1,2\n"))
    assert message == "t.csv: holds features, but the model needs images"


def test_predictions_for_images_of_another_size() -> None:
    path = write_idx(TEST_IMAGES, images_of(5, 6))
    assert predict(image_model(), path) == (
        f"{TEST_IMAGES}: images of shape (6, 6, 1), but the training data has (8, 8, 1)"
    )


def test_predictions_for_an_npy_array_with_another_number_of_features() -> None:
    np.save("t.npy", np.array([[1.0, 2.0], [3.0, np.nan]]))
    assert predict(table_model(), "t.npy").startswith("t.npy: row 1 (from 0), column 'b': a missin")
    np.save("t.npy", np.ones((4, 3)))
    assert predict("model", "t.npy") == "t.npy: rows of 3 numbers, but the model needs 2: a, b"


@pytest.mark.parametrize("content", [b"no array", b"PK\x03\x04 a zip file", b"\x93NUMPY\x01\x00"])
def test_predictions_for_what_is_no_npy_file(content: bytes) -> None:
    message = predict(table_model(), write("t.npy", content))
    assert message.startswith("t.npy: cannot be read (")


def test_an_npy_file_of_pickled_objects_is_not_unpickled() -> None:
    np.save("t.npy", np.array([Harmful()], dtype=object))
    message = predict(table_model(), "t.npy")
    assert message.startswith("t.npy: object of shape (1,); (R, D) numbers or uint8 images")
    assert not Path("harm").exists()


def test_an_evaluation_without_labels() -> None:
    message = refused("evaluate", table_model(), write("t.csv", "a,b\n1,2\n"))
    assert message == "t.csv: has no column 'y', which holds the labels; it has: a, b"
    message = refused("evaluate", table_model(), write("t.csv", "a,b,Y\n1,2,0\n"))
    assert message == (
        "t.csv: has no column 'y', which holds the labels; did you mean 'Y'? it has: a, b, Y"
    )


def test_an_evaluation_of_images_without_labels_beside_them() -> None:
    path = write_idx(TEST_IMAGES, images_of(5, 8))
    assert refused("evaluate", image_model(), path) == (
        f"{TEST_IMAGES}: no label file beside it; its name would be that of the images with "
        "labels-idx1 for images-idx3"
    )


def test_an_evaluation_of_an_array_without_labels() -> None:
    np.save("t.npy", np.ones((4, 2)))
    message = refused("evaluate", table_model(), "t.npy")
    assert message == "t.npy: an NPY file has no labels; put both into an NPZ file"


def test_an_evaluation_with_an_unknown_class() -> None:
    message = refused("evaluate", table_model(), write("t.csv", "a,b,y\n1,2,1\n1,2,9\n"))
    assert message == (
        "t.csv: row 1 (from 0, line 3), column 'y': label 9 is no class of the training data; "
        "its classes "
        "are: 0, 1"
    )
