"""The best mixture of members within a budget of members or prediction time."""

from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.ensemble.combiners.aims import Aim, likelihood_of
from ensemble_pipe.ensemble.combiners.likelihood import Likelihood
from ensemble_pipe.ensemble.combiners.outputs import Outputs
from ensemble_pipe.ensemble.combiners.simplex import best_weights

_TRIED = 10  # members are tried in a round: those that the gradient promises most of
_LEAST_GAIN = 1e-9  # in nats


@dataclass(frozen=True)
class Budget:
    """Limits on the members of a mixture.

    Attributes:
        most_members: how many members may have a weight.
        milliseconds: how long they may take for a row, all together.
        costs: (K,), milliseconds that each takes for a row.
    """

    most_members: int
    milliseconds: float
    costs: Floats

    def addable(self, weights: Floats) -> Array:
        """Return the places of members without a weight that may get one, for weights (K,)."""
        chosen = weights > 0
        if chosen.sum() >= self.most_members:
            return np.flatnonzero(np.zeros(len(weights)))
        spent = self.costs[chosen].sum()
        return np.flatnonzero(~chosen & (spent + self.costs <= self.milliseconds))


def select(
    outputs: Outputs,
    targets: Array,
    *,
    most_members: int | None = None,
    milliseconds: float | None = None,
    costs: Floats | None = None,
    aim: Aim | None = None,
) -> Floats:
    """Return the weights (K,) of the best mixture that greedy forward selection finds in a budget.

    From the best single member on, each round adds the one member that lowers the NLL most once all
    weights are fitted again; of the members that the budget allows, the ten that the gradient
    promises most of are tried. It ends where none is left or none helps. Where time is limited, it
    is done twice, by the gain and by the gain for a millisecond, and the better result is returned
    (Leskovec et al. 2007, "Cost-effective outbreak detection in networks", section 3).

    Args:
        outputs: of K members, on rows that they were not trained on.
        targets: labels (R,) or numbers (R, D).
        most_members: how many members may have a weight; None for any number.
        milliseconds: how long they may take for a row, all together; None for any time. Where no
            member is so quick, the quickest one is taken.
        costs: (K,) above 0, milliseconds that each takes for a row; needed where time is limited.
        aim: a metric in place of the NLL.

    Raises:
        ConfigError: costs are missing.
    """
    budget = _budget(outputs.members, most_members, milliseconds, costs)
    rows = np.full(len(targets), 1 / len(targets))
    likelihood = likelihood_of(outputs, outputs.checked(targets), rows, aim)
    prices: list[Floats] = [np.ones(outputs.members)]
    if milliseconds is not None:
        prices.append(budget.costs)
    return min((_forward(likelihood, budget, price) for price in prices), key=likelihood.at)


def _forward(likelihood: Likelihood, budget: Budget, price: Floats) -> Floats:
    """Return weights (K,); gains are divided by the price (K,) of a member."""
    alone = likelihood.each()
    weights: Floats = np.zeros(likelihood.members)
    first = budget.addable(weights)
    weights[first[np.argmax((alone.max() - alone[first]) / price[first])]] = 1.0
    while True:
        before = likelihood.at(weights)
        promised = likelihood.promise(weights) / price
        addable = budget.addable(weights)
        tried = addable[np.argsort(-promised[addable], kind="stable")[:_TRIED]]
        grown = [_with(likelihood, weights, member) for member in tried]
        gains = np.array([before - likelihood.at(more) for more in grown])
        if not (gains > _LEAST_GAIN).any():
            return weights
        weights = grown[int(np.argmax(gains / price[tried]))]


def _with(likelihood: Likelihood, weights: Floats, member: int) -> Floats:
    """Return the best weights (K,) of those that have one, and of one member more."""
    chosen = np.sort(np.append(np.flatnonzero(weights), member))
    more = np.zeros(len(weights))
    more[chosen] = best_weights(likelihood.of(chosen))
    return more


def _budget(
    members: int, most_members: int | None, milliseconds: float | None, costs: Floats | None
) -> Budget:
    if most_members is not None and most_members < 1:
        raise ConfigError(f"an ensemble of at most {most_members} members has none; 1 is the least")
    if milliseconds is None:
        return Budget(most_members or members, np.inf, np.zeros(members))
    if costs is None or costs.shape != (members,) or not (costs > 0).all():
        raise ConfigError(f"a limit of time needs the milliseconds of each of {members} members")
    # A trained run must not be lost to a limit that no member keeps: then it is the quickest.
    return Budget(most_members or members, max(milliseconds, float(costs.min())), costs)
