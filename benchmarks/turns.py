"""Benchmarks whose contestants take turns, a moment each, round after round."""

import time
from argparse import ArgumentParser
from collections.abc import Callable


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


def rate_of(call: Callable[[], object], seconds: float) -> float:
    """Return calls per second of the processor, over at least `seconds` of them."""
    count, began = 0, time.process_time()
    while True:
        call()
        count += 1
        passed = time.process_time() - began
        if passed >= seconds:
            return count / passed
