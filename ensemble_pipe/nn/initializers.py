"""Initial values of parameters.

With n_in and n_out the fans of a tensor:

- He et al. 2015, "Delving deep into rectifiers", eq. 10: variance 2 / n_in, for ReLU.
- Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural
  networks", eq. 16: variance 2 / (n_in + n_out), for tanh.

A uniform form has the same variance as its normal one: the limit is sqrt(3 variance).
"""

from collections.abc import Callable
from math import sqrt

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.nn.layout import Parameter

Initializer = Callable[[np.random.Generator, Parameter], Floats]


def _he_variance(parameter: Parameter) -> float:
    return 2.0 / parameter.fan_in


def _glorot_variance(parameter: Parameter) -> float:
    return 2.0 / (parameter.fan_in + parameter.fan_out)


def _normal(variance: Callable[[Parameter], float]) -> Initializer:
    def draw(generator: np.random.Generator, parameter: Parameter) -> Floats:
        return generator.normal(0.0, sqrt(variance(parameter)), parameter.shape)

    return draw


def _uniform(variance: Callable[[Parameter], float]) -> Initializer:
    def draw(generator: np.random.Generator, parameter: Parameter) -> Floats:
        limit = sqrt(3.0 * variance(parameter))
        return generator.uniform(-limit, limit, parameter.shape)

    return draw


def _zeros(generator: np.random.Generator, parameter: Parameter) -> Floats:
    return np.zeros(parameter.shape)


# Each draws a float64 array of the parameter's shape.
INITIALIZERS: dict[str, Initializer] = {
    "he_normal": _normal(_he_variance),
    "he_uniform": _uniform(_he_variance),
    "glorot_normal": _normal(_glorot_variance),
    "glorot_uniform": _uniform(_glorot_variance),
    "zeros": _zeros,
}
