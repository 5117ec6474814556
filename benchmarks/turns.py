"""The options of benchmarks whose contestants take turns, a moment each, round after round."""

from argparse import ArgumentParser


def turns_parser(
    description: str | None, *, instead: str, rounds: int, seconds: float
) -> ArgumentParser:
    """Return a parser of what all such benchmarks take; a benchmark adds its own options.

    Args:
        description: the benchmark's docstring.
        instead: what is measured on where no folder of Fashion-MNIST is given.
        rounds, seconds: defaults, the seconds being those of each turn.
    """
    parser = ArgumentParser(description=description)
    parser.add_argument("--folder", help=f"IDX files of Fashion-MNIST; without it {instead}")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=float, default=seconds, help="of each turn")
    parser.add_argument("--write", action="store_true", help="keep the result")
    return parser
