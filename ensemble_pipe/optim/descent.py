"""Update rules that follow the gradient: with momentum, and with Nesterov's."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from ensemble_pipe.core.settings import settings
from ensemble_pipe.optim.kernels import descent as kernels
from ensemble_pipe.optim.update import Update


@settings
class Momentum(Update):
    """The settings of descent with momentum, which `SGD` describes."""

    slots: ClassVar[tuple[str, ...]] = ("velocity",)

    name: str
    learning_rate: Annotated[float, Gt(0)] = 0.1
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9


@settings
class SGD(Momentum):
    """Stochastic gradient descent with momentum; plain descent where momentum is 0.

    v <- momentum v + g;  w <- w - rate v.

    Polyak 1964, "Some methods of speeding up the convergence of iteration methods", section 2, in
    PyTorch's form, with the rate outside of the velocity. Sutskever et al. 2013, "On the importance
    of initialization and momentum in deep learning", eq. 1-2, have it inside: the same where the
    rate is constant, while here a lower rate also slows the velocity that is already there.

    Attributes:
        momentum: share of the velocity that is kept.
    """

    kernel = staticmethod(kernels.sgd)

    name: Literal["sgd"] = "sgd"


@settings
class Nesterov(Momentum):
    """Gradient descent with Nesterov's momentum, in PyTorch's form (`SGD(nesterov=True)`).

    v <- momentum v + g;  w <- w - rate (g + momentum v).

    Nesterov 1983, "A method of solving a convex programming problem with convergence rate
    O(1/k**2)", looks ahead along the velocity, takes the gradient there, and lets momentum grow
    along a sequence of its own. Sutskever et al. 2013, eq. 3-4, keep the look-ahead at any given
    momentum. Here the weights are the looked-ahead point itself (Bengio et al. 2013, "Advances in
    optimizing recurrent networks", section 3.5), so the gradient is taken where the weights are: at
    a constant rate and momentum that is Sutskever's path, seen from the point ahead.

    Attributes:
        momentum: as in `sgd`.
    """

    kernel = staticmethod(kernels.nesterov)

    name: Literal["nesterov"] = "nesterov"
