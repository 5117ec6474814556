"""The reference of a pipeline's settings: a page for each kind of component.

Every class of settings that a pipeline file can name is found from the types of `Pipeline`, so a
new component needs no entry here; it goes to the page of the folder that it lies in.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, NamedTuple, get_args, get_type_hints

import yaml
from pydantic import BaseModel

from ensemble_pipe.config.sections import Pipeline


class Page(NamedTuple):
    """A page of the reference.

    Attributes:
        title: its heading.
        modules: settings of modules that begin so stand here.
        text: what comes first.
        more: other modules or objects, all of whose public names are shown.
    """

    title: str
    modules: tuple[str, ...]
    text: str
    more: tuple[str, ...] = ()


_PAGES = {
    "pipeline": Page(
        "Pipelines", ("config",), "The sections of a pipeline file, also as Python objects."
    ),
    "data": Page(
        "Sources and scaling", ("data",), "Usage: [Data](../data.md), [Splits](../splits.md)."
    ),
    "augmentations": Page(
        "Augmentations",
        ("data.augment",),
        "Usage: [images](../augmentation.md), [rows](../augmentation_rows.md), and "
        "[at prediction](../prediction_draws.md).",
    ),
    "networks": Page(
        "Networks and layers",
        ("nn",),
        "Usage: [Networks](../networks.md), [Layers](../layers.md).",
    ),
    "losses": Page("Losses", ("nn.losses",), "Usage: [Losses](../losses.md)."),
    "optimizers": Page(
        "Optimizers and schedules",
        ("optim", "training.stopping", "training.regularization"),
        "Usage: [Optimizers](../optimizers.md).",
        ("ensemble_pipe.optim.update.Update",),
    ),
    "ensembles": Page(
        "Ensembles and combiners",
        ("ensemble", "training.estimator_settings"),
        "Usage: [Ensembles](../ensembles.md), [Uncertainty](../uncertainty.md).",
        ("ensemble_pipe.ensemble.combiners",),
    ),
}


def reference_pages() -> dict[str, str]:
    """Return the text of each page, by its name without ending."""
    found: dict[str, list[str]] = {name: [] for name in _PAGES}
    for kind in settings_classes(Pipeline):
        found[_page_of(kind)].append(_entry(kind))
    for name, page in _PAGES.items():
        found[name] += [f"::: {path}" for path in page.more]
    return {name: _text(page, found[name]) for name, page in _PAGES.items()}


def settings_classes(kind: Any) -> list[type]:
    """Return all classes of settings that a type holds, each before those within it."""
    found: dict[type, None] = {}
    _collect(kind, found)
    return list(found)


def _collect(kind: Any, found: dict[type, None]) -> None:
    if not isinstance(kind, type) or get_args(kind):
        for argument in get_args(kind):
            _collect(argument, found)
    elif kind not in found and (is_dataclass(kind) or issubclass(kind, BaseModel)):
        found[kind] = None
        for inner in _types_of_fields(kind):
            _collect(inner, found)


def _types_of_fields(kind: type) -> Iterator[Any]:
    hints = get_type_hints(kind)
    return (hints[name] for name in _defaults(kind))


def _defaults(kind: type) -> dict[str, Any]:
    """Return the default of each setting of a class; MISSING where it must be given."""
    if issubclass(kind, BaseModel):
        return {
            name: MISSING if field.is_required() else field.get_default(call_default_factory=True)
            for name, field in kind.model_fields.items()
        }
    return {field.name: _default(field) for field in fields(kind)}  # type: ignore[arg-type]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _entry(kind: type) -> str:
    """Return what a page says of a class: its docstring, and its keys with their defaults."""
    defaults = sorted(_defaults(kind).items(), key=lambda item: item[0] != "name")
    keys = [
        f"`{name}`" if value is MISSING else f"`{name}: {_shown(value)}`"
        for name, value in defaults
    ]
    path = f"{kind.__module__}.{kind.__qualname__}"
    lines = [f"::: {path}", "    options: {members: false}"]
    return "\n".join([*lines, "", f"Keys and defaults: {', '.join(keys)}."] if keys else lines)


def _shown(value: Any) -> str:
    """Return a default as YAML; of settings within others the name."""
    if is_dataclass(value) or isinstance(value, BaseModel):
        names = (key for key in ("name", "source") if hasattr(value, key))
        inner = {key: getattr(value, key) for key in names}
    else:
        inner = value
    return yaml.safe_dump(inner, default_flow_style=True, width=10_000).split("\n")[0]


def _page_of(kind: type) -> str:
    """Return the page with the longest module name that a class's own begins with."""
    module = kind.__module__.removeprefix("ensemble_pipe.") + "."
    fitting = [
        (len(start), name)
        for name, page in _PAGES.items()
        for start in page.modules
        if module.startswith(f"{start}.")
    ]
    if not fitting:
        raise SystemExit(f"{__file__}: no page for the settings of ensemble_pipe.{module[:-1]}")
    return max(fitting)[1]


def _text(page: Page, entries: list[str]) -> str:
    return "\n\n".join([f"# {page.title}", page.text, *entries]) + "\n"
