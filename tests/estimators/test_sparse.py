"""Sparse matrices are fitted and predicted as the dense rows that they stand for."""

from typing import Any, cast

import numpy as np
import pytest
from estimator_data import QUICK
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier
from ensemble_pipe.data.sources.rows import BLOCK_ROWS
from ensemble_pipe.estimators import features
from ensemble_pipe.serving import in_memory
from ensemble_pipe.serving.model import Ensemble

RANDOM = np.random.default_rng(6)
DENSE = np.where(RANDOM.random((120, 12)) < 0.7, 0.0, RANDOM.normal(size=(120, 12)))
LABELS = DENSE[:, 0] + DENSE[:, 1] > 0
FORMATS = [
    sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix,
    sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.lil_array,
]  # fmt: skip


def bits(model: Any, rows: Any) -> bytes:
    return np.asarray(model.predict_members(rows)).tobytes()


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_bits_of_the_dense_rows(form: Any, tmp_path: Any) -> None:
    dense = EnsembleClassifier(**QUICK).fit(DENSE, LABELS)
    model = EnsembleClassifier(**QUICK).fit(form(DENSE), LABELS)
    assert bits(model, form(DENSE)) == bits(model, DENSE) == bits(dense, DENSE)
    model.save(tmp_path / "model")
    assert bits(ensemble_pipe.load(tmp_path / "model"), form(DENSE)) == bits(dense, DENSE)


def test_what_is_stored_as_not_a_number_is_missing() -> None:
    gaps = np.where(RANDOM.random(DENSE.shape) < 0.1, np.nan, DENSE)
    model = EnsembleClassifier(**QUICK).fit(sparse.csr_array(gaps), LABELS)
    assert bits(model, sparse.csr_array(gaps)) == bits(model, gaps)
    gaps[3, 4] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        model.predict(sparse.csr_array(gaps))


def test_long_matrices_are_predicted_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    model = EnsembleClassifier(**QUICK).fit(DENSE, LABELS)
    rows = sparse.csr_array(np.tile(DENSE, (40, 1)))
    expected = bits(model, rows.toarray())
    monkeypatch.setattr(in_memory, "BLOCK_ROWS", 512)
    parts = list(in_memory.sparse_parts(cast(Any, rows)))
    assert [first for first, _ in parts] == list(range(0, 4800, 512))
    assert bits(model, rows) == expected
    assert BLOCK_ROWS > 512
    assert Ensemble(model.model_).outputs(sparse.csr_array((0, 12))).shape == (2, 0, 2)


@pytest.mark.parametrize("vectorizer", [CountVectorizer(), TfidfVectorizer(max_features=300)])
def test_words_go_through_a_pipeline(vectorizer: Any) -> None:
    words = np.array([f"w{number}" for number in range(250)])
    spam = RANDOM.random(300) < 0.5
    texts = [" ".join(RANDOM.choice(words[100:] if bad else words[:150], 20)) for bad in spam]
    model = make_pipeline(vectorizer, EnsembleClassifier(**{**QUICK, "epochs": 20}))
    assert cross_val_score(model, texts, spam, cv=2).mean() > 0.7
    schema = model.fit(texts, spam)[-1].model_.schema
    # Of so many columns of few values none has further features.
    assert schema.input_shape == (len(schema.feature_names),)


def test_a_matrix_too_wide_for_networks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = sparse.csr_array((30, features.MOST_SPARSE_COLUMNS + 1))
    with pytest.raises(ValueError, match=r"20,001 columns.*at most 20,000 .*TruncatedSVD"):
        EnsembleClassifier(**QUICK).fit(wide, np.arange(30) % 2)
    monkeypatch.setattr(features, "MOST_DENSE_BYTES", 4 * 1000)
    with pytest.raises(ValueError, match=r"120 rows and 12 columns.*at most 8 .*SelectKBest"):
        EnsembleClassifier(**QUICK).fit(sparse.csr_array(DENSE), LABELS)
