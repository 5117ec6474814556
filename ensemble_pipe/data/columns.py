"""What a pipeline says of the columns of its data: what each is for, and how it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from ensemble_pipe.settings import settings

Fill = Literal["error", "mean", "median"] | float


@settings
class NumberRule:
    """A column of numbers.

    Attributes:
        missing: what stands for a missing value: the mean or median of the training part, or a
            number; "error" refuses it.
        indicator: whether a further feature says where values were missing (1) and where not (0).
    """

    kind: Literal["number"] = "number"
    missing: Fill = "error"
    indicator: bool = False


@settings
class DateRule:
    """A column of dates or times, read as seconds since 1970.

    Attributes:
        missing, indicator: as for numbers.
    """

    kind: Literal["date"] = "date"
    missing: Fill = "error"
    indicator: bool = False


@settings
class CategoryRule:
    """A column of category names.

    Attributes:
        missing: "category" makes the missing value a category of its own; "most_frequent" takes
            the most frequent one of the training part; "error" refuses it.
        unseen: what a category that the training part does not have becomes: "ignore" none of them
            (all zeros, or code 0); "error" refuses it.
        encode: "one_hot" gives a feature of 0 or 1 for each category; "code" one feature with the
            number of the category, from 1 on, for a network that embeds it.
    """

    kind: Literal["category"] = "category"
    missing: Literal["error", "category", "most_frequent"] = "error"
    unseen: Literal["ignore", "error"] = "ignore"
    encode: Literal["one_hot", "code"] = "one_hot"


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind", "number"))
    return str(getattr(value, "kind", "number"))


ColumnRule = Annotated[
    Annotated[NumberRule, Tag("number")]
    | Annotated[DateRule, Tag("date")]
    | Annotated[CategoryRule, Tag("category")],
    Discriminator(_kind),
]


@dataclass(frozen=True)
class Roles:
    """What each column is for.

    Attributes:
        features: the columns that are learned from, in order; of images the one column "image".
        label: the column to predict; None where there is none.
        weight: of each row in the loss.
        group: rows of one group never stand on both sides of a split.
        time: the splits follow its order.
        rules: of the features, by name or by pattern such as "x*".
    """

    features: tuple[str, ...]
    label: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    rules: Mapping[str, NumberRule | DateRule | CategoryRule] = field(default_factory=dict)

    def rule(self, name: str) -> NumberRule | DateRule | CategoryRule:
        """Return the rule of a feature: that of its name, or else of the last pattern that fits."""
        fitting = [rule for pattern, rule in self.rules.items() if fnmatchcase(name, pattern)]
        return self.rules.get(name, fitting[-1] if fitting else NumberRule())
