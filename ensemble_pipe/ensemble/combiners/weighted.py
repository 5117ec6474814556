"""The combiner that gives every member one weight: mixtures, mean logits and votes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, MinLen

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.settings import settings
from ensemble_pipe.ensemble.combiners import pooling
from ensemble_pipe.ensemble.combiners.combiner import Combiner, Task

Space = Literal["probability", "logit", "vote"]


@settings
class Weighted(Combiner):
    """Members are averaged, each with a weight of its own.

    For classes the result is then softmax(log p / temperature) (Guo et al. 2017, section 4.2), for
    numbers both variances are multiplied by the temperature squared, and the noise is added; 1 and
    0 change no bit.

    Attributes:
        space: what is averaged. "probability": the mixture of the members' distributions (for
            numbers of their Gaussians). "logit": the logits, which is the normalised geometric mean
            of the members' probabilities. "vote": one vote of each member for its likeliest class,
            and one further vote that is split evenly over the classes, so that none is impossible:
            p_o = (K v_o + 1 / O) / (K + 1), with v_o the weight of those who vote for o and K the
            number of members whose weight is not zero. The last two are for classes only.
        weights: (K,), none below 0; they sum to 1.
        temperature: above 1 for less confident predictions, below 1 for more confident ones.
        noise: a variance that all rows have beside what the members see, in units of the
            standardised target squared (as in Gal & Ghahramani 2016, eq. 7). For numbers only.
    """

    name: Literal["weighted"] = "weighted"
    space: Space = "probability"
    weights: Annotated[tuple[float, ...], MinLen(1)]
    temperature: Annotated[float, Gt(0)] = 1.0
    noise: Annotated[float, Ge(0)] = 0.0

    def __post_init__(self) -> None:
        if min(self.weights) < 0 or abs(sum(self.weights) - 1) > 1e-9:
            raise ValueError(f"weights must be at least 0 and sum to 1, got {self.weights}")

    @staticmethod
    def equal(members: int, space: Space = "probability") -> "Weighted":
        """Return the combiner that gives K members the same weight."""
        return Weighted(space=space, weights=(1 / members,) * members)

    def check(self, task: Task, members: int, outputs: int) -> None:
        """See `Combiner`."""
        if len(self.weights) != members:
            raise ValueError(f"{len(self.weights)} weights do not fit {members} members")
        if task == "regression" and self.space != "probability":
            raise ValueError(f"space {self.space} is for classes; for numbers, take probability")

    def member_weights(self) -> Floats:
        """See `Combiner`."""
        return np.array(self.weights)

    def probabilities(self, logits: Floats) -> Floats:
        """See `Combiner`."""
        if self.temperature != 1.0:
            return pooling.softmax(self._scores(logits) / self.temperature)
        if self.space == "probability":
            return pooling.mixture(logits, self.member_weights())
        if self.space == "logit":
            return pooling.softmax(self._scores(logits))
        return self._votes(logits)

    def log_probabilities(self, logits: Floats) -> Floats:
        """See `Combiner`."""
        return pooling.log_softmax(self._scores(logits) / self.temperature)

    def mixture(self, means: Floats, variances: Floats) -> tuple[Floats, Floats, Floats]:
        """See `Combiner`."""
        self.check("regression", len(means), means.shape[2])
        weights = self.member_weights()
        mean = pooling.weighted_mean(means, weights)
        aleatoric, epistemic = pooling.split_variance(means, variances, weights, mean)
        return mean, *pooling.calibrate(aleatoric, epistemic, self.temperature, self.noise)

    def without_zero_weights(self) -> tuple["Weighted", Integers]:
        """See `Combiner`."""
        kept = np.flatnonzero(self.member_weights())
        return replace(self, weights=tuple(self.weights[place] for place in kept)), kept

    def share(self, sizes: Sequence[int]) -> "Weighted":
        """See `Combiner`."""
        pairs = zip(self.weights, sizes, strict=True)
        return replace(self, weights=tuple(w / n for w, n in pairs for _ in range(n)))

    def calibrate(self, temperature: float, noise: float) -> "Weighted":
        """See `Combiner`."""
        return replace(self, temperature=temperature, noise=noise)

    def describe(self) -> str:
        """See `Combiner`."""
        mean = "mean" if len(set(self.weights)) == 1 else "weighted mean"
        return f"{mean} of the members' {self.space}"

    def _scores(self, logits: Floats) -> Floats:
        """Return log-probabilities at temperature 1, up to a number in each row."""
        if self.space == "probability":
            return pooling.log_mixture(logits, self.member_weights())
        if self.space == "logit":
            return pooling.weighted_mean(logits, self.member_weights())
        return np.log(self._votes(logits))

    def _votes(self, logits: Floats) -> Floats:
        voters = np.count_nonzero(self.weights)
        found = pooling.votes(logits, self.member_weights())
        shares: Floats = (voters * found + 1 / logits.shape[2]) / (voters + 1)
        return shares
