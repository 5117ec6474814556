"""Column rules and roles of a pipeline: how columns are read, and which are labels or features."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from ensemble_pipe.core.errors import ConfigError, DataError
from ensemble_pipe.core.messages import MOST_CHARACTERS
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.tables.missing import Missing

Fill = Literal["auto", "error", "mean", "median"] | float


@settings
class AutoRule:
    """A column of any kind, which is recognised by its values in the training part.

    Numbers, dates and categories get the treatment that suits them; identifiers, constants, empty
    columns and those of types that cannot be learned from are left out. What is done is shown
    before training.
    """

    kind: Literal["auto"] = "auto"


@settings
class NumberRule:
    """A column of numbers; true is 1 and false 0.

    Attributes:
        missing: what stands for a missing value (null, or NaN): "auto" the median of the training
            part, with an indicator where that has missing values; the mean or median of the
            training part, or a number; "error" refuses it.
        indicator: whether a further feature is 1 where values were missing and 0 elsewhere.
    """

    kind: Literal["number"] = "number"
    missing: Fill = "auto"
    indicator: bool = False


@settings
class DateRule:
    """A column of dates or times, read as seconds since 1970 and then a number like others.

    Text in it is ISO 8601, such as 2026-02-28 or 2026-02-28T12:30:00+01:00. A time without a zone
    is taken as UTC.

    Attributes:
        missing, indicator: as for numbers; the number is in seconds since 1970.
    """

    kind: Literal["date"] = "date"
    missing: Fill = "auto"
    indicator: bool = False


@settings
class CategoryRule:
    """A column of category names.

    Text that reads as a number is that number, so that 3, "3" and 3.0 are one category, and true
    and false are one in any case. Empty text is a missing value.

    Attributes:
        missing: "auto" and "category" make the missing value a category of its own, which is
            unseen where the training part has no missing value; "most_frequent" takes the most
            frequent category of the training part; "error" refuses it.
        unseen: what a category that the training part does not have becomes: "ignore" none of them
            (all zeros, or code 0); "error" refuses it.
        encode: "one_hot" gives a feature of 0 or 1 for each category; "code" one feature with the
            number of the category, from 1 on, for a network that embeds it. Of more than 10,000
            categories the codes are hashes of their names.
    """

    kind: Literal["category"] = "category"
    missing: Literal["auto", "error", "category", "most_frequent"] = "auto"
    unseen: Literal["ignore", "error"] = "ignore"
    encode: Literal["one_hot", "code"] = "one_hot"


def rule_line(name: str, rule: str) -> str:
    """Return the line of YAML that gives a column a rule, to paste into a pipeline.

    A very long name is cut to a pattern.

    >>> rule_line("age", "missing: mean")
    'columns: {age: {missing: mean}}'
    """
    if len(name) > MOST_CHARACTERS:
        name = f"{name[:MOST_CHARACTERS]}*"
    plain = re.fullmatch(r"[A-Za-z_][\w.-]*", name) and name.lower() not in _YAML_WORDS
    return f"columns: {{{name if plain else json.dumps(name)}: {{{rule}}}}}"


def rule_error(problem: str, name: str, rule: str, advice: str) -> DataError:
    """Return the error for a value that violates the rule of its column.

    Args:
        problem: the mistake and its place.
        name: of the column.
        rule: one that would accept the value.
        advice: with `{}` in place of the line of YAML with this rule.
    """
    line = f"`{rule_line(name, rule)}`"
    return DataError(
        f"{problem}; {advice.format(line)}",
        f"{problem}; fill in what the model can take, or leave the row out, or train with {line}",
    )


_YAML_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind", "number"))
    return str(getattr(value, "kind", "number"))


def _any_branch(schema: dict[str, Any]) -> None:
    """Let an editor accept a rule without its kind, which then matches several branches."""
    schema["anyOf"] = schema.pop("oneOf")


ColumnRule = Annotated[
    Annotated[AutoRule, Tag("auto")]
    | Annotated[NumberRule, Tag("number")]
    | Annotated[DateRule, Tag("date")]
    | Annotated[CategoryRule, Tag("category")],
    Discriminator(_kind),
    Field(json_schema_extra=_any_branch),
]


ExplicitRule = NumberRule | DateRule | CategoryRule
AnyRule = AutoRule | ExplicitRule


@dataclass(frozen=True)
class Roles:
    """The roles of the columns.

    Attributes:
        features: the columns that are learned from, in order; of images the one column "image".
        label: the column to predict, or several columns of numbers; None where there is none.
        weight: of each row in the loss.
        group: rows of one group never stand on both sides of a split.
        time: the splits follow its order.
        test_where: true in the rows of the official test part.
        rules: of the features, by name or by pattern such as "x*".
        missing_values: texts that stand for a missing value.
    """

    features: tuple[str, ...]
    label: str | tuple[str, ...] | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    test_where: str | None = None
    rules: Mapping[str, AnyRule] = field(default_factory=dict)
    missing_values: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns to predict."""
        if self.label is None:
            return ()
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def missing(self) -> Missing:
        """The values that mean a missing one, in a column of any kind."""
        return Missing(self.missing_values)

    def as_written(self, task: str) -> tuple[str, ...]:
        """Return the columns of names, which are read as text from a file without types."""
        names = [name for name in self.features if isinstance(self.rule(name), CategoryRule)]
        names += [] if self.group is None else [self.group]
        return (*names, *(self.labels if task == "classification" else ()))

    def require_labels_for(self, task: str, *, chosen: bool) -> None:
        """Raise ConfigError where several labels are named, but only one is allowed.

        Args:
            task: classification or regression.
            chosen: whether rows of some classes are chosen.
        """
        if len(self.labels) > 1 and task == "classification":
            raise ConfigError(
                f"data.label: names {len(self.labels)} columns, but a classifier predicts one; set "
                "`task: regression` to predict numbers, or name one column"
            )
        if len(self.labels) > 1 and chosen:
            raise ConfigError("classes: chooses rows by one label, but data.label names several")

    def rule(self, name: str) -> AnyRule:
        """Return the rule of a feature: that of its name, or else of the last matching pattern."""
        fitting = [rule for pattern, rule in self.rules.items() if fnmatchcase(name, pattern)]
        return self.rules.get(name, fitting[-1] if fitting else AutoRule())
