"""Initial values of parameters.

With n_in and n_out the fans of a tensor:

- he: He et al. 2015, "Delving deep into rectifiers", eq. 10: variance 2 / n_in, for ReLU.
- glorot: Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural
  networks", eq. 16: variance 2 / (n_in + n_out), for tanh.
- lecun: LeCun et al. 1998, "Efficient BackProp", eq. 16: variance 1 / n_in.
- orthogonal: Saxe, McClelland & Ganguli 2014, "Exact solutions to the nonlinear dynamics of
  learning in deep linear neural networks": orthonormal columns (or rows, where they are fewer).

A uniform form has the same variance as its normal one: the limit is sqrt(3 variance).
"""

from collections.abc import Callable
from math import prod, sqrt
from typing import Annotated, Literal, Protocol

import numpy as np
from annotated_types import Gt

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings

Named = Literal[
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "zeros",
    "ones",
]


@settings
class Normal:
    """Every value from a normal distribution of mean zero and the given deviation."""

    name: Literal["normal"] = "normal"
    deviation: Annotated[float, Gt(0)] = 0.01


@settings
class Uniform:
    """Every value evenly from between -limit and limit."""

    name: Literal["uniform"] = "uniform"
    limit: Annotated[float, Gt(0)] = 0.05


@settings
class Constant:
    """The same value everywhere."""

    name: Literal["constant"] = "constant"
    value: float = 0.0


@settings
class Scales:
    """Factors of inputs by which members that share weights begin to differ.

    Gorishniy et al. 2025, "TabM: Advancing tabular deep learning with parameter-efficient
    ensembling", section 3.3 and appendix: a random sign, or a standard normal number where numbers
    have embeddings; one draw for all inputs that stand for one feature.

    Attributes:
        form: of a draw.
        widths: how many inputs stand for each feature, in order.
    """

    form: Literal["signs", "normal"] = "signs"
    widths: tuple[int, ...]


Initializer = Named | Normal | Uniform | Constant
FirstValues = Initializer | Scales


class Tensor(Protocol):
    """What an initializer needs to know of a tensor."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def fan_in(self) -> int: ...
    @property
    def fan_out(self) -> int: ...


def draw(initializer: FirstValues, random: np.random.Generator, tensor: Tensor) -> Floats:
    """Return the first values of a tensor, float64 of its shape."""
    if isinstance(initializer, Normal):
        return random.normal(0.0, initializer.deviation, tensor.shape)
    if isinstance(initializer, Uniform):
        return random.uniform(-initializer.limit, initializer.limit, tensor.shape)
    if isinstance(initializer, Scales):
        return _scales(initializer, random)
    if isinstance(initializer, Constant):
        return np.full(tensor.shape, initializer.value)
    if initializer in ("zeros", "ones"):
        return np.full(tensor.shape, 1.0 if initializer == "ones" else 0.0)
    if initializer == "orthogonal":
        return _orthogonal(random, tensor.shape)
    scheme, form = initializer.split("_")
    variance = _VARIANCES[scheme](tensor)
    if form == "normal":
        return random.normal(0.0, sqrt(variance), tensor.shape)
    limit = sqrt(3.0 * variance)
    return random.uniform(-limit, limit, tensor.shape)


_VARIANCES: dict[str, Callable[[Tensor], float]] = {
    "he": lambda tensor: 2.0 / tensor.fan_in,
    "glorot": lambda tensor: 2.0 / (tensor.fan_in + tensor.fan_out),
    "lecun": lambda tensor: 1.0 / tensor.fan_in,
}


def _scales(initializer: Scales, random: np.random.Generator) -> Floats:
    features = len(initializer.widths)
    if initializer.form == "normal":
        factors = random.standard_normal(features)
    else:
        factors = np.where(random.random(features) < 0.5, -1.0, 1.0)
    return np.repeat(factors, initializer.widths)


def _orthogonal(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    rows, columns = prod(shape[:-1]), shape[-1]
    tall = random.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diagonal(r))  # makes the distribution uniform, and the factor unique
    values: Floats = (q if rows >= columns else q.T).reshape(shape)
    return values
