"""Runs the pipelines of the technique pages, draws their pictures, and writes what was measured.

    python docs/generate_techniques.py whitening        # trains, keeps the figures, draws, writes
    python docs/generate_techniques.py                  # the same for every page
    python docs/generate_techniques.py --kept           # draws and writes from the kept figures

A page is made of four files of one name:

- `pipelines/techniques/NAME.yaml`: small, on data that ships, its header as in pipelines/; a page
  that takes two has a NAME_OTHER.yaml beside.
- `docs/techniques/NAME.py`: `TECHNIQUE`, a `techniques.frame.Technique`: its runs as settings
  beside the pipeline, its picture, its table, and what the literature claims beside what was seen.
  The import below adds it to the list.
- `docs/techniques/NAME.md`: title, a sentence of what it is (which the index takes), formula and
  source; the markers `pipelines` and `measured`, which this script fills; each picture,
  `![what it shows](../pictures/techniques/FILE.svg)`. Add it to `nav` in mkdocs.yml.
- `docs/techniques/figures/NAME.json`: the kept figures, written by this script, as are the
  pictures in docs/pictures/techniques and the list in docs/techniques/index.md.

tests/test_techniques.py runs every page's pipelines with its `small` settings.
"""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # so that the package is the checkout's, not an installed one

import yaml  # noqa: E402
from generated_parts import replace_part  # noqa: E402
from techniques import (  # noqa: E402
    activations,
    augmentation,
    batch_norm,
    dropout,
    early_stopping,
    four_ensembles,
    fractional_pooling,
    hinge_and_softmax,
    label_smoothing,
    mc_dropout_and_bagging,
    mixup_and_cutout,
    optimizers,
    penalties,
    schedules,
    search,
    separable_convolution,
    seven_steps,
    snapshots,
    transfer,
    trees_and_networks,
    whitening,
    wide_and_deep,
)
from techniques.frame import Outcomes, Settings, Technique, markdown, pipeline  # noqa: E402

from ensemble_pipe.core.messages import shell_word  # noqa: E402
from ensemble_pipe.report.drawing import save_figure  # noqa: E402

# In the order of the index and of the site.
TECHNIQUES: tuple[Technique, ...] = tuple(
    module.TECHNIQUE
    for module in (
        optimizers,
        schedules,
        penalties,
        label_smoothing,
        early_stopping,
        dropout,
        batch_norm,
        whitening,
        augmentation,
        mixup_and_cutout,
        fractional_pooling,
        separable_convolution,
        wide_and_deep,
        transfer,
        four_ensembles,
        snapshots,
        trees_and_networks,
        search,
        seven_steps,
        activations,
        hinge_and_softmax,
        mc_dropout_and_bagging,
    )
)
INDEX = ROOT / "docs" / "techniques" / "index.md"
PICTURES = ROOT / "docs" / "pictures" / "techniques"
COMMAND = "python docs/generate_techniques.py"


def pages() -> dict[Path, str]:
    """Return the text of every page and of the index, made of the kept figures, by its path."""
    found = {one.page: page_of(one, one.kept()) for one in TECHNIQUES}
    lines = "\n".join(_index_line(one.page) for one in TECHNIQUES)
    found[INDEX] = replace_part(INDEX, INDEX.read_text(encoding="utf-8"), "list", lines, COMMAND)
    return found


def page_of(technique: Technique, outcomes: Outcomes) -> str:
    """Return a technique's page with its generated parts made anew."""
    path = technique.page
    page = path.read_text(encoding="utf-8")
    page = replace_part(path, page, "pipelines", _pipelines(technique), COMMAND)
    return replace_part(path, page, "measured", measured(technique, outcomes), COMMAND)


def measured(technique: Technique, outcomes: Outcomes) -> str:
    """Return the measured figures, and beside what the literature claims what was seen."""
    rows = [
        (one.claim, f"{'**Seen.**' if one.holds else '**Not seen.**'} {one.seen}")
        for one in technique.seen(outcomes)
    ]
    claims = markdown(("what the literature claims", "what was seen here"), rows)
    return f"{technique.table(outcomes)}\n\n{claims}"


def draw(technique: Technique, outcomes: Outcomes, folder: Path = PICTURES) -> None:
    """Write a technique's pictures."""
    for name, figure in technique.draw(outcomes).items():
        save_figure(figure, folder / f"{name}.svg")


def _pipelines(technique: Technique) -> str:
    """Return each pipeline, and the settings that are added for each of its runs."""
    parts = []
    for name, runs in technique.runs.items():
        table = markdown(("run", "set beside the pipeline"), _runs(runs))
        parts += [f"```yaml\n{pipeline(name).read_text(encoding='utf-8')}```", table]
    return "\n\n".join(parts)


def _runs(runs: Mapping[str, Settings]) -> list[tuple[str, str]]:
    """Return the label and the settings of each run; of a kind with several seeds in one line."""
    seeds: dict[str, list[object]] = {}
    rows: dict[str, tuple[str, str]] = {}
    for label, own in runs.items():
        kind, is_seeded, _ = label.partition(", seed ")
        if not is_seeded:
            rows[label] = label, _settings(own)
            continue
        found = seeds.setdefault(kind, [])
        found.append(own["seed"])
        without = {key: value for key, value in own.items() if key != "seed"}
        rows[kind] = f"{kind}, seeds {', '.join(map(str, found))}", _settings(without)
    return list(rows.values())


def _settings(own: Settings) -> str:
    texts = {key: yaml.safe_dump(value, default_flow_style=True, width=1000).splitlines()[0]
             for key, value in own.items()}  # fmt: skip
    shown = [f"`--set {shell_word(f'{key}={text}')}`" for key, text in texts.items()]
    return "<br>".join(shown) or "nothing"


def _index_line(page: Path) -> str:
    title, sentence = re.findall(r"\A# (.+)\n\n(.+?\.)(?:\s|$)", page.read_text("utf-8"))[0]
    return f"- [{title}]({page.name}): {sentence}"


def main() -> None:
    """Make the named pages, or all."""
    by_name = {one.name: one for one in TECHNIQUES}
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(by_name)}")
    parser.add_argument("--kept", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(by_name):
        parser.error(f"no page {', '.join(sorted(unknown))}; valid: {', '.join(by_name)}")
    for name in arguments.names or by_name:
        technique = by_name[name]
        if not arguments.kept:
            with tempfile.TemporaryDirectory() as folder:
                technique.keep(technique.outcomes(Path(folder)))
        draw(technique, technique.kept())
        print(f"{name}: {sum(one.seconds for one in technique.kept().values()):.0f} s of runs")
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
