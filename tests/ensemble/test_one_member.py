"""A one-member ensemble equals its member in every measure, bit for bit."""

import numpy as np

from ensemble_pipe.ensemble.combiners import Weighted, softmax
from ensemble_pipe.ensemble.conformal import conformal_interval, conformal_sets
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.metrics.detection import ood_metrics
from ensemble_pipe.ensemble.metrics.regression import regression_metrics
from ensemble_pipe.ensemble.metrics.rejection import rejection_curve
from ensemble_pipe.ensemble.uncertainty import uncertainty

RANDOM = np.random.default_rng(1)
LOGITS = RANDOM.standard_normal((1, 80, 6)).astype(np.float32)
LABELS = RANDOM.integers(0, 6, 80)
MEANS, VARIANCES = RANDOM.standard_normal((1, 80, 2)), RANDOM.uniform(0.1, 2.0, (1, 80, 2))
TARGETS = RANDOM.standard_normal((80, 2))


def test_of_classes() -> None:
    whole, member = Weighted.equal(1).probabilities(LOGITS), softmax(LOGITS[0])
    assert classification_metrics(whole, LABELS) == classification_metrics(member, LABELS)
    fitted = conformal_sets(whole, LABELS, 0.9)
    assert fitted == conformal_sets(member, LABELS, 0.9)
    np.testing.assert_array_equal(fitted.sets(whole), fitted.sets(member))


def test_of_uncertainty_and_what_is_made_of_it() -> None:
    found = uncertainty(LOGITS)
    member = softmax(LOGITS[0])
    entropy = -(member * np.log(member)).sum(axis=1)
    np.testing.assert_allclose(found["entropy"], entropy, rtol=1e-14)
    np.testing.assert_array_equal(found["max_logit"], -LOGITS[0].max(axis=1))
    assert ood_metrics(found["entropy"][:40], found["entropy"][40:]) == ood_metrics(
        entropy[:40], entropy[40:]
    )
    correct = member.argmax(axis=1) == LABELS
    whole = rejection_curve(correct, found["entropy"])
    assert whole.area == rejection_curve(correct, entropy).area


def test_of_numbers() -> None:
    mean, aleatoric, epistemic = Weighted.equal(1).mixture(MEANS, VARIANCES)
    deviation = np.sqrt(aleatoric + epistemic)
    own = np.sqrt(VARIANCES[0])
    found = regression_metrics(mean, deviation, TARGETS)
    assert found == regression_metrics(MEANS[0], own, TARGETS)
    assert conformal_interval(
        mean[:, 0], deviation[:, 0], TARGETS[:, 0], 0.9
    ) == conformal_interval(MEANS[0, :, 0], own[:, 0], TARGETS[:, 0], 0.9)
