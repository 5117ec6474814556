"""Training settings that belong to a network: what its authors train it with.

They take the place of the defaults by the data where a pipeline names such a network; whatever a
pipeline says itself stays.
"""

from dataclasses import dataclass, field

from ensemble_pipe.data.schema import Task
from ensemble_pipe.data.tables.scaling import Quantile, RobustClip, Scale
from ensemble_pipe.data.tables.target_scaling import TargetScale
from ensemble_pipe.nn.losses import CrossEntropy, Loss, SquaredError
from ensemble_pipe.nn.networks import Architecture
from ensemble_pipe.nn.tabular import RealMlp, TabM
from ensemble_pipe.optim import AdamW, ConstantRate, CosLog, FlatCosine, Rule, Schedule
from ensemble_pipe.training.regularization import Regularization
from ensemble_pipe.training.stopping import EarlyStopping


@dataclass(frozen=True)
class Recipe:
    """The training settings of a network.

    Attributes:
        scale: of the numbers of a table.
        target_scale: of the targets of a regression.
        rule, schedule, regularization, loss: components of the training.
        epochs, batch_size: its length, and rows in a step.
        patience: epochs without an improvement after which a learner stops.
    """

    scale: Scale
    rule: Rule
    schedule: Schedule
    loss: Loss
    epochs: int
    batch_size: int
    patience: int
    target_scale: TargetScale = "auto"
    regularization: Regularization = field(default_factory=Regularization)

    @property
    def early_stopping(self) -> EarlyStopping:
        """When a learner stops; its member has the weights of its best epoch."""
        return EarlyStopping(patience=self.patience)


def recipe_for(network: Architecture, task: Task, *, accuracy: bool) -> Recipe | None:
    """Return the training settings of a network; None for one that has none of its own.

    Args:
        network: the architecture.
        task: classification or regression.
        accuracy: whether accuracy is what counts, for which labels are smoothed.
    """
    if isinstance(network, RealMlp):
        return _realmlp(task, accuracy=accuracy)
    return _tabm(task) if isinstance(network, TabM) else None


def _realmlp(task: Task, *, accuracy: bool) -> Recipe:
    """RealMLP-TD: Holzmueller, Grinsztajn & Steinwart 2024, "Better by default", table A.1."""
    classes = task == "classification"
    loss: Loss = CrossEntropy(smoothing=0.1 if accuracy else 0.0) if classes else SquaredError()
    rate, epochs = 0.04 if classes else 0.2, 256
    return Recipe(
        scale=RobustClip(),
        rule=AdamW(learning_rate=rate, beta2=0.95, weight_decay=0.02),
        schedule=CosLog(),
        loss=loss,
        epochs=epochs,
        batch_size=256,
        patience=epochs,
        target_scale="auto" if classes else "standardize",
        regularization=Regularization(dropout=FlatCosine(), weight_decay=FlatCosine()),
    )


def _tabm(task: Task) -> Recipe:
    """The defaults of TabM: Gorishniy, Kotelnikov & Babenko 2025."""
    classes = task == "classification"
    return Recipe(
        scale=Quantile(),
        rule=AdamW(learning_rate=0.002, weight_decay=0.0003, clip_norm=1.0),
        schedule=ConstantRate(),
        loss=CrossEntropy() if classes else SquaredError(),
        epochs=200,
        batch_size=256,
        patience=16,
        target_scale="auto" if classes else "standardize",
    )
