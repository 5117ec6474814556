"""What the columns of a prediction mean, in plain words, for the help of `predict` and the docs."""

from typing import Literal, get_args

# One column of uncertainty, or all measures.
Uncertainty = Literal["one", "all"]
CHOICES: tuple[Uncertainty, ...] = get_args(Uncertainty)

ONE = {
    "row": "number of the row in the input, from 0; with --keep the kept columns stand here",
    "file": "name of the image, where each row is a file",
    "prediction": "the predicted class, or number",
    "probability_<class>": "how probable each class is, from 0 to 1",
    "mean": "the predicted number, in the target's units",
    "low_90, high_90": "90 of 100 true numbers should lie between these; `evaluate` counts them",
    "entropy": "of classes, how unsure the members are: 0 is sure, larger is less sure",
    "std": "of numbers, how far the truth usually lies from the mean (standard deviation)",
    "set, set_size": "the classes that hold the truth as often as the coverage asked for says",
    "low, high": "the ends of the interval that does, for numbers",
}
ALL = {
    "expected_entropy": "the part of the entropy that is noise in the data: more rows do not help",
    "mutual_information": "the part in which the members disagree: the row is unlike those known",
    "disagreement": "share of the members that predict another class",
    "variation_ratio": "1 minus the share of the votes for the class with most",
    "margin": "lead of the first class over the second; small is unsure",
    "energy": "how unlike the training rows the row looks, by all logits; larger is more unlike",
    "max_logit": "the same, by the largest logit alone",
    "aleatoric": "the part of std that is noise in the data: more rows do not help",
    "epistemic": "the part of std in which the members disagree: more rows may help",
}


def columns_text(width: int) -> str:
    """Return the columns and their meanings as lines of text, at most `width` characters long."""
    parts = {"Columns:": ONE, "With --uncertainty all also:": ALL}
    return "\n\n".join("\n".join([title, *_lines(own, width)]) for title, own in parts.items())


def _lines(texts: dict[str, str], width: int) -> list[str]:
    from textwrap import wrap

    found = []
    for name, text in texts.items():
        first, *others = wrap(text, max(20, width - 24))
        found += [f"  {name:<22}{first}", *[f"{'':24}{line}" for line in others]]
    return found
