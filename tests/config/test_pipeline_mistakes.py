"""Mistakes in a pipeline file, and files that are none."""

import itertools
from pathlib import Path

import pytest
from loading import Load, refusal

from ensemble_pipe.config import yaml_documents
from ensemble_pipe.config.reading import Pipeline, load_pipeline
from ensemble_pipe.config.yaml_documents import read_document
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.augment.policy import STEPS
from ensemble_pipe.data.sources import SOURCES
from ensemble_pipe.nn.layers import ACTIVATIONS
from ensemble_pipe.optim import (
    RULES,
)

# Mistakes

MANY_MISTAKES = """\
sed: 2
name: "two words"
task: clasification
data: {source: tabel, path: x}
splits:
  test: 1.5
  valdation: 0.1
  stop: -1
augment:
  - {name: horizontal_flop}
  - {name: shift_crop, pixels: -1}
  - {pixels: 2}
network: {hidden: [0], activation: rely}
training:
  epochs: many
  optimizer:
    name: adm
    learning_rate: 1
  schedule: {name: snapshot, cycle: 2}
ensemble:
  learners: 0
  vary: {training.epochs: {low: 2, high: 1}}
cluster: {retrys: 2}
"""

THEIR_MESSAGES = """\
name: string should match pattern '^[A-Za-z0-9][A-Za-z0-9_.-]*$', got 'two words' (p.yaml:2)
task: unknown 'clasification'; did you mean 'classification'? valid: classification, regression \
(p.yaml:3)
data.source: unknown 'tabel'; did you mean 'table'? valid: {sources}{own} (p.yaml:4)
splits.test: input should be less than 1, got 1.5 (p.yaml:6)
splits.stop: input should be greater than 0, got -1 (p.yaml:8)
splits.valdation: unknown key 'valdation'; did you mean 'validation'? \
valid: folds, outer, refit, stop, test, train, validation (p.yaml:7)
augment.0.name: unknown 'horizontal_flop'; did you mean 'horizontal_flip'? \
valid: {augmentations}{own} (p.yaml:10)
augment.1.pixels: input should be greater than or equal to 0, got -1 (p.yaml:11)
augment.2: 'name' is missing; it selects the kind (p.yaml:12)
network.hidden.0: input should be greater than 0, got 0 (p.yaml:13)
network.activation: unknown 'rely'; did you mean 'relu'? valid: {activations} \
(p.yaml:13)
training.epochs: expected a whole number, got 'many' (p.yaml:15)
training.optimizer.name: unknown 'adm'; did you mean 'adam'? valid: {rules}{own} (p.yaml:17)
training.schedule.cycle: unknown key 'cycle'; did you mean 'cycles'? valid: cycles, name \
(p.yaml:19)
ensemble.learners: input should be greater than or equal to 1, got 0 (p.yaml:21)
ensemble.vary.training.epochs: low (2.0) must be less than high (1.0), \
got {{'low': 2, 'high': 1}} (p.yaml:22)
cluster.retrys: unknown key 'retrys'; did you mean 'retries'? \
valid: cpus_per_trainer, executor, retries, stack, trainers (p.yaml:23)
sed: unknown key 'sed'; did you mean 'seed'? valid: {sections} (p.yaml:1)"""


OWN = (
    "; if it is a component of your own, run the pipeline in Python, with its class: "
    "ensemble_pipe.run(PIPELINE, components=[...])"
)


def test_every_mistake_is_reported_at_once_with_its_line(load: Load) -> None:
    expected = THEIR_MESSAGES.format(
        sources=", ".join(sorted(SOURCES)),
        activations=", ".join(sorted(ACTIVATIONS)),
        augmentations=", ".join(sorted(STEPS)),
        rules=", ".join(sorted(RULES)),
        own=OWN,
        sections=", ".join(sorted(Pipeline.model_fields)),
    )
    assert refusal(load, MANY_MISTAKES).splitlines() == expected.splitlines()


def test_mistakes_in_a_section_of_augmentations_name_their_keys(load: Load) -> None:
    text = "augment:\n  policy:\n    - {name: shift_crop, pixels: -1}\n    - {}\n  pol: 3\n"
    assert refusal(load, text).splitlines() == [
        "augment.policy.0.pixels: input should be greater than or equal to 0, got -1 (p.yaml:3)",
        "augment.policy.1: 'name' is missing; it selects the kind (p.yaml:4)",
        "augment.pol: unknown key 'pol'; did you mean 'pool'? "
        "valid: memory_mb, policy, pool, share, test_draws, test_policy (p.yaml:5)",
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "{kind: categry}",
            "data.columns.a.kind: unknown 'categry'; did you mean 'category'? "
            "valid: auto, category, date, number (p.yaml:5)",
        ),
        (
            "{encode: code}",
            "data.columns.a.encode: unknown key 'encode'; valid: indicator, kind, missing "
            "(p.yaml:5)",
        ),
        (
            "{kind: category, missing: mean}",
            "data.columns.a.missing: unknown 'mean'; valid: auto, category, error, most_frequent "
            "(p.yaml:5)",
        ),
    ],
)
def test_a_mistake_in_the_rule_of_a_column_names_it(rule: str, message: str, load: Load) -> None:
    text = "data:\n  source: table\n  path: x\n  label: y\n  columns: {a: %s}\n"
    assert refusal(load, text % rule) == message


def test_a_missing_key_is_named(load: Load) -> None:
    message = refusal(load, "seed: 1\ndata: {source: table, path: x}")
    assert message == "data.label: is missing; it has no default (p.yaml:2)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network: 3", "network: expected a mapping (key: value), got 3"),
        ("splits: [0.1, 0.2]", "splits: expected a mapping (key: value), got a list"),
        ("training:\n", "training: expected a mapping (key: value), got nothing"),
        ("data: {source: table, path: x, label: y, columns: [a]}",
         "data.columns: expected a mapping (key: value), got a list"),
        ("network: {hidden: 8}", "network.hidden: expected a list ([a, b]), got 8"),
        ("network: {hidden: {a: 1}}", "network.hidden: expected a list ([a, b]), got a mapping"),
        ("name: [a]", "name: expected text, got a list"),
        ("seed: 1.5", "seed: expected a whole number, got 1.5"),
        ("seed: {}", "seed: expected a whole number, got a mapping"),
        ("training: {epochs: many}", "training.epochs: expected a whole number, got 'many'"),
        ("splits: {test: half}", "splits.test: expected a number, got 'half'"),
        ("tracking: {mlflow: maybe}", "tracking.mlflow: expected true or false, got 'maybe'"),
        (
            "tracking: {tags: {mlflow.user: me}}",
            "tracking: tags: 'mlflow.user' is not for users; names that begin with 'mlflow.' or "
            "'ensemble_pipe.' have a meaning of their own, got {'tags': {'mlflow.user': 'me'}}",
        ),
        (f"seed: {'x' * 999}", f"seed: expected a whole number, got '{'x' * 59}..."),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_named_in_plain_words(
    text: str, message: str, load: Load
) -> None:
    assert refusal(load, text) == f"{message} (p.yaml:1)"


# YAML


def test_every_key_and_item_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("a:\n  b: 1\n\n  c:\n    - x\n    - {d: 2,\n       e: 3}\nf: 4\n")
    assert read_document(path).lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
        ("a", "c", 1): 6,
        ("a", "c", 1, "d"): 6,
        ("a", "c", 1, "e"): 7,
        ("f",): 8,
    }


def test_a_key_that_stands_nowhere_is_placed_at_the_nearest_one_above(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("seed: 1\ntraining:\n  epochs: 2\n")
    document = read_document(path)
    assert document.at(("training", "optimizer", "name")) == f" ({path}:2)"
    assert document.at(("nowhere",)) == f" ({path})"


def test_an_alias_may_repeat_a_value(load: Load) -> None:
    text = "splits: {test: &share 0.2, stop: *share}"
    assert load(text).splits.stop == 0.2


def test_values_without_an_end_are_refused_before_they_are_all_read(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_documents, "MOST_VALUES", 50)
    with pytest.raises(ConfigError, match=r":2: not valid YAML: it holds more than .* values"):
        load(f"data: [{'[],' * 90}\n{'[],' * 90}\n no end")


# Each line holds ten times what the one before it holds.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{below}'] * 10)}]\n"
    for below, name in itertools.pairwise("abcdefghi")
)
DEEP = "values are nested more than 64 deep"
ALIASES = "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
# Each mapping takes in ten times what the one before it holds.
MERGES = "a: &a {k0: 1, k1: 1, k2: 1, k3: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{below}'] * 10)}]}}\n"
    for below, name in itertools.pairwise("abcdefghijk")
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "p.yaml: the file is empty or holds no keys; see pipelines/digits.yaml"),
        ("- 1\n", "p.yaml: the file is empty or holds no keys; see pipelines/digits.yaml"),
        (
            "seed: 1\ntraining:\n  epochs: 1\n  epochs: 2\n",
            "training.epochs: duplicate key, first in line 3 (p.yaml:4)",
        ),
        ("a: 1\nseed: [1,\nname: x\n", "p.yaml:4: not valid YAML: expected ',' or ']'"),
        ("training:\n\tepochs: 1\n", "p.yaml:2: not valid YAML: found character '\\t'"),
        ("seed: 1\n---\nseed: 2\n", "p.yaml:2: not valid YAML: but found another document"),
        ("seed: 1\nname: *n\n", "p.yaml:2: not valid YAML: found undefined alias 'n'"),
        ("a:\n  ? [x, y]\n  : 1\n", "p.yaml:2: a list or mapping cannot be a key; name a word"),
        ("a: &a\n  b: *a\n", "p.yaml:1: this value holds itself by an alias"),
        (BOMB, "p.yaml: holds more than 100000 values, by its aliases; write them out"),
        ("name: 2020-02-31\n", "p.yaml: not valid YAML: day "),
        ("seed: !!int many\n", "p.yaml: not valid YAML: invalid literal for int()"),
        (b"seed: 1\x00\n", "p.yaml: not valid YAML: unacceptable character #x0000"),
        ("seed: " + "[" * 20_000, f"p.yaml:1: not valid YAML: {DEEP}"),
        ("a: 1\nb: " + "{a: " * 20_000, f"p.yaml:2: not valid YAML: {DEEP}"),
        ("a:\n" + "- " * 20_000, f"p.yaml:2: not valid YAML: {DEEP}"),
        ("a: &a0 [x]\n" + ALIASES, f"p.yaml:1: {DEEP}"),
        (MERGES, "p.yaml: holds more than 100000 values, by its aliases; write them out"),
        ("name: " + "x" * (1 << 22), "p.yaml: has more than 4194304 bytes"),
        ('name: "\\ud800"\n', "p.yaml:1: holds half of a surrogate pair"),
        ("seed: " + "1" * 9999, "p.yaml: not valid YAML: Exceeds the limit"),
        ("seed: 0x" + "f" * 9999, "p.yaml:1: not valid YAML: a number is far too large"),
        ("seed: 0" + "1" * 9999, "p.yaml:1: not valid YAML: a number is far too large"),
        (b"name: \xe9\n", "p.yaml: cannot be read ('utf-8' codec can't decode byte 0xe9"),
    ],
)
def test_what_is_no_pipeline_file_is_refused(
    content: str | bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("p.yaml")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as refused:
        load_pipeline(path)
    assert str(refused.value).startswith(message)


def test_nothing_in_a_pipeline_file_is_executed(load: Load, tmp_path: Path) -> None:
    text = 'seed: 1\nname: !!python/object/apply:os.mkdir ["made"]\n'
    assert refusal(load, text).startswith("p.yaml:2: not valid YAML: could not determine a cons")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent.yaml", "absent.yaml: no such pipeline file"), (".", ".: cannot be read (")],
)
def test_a_path_to_no_file_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        load_pipeline(Path(name))
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(("text", "message"), [
    ("epochs: 3\n", "epochs: unknown key 'epochs'; did you mean training.epochs? valid: augment, "),
    ("training: {learning_rate: 1}\n",
     "training.learning_rate: unknown key 'learning_rate'; did you mean "
     "training.optimizer.learning_rate? valid: "),
    ("label: y\n", "label: unknown key 'label'; did you mean data.label? valid: "),
    ("set: y\n", "set: unknown key 'set'; valid: augment, "),
    ("network: cnn\n", "network: expected a mapping (key: value), got 'cnn'; write {name: cnn} ("),
    ("training: {schedule: cosin}\n",
     "training.schedule: expected a mapping (key: value), got 'cosin'; write {name: cosine} ("),
    ("data: t.csv\n",
     "data: expected a mapping (key: value), got 't.csv'; write {source: ...} with one of: "),
    ("ensemble: {vary: {training.epochs: 3}}\n",
     "ensemble.vary.training.epochs: expected a list of values, or {low: ..., high: ...}, got 3 ("),
    ("classes: [1]\n", "classes: has 1 items; at least 2 ("),
])  # fmt: skip
def test_a_message_says_what_would_be_right(load: Load, text: str, message: str) -> None:
    assert refusal(load, text).startswith(message)
