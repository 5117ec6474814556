"""The section `search` of a pipeline: a space of hyperparameters, and how it is searched."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import Discriminator, Tag

from ensemble_pipe.core.metrics import MAXIMIZED, Metric, metrics_for
from ensemble_pipe.core.settings import settings
from ensemble_pipe.training.estimator_settings import MOST_LEARNERS

Values = Mapping[str, Any]
DriverName = Literal["manual", "grid", "random", "tpe", "gp"]
Pruning = Literal["median", "successive_halving", "hyperband"]
EnsembleName = Literal["top", "greedy", "hyper_deep"]
Choice = Literal["best", "one_standard_error"]
ReadySpace = Literal["table", "images"]

BATCH = 8  # trials that a model is asked for at once
RANGES = ("integer", "uniform", "log_uniform")

MetricName = Metric | Literal["r2"]
# Metrics by task, and those of which a larger one is better.
METRICS = {
    "classification": metrics_for("classification"),
    "regression": (*metrics_for("regression"), "r2"),
}
LARGER_IS_BETTER = MAXIMIZED | {"r2"}
# Those that are means over rows, or the root of one, so that their standard error is known.
MEANS_OVER_ROWS = ("nll", "accuracy", "brier", "rmse", "mae", "crps")


@settings
class Parameter:
    """The values that a hyperparameter may take: one of these.

    Attributes:
        choices: any of a list.
        integer: whole numbers from the first bound to the second.
        uniform: numbers between two bounds.
        log_uniform: the same with equal chances per factor.
        when: only where other hyperparameters of the space have a value, or one of a list.
    """

    choices: Annotated[tuple[Any, ...], MinLen(1)] | None = None
    integer: tuple[int, int] | None = None
    uniform: tuple[float, float] | None = None
    log_uniform: tuple[float, float] | None = None
    when: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("choices", *RANGES) if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "needs one of choices: [...], integer: [low, high], uniform: [low, high] and "
                "log_uniform: [low, high]"
            )
        if self.bounds is None:
            return
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"{given[0]}: low ({low}) must be less than high ({high})")
        if self.log_uniform is not None and low <= 0:
            raise ValueError(f"log_uniform: low must be above 0, not {low}")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The bounds of a range; None for choices."""
        return self.integer or self.uniform or self.log_uniform

    @property
    def conditions(self) -> dict[str, tuple[Any, ...]]:
        """The values that other hyperparameters must have, by their path."""
        return {
            path: tuple(value) if isinstance(value, list) else (value,)
            for path, value in (self.when or {}).items()
        }


Choices = Annotated[tuple[Any, ...], MinLen(1)]
Space = dict[str, Parameter | Choices]
Listed = tuple[dict[str, Any], ...]


def _form(value: Any) -> str:
    """Return how a space is written down."""
    if isinstance(value, str):
        return "name"
    return "list" if isinstance(value, list | tuple) else "mapping"


@settings
class Search:
    """A search for hyperparameters, and the ensemble that is made of its trials.

    Attributes:
        space: values by the path of a key below network, training, view, scale, augment or
            transfer, each a list of choices or a range; or `table` or `images`, which are ready;
            or, for the driver "manual", a list of trials, each a mapping of values by path.
        driver: "manual" takes the trials of a list, "grid" all combinations of choices and
            integers, "random" independent draws (Bergstra & Bengio 2012), "tpe" draws where good
            trials are likely (Bergstra et al. 2011, of Optuna), "gp" trials by which a Gaussian
            process expects to improve most on the best (Snoek et al. 2012).
        trials: how many; null is 32, and all of a list or a grid.
        first: trials that come before the others and count as such, each a mapping of values by
            path; for every driver but "manual".
        batch: how many trials "tpe" and "gp" ask for at once. Within a batch they are
            taken for bad ones, or mean ones, so that they differ (the constant liar).
        pruning: which trials end early, by the stop part: by `metric` where early stopping
            measures it there, else by accuracy where more of it is better, else by the loss.
            "median": those worse than the median at epochs 1, 2, 4, ...; "successive_halving":
            all but the best third at epochs that grow by 3 (Jamieson & Talwalkar 2016);
            "hyperband": the same in brackets of several first epochs (Li et al. 2018); null for
            none.
        metric: of a trial on the validation part.
        choose: which trial wins, is listed first, and is the first of an ensemble "top": "best" by
            `metric`; or by the "one_standard_error" rule (Breiman et al. 1984, section 3.4.3) the
            simplest one whose score lies within a standard error of the best: the one of fewest
            trainable parameters, of these the one of fewest epochs.
        nested: nested cross-validation: beside the search itself, the whole of it is done on all
            rows but each of so many outer folds, which its ensemble is tested on; null for none.
        top: how many trials the ensemble is made of, at most.
        ensemble: "top": the best by `metric`, as they are; "greedy": those that a selection by
            the NLL of their mixture takes (Caruana et al. 2004); "hyper_deep": these, each trained
            from further initialisations, and selected again (Wenzel et al. 2020).
    """

    space: Annotated[
        Annotated[Space, Tag("mapping")]
        | Annotated[Listed, Tag("list")]
        | Annotated[ReadySpace, Tag("name")],
        Discriminator(_form),
    ]
    driver: DriverName = "random"
    trials: Annotated[int, Ge(1), Le(MOST_LEARNERS)] | None = None
    first: Listed = ()
    batch: Annotated[int, Ge(1)] = BATCH
    pruning: Pruning | None = None
    metric: MetricName = "nll"
    choose: Choice = "best"
    nested: Annotated[int, Ge(2), Le(100)] | None = None
    top: Annotated[int, Ge(1)] = 5
    ensemble: EnsembleName = "top"

    def __post_init__(self) -> None:
        if not self.space:
            raise ValueError("space: is empty; name hyperparameters and their values")
        if isinstance(self.space, tuple) != (self.driver == "manual"):
            raise ValueError(
                "driver: manual goes with a list of trials as space, and only with one"
            )
        if self.driver == "manual" and self.first:
            raise ValueError("first: manual takes the trials of its list alone; leave it out")
        if self.driver in ("manual", "grid") and self.trials is not None:
            raise ValueError(f"trials: {self.driver} takes all there are; leave it out")
        if self.ensemble == "hyper_deep" and self.top < 2:
            raise ValueError("top: hyper_deep needs 2 or more, one for each initialisation")
