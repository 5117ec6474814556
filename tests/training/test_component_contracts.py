"""What a class must have to be a component, checked when it is handed in."""

import threading
from collections.abc import Callable
from typing import Any, Literal

import pytest

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.layers import Layer
from ensemble_pipe.nn.losses import LossFunction
from ensemble_pipe.optim import Update
from ensemble_pipe.training.components import custom_components


@settings
class Nothing:
    name: Literal["nothing"] = "nothing"


class NoDataclass(Layer):
    name = "no_dataclass"


@settings
class Abstract(Layer):
    name: Literal["abstract"] = "abstract"


@settings
class Taken(Layer):
    name: Literal["dense"] = "dense"

    def bind(self, binding: Any) -> Any: ...


@settings
class TwoNames(Taken):
    name: Literal["one", "two"] = "one"  # type: ignore[assignment]


@settings
class SameName(Taken):
    name: Literal["other"] = "other"  # type: ignore[assignment]


@settings
class AsSameName(Taken):
    name: Literal["other"] = "other"  # type: ignore[assignment]


@settings
class OddName(Taken):
    name: Literal["my layer"] = "my layer"  # type: ignore[assignment]


@settings
class NoTask(LossFunction):
    name: Literal["no_task"] = "no_task"


@settings
class OddTask(NoTask):
    task = "clustering"  # type: ignore[assignment]


@settings
class NoKernel(Update):
    name: Literal["no_kernel"] = "no_kernel"


@settings
class OddRows:
    rows = "sounds"
    name: Literal["odd_rows"] = "odd_rows"

    def apply(self) -> None: ...


@settings
class NoRoles:
    source: Literal["no_roles"] = "no_roles"

    def open(self) -> None: ...


@settings
class Unreadable(Taken):
    name: Literal["unreadable"] = "unreadable"  # type: ignore[assignment]
    field: Callable[..., None] | threading.Thread | None = None


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([Nothing], "Nothing is no component: a layer extends nn.layers.Layer"),
        (None, "expected a list of classes, got None"),
        ("Taken", "expected a list of classes, got 'Taken'"),
        ({"taken": Nothing}, "expected a list of classes, got {"),
        (Nothing, "expected a list of classes, got the class Nothing; write components=[Nothing]"),
        (Nothing(), "expected a list of classes, got Nothing(name='nothing')"),
        ([Nothing()], "expected a list of classes, got one with Nothing(name='nothing') in it"),
        ([3], "expected a list of classes, got one with 3 in it"),
        ([NoDataclass], "NoDataclass is no frozen dataclass; decorate it"),
        ([NoDataclass], 'NoDataclass needs the field name: Literal["..."] = "..."'),
        ([Taken], "Taken is named 'dense', as a layer of the package is"),
        ([TwoNames], 'TwoNames needs the field name: Literal["..."]'),
        ([OddName], "OddName is named 'my layer'; a name is of small letters, digits"),
        ([SameName, AsSameName], "AsSameName is named 'other', as SameName is"),
        ([OddTask], "OddTask has task = 'clustering'; valid: classification, regression"),
        ([OddRows], "OddRows has rows = 'sounds'; valid: images, table, series"),
        ([Unreadable], "Unreadable has a field that cannot be read from a pipeline"),
    ],
)
def test_what_is_wrong_with_a_class_is_said_when_it_is_handed_in(
    classes: Any, message: str
) -> None:
    with pytest.raises(ConfigError) as caught, custom_components(classes):
        pass
    assert f"components: {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("lacking", "members", "kind"),
    [
        (Abstract, "bind", "layer"),
        (NoTask, "task, outputs, predictions, kernel", "loss"),
        (NoKernel, "kernel, slots", "update rule"),
        (NoRoles, "roles", "data source"),
    ],
)
def test_what_a_class_lacks_is_named(lacking: Any, members: str, kind: str) -> None:
    with pytest.raises(ConfigError) as caught, custom_components([lacking]):
        pass
    message = f"components: {lacking.__name__} lacks {members}, which every {kind} has"
    assert message in str(caught.value)


def test_every_class_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught, custom_components([Nothing, Taken, NoTask]):
        pass
    assert len(str(caught.value).splitlines()) == 3


def test_the_same_class_may_be_handed_in_twice() -> None:
    with custom_components([SameName, SameName]), custom_components([SameName]):
        pass


# Runs
