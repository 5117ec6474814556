"""Strategies: how the learners of an ensemble differ, and which members they yield.

`vary` gives each learner its own value of any hyperparameter. A list goes round in turn: learner i
of its group takes item i modulo its length. A range is drawn at the learner's own address, so
adding learners leaves the earlier ones as they were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, floor, log
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Field

from ensemble_pipe.core import seeds
from ensemble_pipe.core.settings import settings
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.decisions import Decide
from ensemble_pipe.ensemble.members.external import NAME_PATTERN
from ensemble_pipe.nn.sharing import MOST_MEMBERS, Form, Sharing
from ensemble_pipe.training.estimator_settings import MOST_LEARNERS, EstimatorSettings


@settings
class Range:
    """Numbers between two bounds.

    Attributes:
        low, high: the bounds.
        scale: linear, or log for equal chances per factor.
        integer: whether to round down to whole numbers; `high` is then included.
    """

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    integer: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a log range needs low above 0, got {self.low}")

    def at(self, share: float) -> float | int:
        """Return the number at a share, 0 to 1, of the way from low to high."""
        high = self.high + 1 if self.integer else self.high
        if self.scale == "log":
            value = exp(log(self.low) + share * (log(high) - log(self.low)))
        else:
            value = self.low + share * (high - self.low)
        value = min(max(value, self.low), high)  # exp(log(x)) may lie beside x
        return min(floor(value), int(self.high)) if self.integer else value


Choices = Annotated[tuple[Any, ...], MinLen(1)]
Vary = Mapping[str, Range | Choices]

StrategyName = Literal[
    "independent",
    "bagging",
    "snapshot",
    "fast_geometric",
    "checkpoints",
    "mc_dropout",
    "shared",
    "cross_validation",
    "boosting",
]
Yields = Literal["end", "cycles", "epochs"]

# What some strategies alone read.
_OF_STRATEGIES: dict[str, tuple[StrategyName, ...]] = {
    "every": ("checkpoints", "shared"),
    "last": ("checkpoints", "shared"),
    "passes": ("mc_dropout",),
    "members": ("shared",),
    "form": ("shared",),
    "yields": ("shared",),
    "rounds": ("boosting",),
    "shrinkage": ("boosting",),
}
_SHARED = "; for members that share weights take {{strategy: shared, yields: {}}}"
_HINTS = {
    (name, strategy): _SHARED.format(when)
    for name in ("members", "form")
    for strategy, when in (("snapshot", "cycles"), ("checkpoints", "epochs"))
} | {
    # Those of a table of many rows are shared by default, but no longer once a key is given.
    (name, "independent"): "; the default of many rows changes as a whole: give strategy: shared, "
    "learners and network beside it"
    for name in ("members", "form", "yields")
}


@settings
class Learners:
    """A group of networks that differ by one strategy.

    Attributes:
        strategy: how they differ, and what each yields.
            "independent": each, from its own initialisation and its own order of the data, yields
            one member (Lakshminarayanan et al. 2017). With `vary` on top: hyper-deep ensembles
            (Wenzel et al. 2020).
            "bagging": each also sees its own bootstrap sample of the rows (Breiman 1996).
            "cross_validation": learner i leaves out fold i, of as many folds as learners.
            "snapshot": each yields a member at the end of every cycle of its schedule (Huang et
            al. 2017).
            "fast_geometric": the same with short triangles at the end (Garipov et al. 2018).
            "checkpoints": each yields a member after every so many epochs, under any schedule
            (Chen, Lundberg & Lee 2017, "Checkpoint ensembles").
            "mc_dropout": each yields `passes` members, which are its network with other units
            dropped (Gal & Ghahramani 2016).
            "shared": each yields `members` members, which share weight matrices and differ by
            vectors of their own (Wen, Tran & Ba 2020, "BatchEnsemble"; Gorishniy et al. 2025,
            "TabM").
            "boosting": each is a chain of `rounds` networks, every one fitted to what the sum of
            those before it leaves, and yields their sum (Friedman 2001). `training.epochs` are of
            one round.
        learners: how many.
        every: epochs between two members of a learner under checkpoints, or under shared that
            yields them after epochs; its last epoch yields one too.
        last: of these only the last so many of each learner; null for all.
        passes: members of a learner under mc_dropout.
        members: of a learner under shared.
        form: under shared, what members have of their own: "full" vectors before and after every
            product, and biases; "mini" the first vector alone; "packed" all. Last layers are of
            each member in every form.
        yields: under shared, when a learner yields its members: at its "end", at the end of each of
            the "cycles" of its schedule (as under snapshot), or after every so many "epochs" (as
            under checkpoints).
        rounds: networks of a learner under boosting.
        shrinkage: under boosting, the share of the best step that each network's sum goes.
        vary: hyperparameters that differ within the group, by their path in the pipeline.
        set: values of all the group's learners, by path; for a pool of several groups.
    """

    strategy: StrategyName = "independent"
    learners: Annotated[int, Ge(1), Le(MOST_LEARNERS)] = 5
    every: Annotated[int, Ge(1), Le(10_000)] = 5
    last: Annotated[int, Ge(1), Le(10_000)] | None = None
    passes: Annotated[int, Ge(1), Le(10_000)] = 20
    members: Annotated[int, Ge(1), Le(MOST_MEMBERS)] = 32
    form: Form = "full"
    yields: Yields = "end"
    rounds: Annotated[int, Ge(1), Le(10_000)] = 10
    shrinkage: Annotated[float, Gt(0), Le(1)] = 0.5
    vary: dict[str, Range | Choices] | None = None
    set: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, strategies in _OF_STRATEGIES.items():
            if self.strategy not in strategies and getattr(self, name) != getattr(Learners, name):
                hint = _HINTS.get((name, self.strategy), "")
                of = " or ".join(strategies)
                raise ValueError(f"{name} is for strategy {of}, not {self.strategy}{hint}")
        by_epochs = self.strategy != "shared" or self.yields == "epochs"
        for name in ("every", "last"):
            if not by_epochs and getattr(self, name) != getattr(Learners, name):
                raise ValueError(f"{name} is for yields: epochs, not {self.yields}")

    @property
    def sharing(self) -> Sharing | None:
        """What the members of a learner share; None where it has one at a time."""
        if self.strategy != "shared":
            return None
        return Sharing(members=self.members, form=self.form)

    @property
    def yields_at_cycles(self) -> bool:
        """Whether learners yield members at the ends of cycles."""
        return self.strategy in ("snapshot", "fast_geometric") or self.yields == "cycles"

    @property
    def yields_after_epochs(self) -> bool:
        """Whether learners yield members after every so many epochs."""
        return self.strategy == "checkpoints" or self.yields == "epochs"

    @property
    def leaves_folds_out(self) -> bool:
        """Whether each learner leaves out a fold, of as many as there are learners."""
        return self.strategy == "cross_validation"


@settings
class ExternalPredictions:
    """Predictions of another program, read from a file: a member that is not trained here.

    The rows of validation and test should be new to that program, as they are to the learners.

    Attributes:
        name: that predictions for new rows are supplied by.
        path: a file with one row for each row of the source, in its order. Its columns are, as
            `predict` writes them, `probability_<class>` for each class; or for numbers `mean` and,
            where known, `std`, of several targets `mean_<target>` and `std_<target>`.
        test_path: the same of the source's official test part, where it has one.
    """

    learners: ClassVar[int] = 1
    leaves_folds_out: ClassVar[bool] = False

    strategy: Literal["predictions"] = "predictions"
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    path: str
    test_path: str | None = None


@dataclass(frozen=True)
class ExternalPlan:
    """An external member, whose predictions are read from a file.

    Attributes:
        learner: its place among the learners of the run.
        settings: where they come from.
    """

    learner: int
    settings: ExternalPredictions

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for the journal and MLflow."""
        return {"predictions": asdict(self.settings)}


Group = Learners | EstimatorSettings | ExternalPredictions
OF_A_GROUP = ("strategy", "learners", *_OF_STRATEGIES)


@settings
class EnsembleSettings(Learners):
    """The ensemble of a pipeline: one group of learners, or a pool of several.

    Attributes:
        combine: how the members become one predictor.
        decide: which class is predicted: by a threshold, or by what mistakes cost; null for the
            most probable one.
        stop_below_gain: training ends once a further learner, taken in order, lowers the NLL of the
            equally weighted ensemble on the validation part by less, in nats; null trains all.
        preset: "fast" is the group that the other keys describe; "best" a pool of networks and
            boosted trees, combined by `choose`. What it stands for is written into the pipeline of
            the run; null for none.
        pool: groups of learners; null for the one group that the other keys describe.
    """

    preset: Literal["fast", "best"] | None = None
    combine: Combine = Combine()
    decide: Decide | None = None
    stop_below_gain: Annotated[float, Gt(0)] | None = None
    pool: Annotated[
        tuple[Annotated[Group, Field(discriminator="strategy")], ...] | None, MinLen(1)
    ] = None

    def __post_init__(self) -> None:
        given = [n for n in OF_A_GROUP if getattr(self, n) != getattr(Learners, n)]
        given += [n for n in ("vary", "set") if getattr(self, n)]
        if self.pool is not None and given:
            raise ValueError(
                f"{given[0]}: the groups of a pool have their own; set ensemble.pool.0.{given[0]}, "
                "or set ensemble.pool to null for one group alone"
            )
        super().__post_init__()
        if self.size > MOST_LEARNERS:
            raise ValueError(
                f"pool: its groups have {self.size:,} learners; at most {MOST_LEARNERS:,} can be "
                "trained and combined in one run"
            )
        names = [group.name for group in self.groups if isinstance(group, ExternalPredictions)]
        if len(set(names)) < len(names):
            raise ValueError("each group of predictions needs a name of its own")
        folds = all(group.leaves_folds_out for group in self.groups)
        if self.combine.evidence == "out_of_fold" and not folds:
            raise ValueError(
                "combine.evidence: out_of_fold needs groups that are all cross-validated "
                "(strategy: cross_validation, or cross_validate: true), "
                "and is needless with splits.folds"
            )
        if self.combine.evidence == "out_of_fold" and self.stop_below_gain is not None:
            raise ValueError(
                "stop_below_gain leaves folds out, which combine.evidence: out_of_fold needs; "
                "leave one of them out"
            )
        counted = (self.combine.keep, self.combine.most_members) != (None, None)
        if self.combine.evidence == "out_of_fold" and counted:
            raise ValueError(
                "combine: keep and most_members count single members, but evidence: out_of_fold "
                "weighs whole groups; leave them out, or take evidence: validation"
            )

    @property
    def size(self) -> int:
        """The number of learners of all groups."""
        return sum(group.learners for group in self.groups)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups of learners, in order."""
        return (self,) if self.pool is None else self.pool


def varied_values(vary: Vary, learner: int, place: int, seed: int) -> dict[str, Any]:
    """Return the values of one learner under `vary`, by path in the pipeline.

    Args:
        vary: of its group.
        learner: its id, the address of its draws.
        place: its place within its group, counted from 0.
        seed: of the run.
    """
    return {
        path: _value(values, learner, place, seed, index)
        for index, (path, values) in enumerate(sorted(vary.items()))
    }


def _value(values: Range | Sequence[Any], learner: int, place: int, seed: int, index: int) -> Any:
    if isinstance(values, Range):
        random = seeds.generator(seed, seeds.Purpose.VARY, learner=learner, shard=index)
        return values.at(random.random())
    return values[place % len(values)]
