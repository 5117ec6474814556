"""The settings that every update rule shares: penalties, decay, clipping, a limit of norms."""

from collections.abc import Callable
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt

from ensemble_pipe.core.settings import settings


@settings
class Update:
    """The settings that all update rules share.

    One step of a learner with the gradient g of its loss, at weights w, goes in this order:

    1. g <- g min(1, clip_norm / (norm(g) + 1e-6)), the norm over all that moves;
    2. g <- g + l2 w + l1 sign(w), with sign(0) = 0;
    3. the rule turns g into a step d, and w <- w - d - rate weight_decay w;
    4. each column k of a kernel, the weights into one unit: k <- k min(1, max_norm / norm(k)).

    Decay takes the weights as they were before the step. Penalties, decay and max_norm apply to
    kernels, not to biases and gains; penalties and decay to learned scales of features too. Losses
    are reported without the penalties l2 norm(w)**2 / 2 and l1 sum(abs(w)).

    Clipping is that of Pascanu et al. 2013, "On the difficulty of training recurrent neural
    networks", alg. 1, in the form of `torch.nn.utils.clip_grad_norm_`; max_norm is that of
    Srivastava et al. 2014, "Dropout", section 5.1. Decoupled decay is that of Loshchilov & Hutter
    2019, "Decoupled weight decay regularization", alg. 1 and 2, but, as in PyTorch, times the
    whole rate; there it is times the schedule's factor alone.

    Attributes:
        slots: names of the arrays (M, T) that a rule keeps.
        kernel: step 3 for a whole stack, see `optim.kernels.updates`.
        learning_rate: the rate at schedule factor 1.
        l1, l2: penalties, felt through the gradient. `l2` is the `weight_decay` of PyTorch's SGD
            and Adam.
        weight_decay: decoupled decay, the `weight_decay` of PyTorch's AdamW.
        clip_norm: the largest 2-norm of a learner's gradient; None for no limit.
        max_norm: the largest 2-norm of the weights into a unit; None for no limit.
    """

    slots: ClassVar[tuple[str, ...]]
    kernel: ClassVar[Callable[..., None]]

    learning_rate: Annotated[float, Gt(0)]
    l1: Annotated[float, Ge(0)] = 0.0
    l2: Annotated[float, Ge(0)] = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    clip_norm: Annotated[float, Gt(0)] | None = None
    max_norm: Annotated[float, Gt(0)] | None = None
