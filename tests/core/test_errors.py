"""The tree of errors: its docstring, its `__all__` and its classes say the same."""

import re

import pytest
import typer

from ensemble_pipe.cli import support as cli_support
from ensemble_pipe.core import errors
from ensemble_pipe.core.errors import EnsemblePipeError, InputError

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, Exception)
}


def drawn_tree() -> dict[str, str]:
    """Return the parent of each class by the drawing in the module's docstring."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ │├└─]*)(\w+Error)\b", line)
        if found:
            depth = (len(found[1]) - 4) // 4
            above[depth] = found[2]
            parents[found[2]] = above[depth - 1] if depth else "Exception"
    return parents


def test_all_names_every_class_in_order() -> None:
    assert errors.__all__ == sorted(CLASSES)


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    assert drawn_tree() == {name: kind.__mro__[1].__name__ for name, kind in CLASSES.items()}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_class_says_what_it_is_for(name: str) -> None:
    own = vars(CLASSES[name])["__doc__"]
    assert own.rstrip().endswith(".")


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_exit_status_is_2_for_wrong_input_and_1_for_the_rest(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = CLASSES[name]
    with pytest.raises(typer.Exit) as ending, cli_support.errors():
        raise kind("what was wrong")
    assert ending.value.exit_code == (2 if issubclass(kind, InputError) else 1)
    assert capsys.readouterr().err == "error: what was wrong\n"


def test_one_except_clause_catches_them_all() -> None:
    assert all(issubclass(kind, EnsemblePipeError) for kind in CLASSES.values())
