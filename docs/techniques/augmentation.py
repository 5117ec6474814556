"""Augmentation: digits that are rotated, mirrored or left as they are, tested at every angle."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import ensemble_pipe
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.augment import matrices
from ensemble_pipe.data.augment.warps import warp_images
from techniques.comparing import spread, surely_less, table_of
from techniques.drawing import draw_curves, panels
from techniques.frame import Outcomes, Seen, Technique

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS: dict[str, dict[str, Any]] = {
    "none": {"augment": []},
    "rotated by up to 30°": {},
    "mirrored": {"augment": [{"name": "horizontal_flip"}]},
}
PLAIN, ROTATED, MIRRORED = RUNS
ANGLES = tuple(range(-45, 46, 15))
SHOWN, GAP = 6, 2  # digits, and pixels between them


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return the ensemble's accuracy on the test digits rotated by each angle, and some digits."""
    images, labels = _test_rows(paths)
    model = ensemble_pipe.load(paths.root)
    right = [float((model.predict(rotated(images, angle)) == labels).mean()) for angle in ANGLES]
    return {"accuracy": right, "digits": _changed(images[:SHOWN])}


def rotated(images: Array, degrees: float) -> Array:
    """Return images (R, H, W, C), rotated anticlockwise."""
    return warp_images(images, matrices.rotation(np.full(len(images), np.radians(degrees))))


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(3)
    _draw_digits(axes[0], np.array(outcomes[PLAIN].more["digits"]))
    for part, axis in zip(("train", "stop"), axes[1:], strict=True):
        curves = {label: one.curve(f"{part}/loss") for label, one in outcomes.items()}
        draw_curves(axis, curves, f"loss on the {part} part", "cross-entropy")
        axis.set_yscale("log")
    tested, (axis,) = panels(1, width=6.0)
    draw_curves(axis, {label: one.more["accuracy"] for label, one in outcomes.items()}, "", "")
    axis.set_xticks(range(1, len(ANGLES) + 1), [f"{angle}°" for angle in ANGLES])
    axis.set(xlabel="rotation of the test digits", ylabel="test accuracy of the ensemble")
    return {"augmentation": figure, "augmentation_angles": tested}


def table(outcomes: Outcomes) -> str:
    ends = {
        label: f"{min(one.more['accuracy'][0], one.more['accuracy'][-1]):.3f}"
        for label, one in outcomes.items()
    }
    losses = {label: f"{one.curve('train/loss')[-1]:.4f}" for label, one in outcomes.items()}
    more = {"training loss at the end": losses, "accuracy at ±45°, the lower": ends}
    return table_of(outcomes, more=more)


def seen(outcomes: Outcomes) -> list[Seen]:
    plain, turned, mirrored = (outcomes[label] for label in RUNS)
    fitted = {label: one.curve("train/loss")[-1] for label, one in outcomes.items()}
    level = len(ANGLES) // 2
    at_30 = [[one.more["accuracy"][level + step] for step in (-2, 2)] for one in (plain, turned)]
    return [
        Seen(
            "A network fits changed copies less well than the images themselves (Goodfellow et al. "
            "2016, section 7.4).",
            f"The training loss is {fitted[ROTATED]:.3f} in place of {fitted[PLAIN]:.4f}.",
            fitted[PLAIN] < fitted[ROTATED],
        ),
        Seen(
            "It makes fewer errors on new rows (Simard et al. 2003; Krizhevsky et al. 2012).",
            f"On upright digits a member's accuracy is {spread(turned, 'accuracy')} with rotation, "
            f"{spread(plain, 'accuracy')} without: the test digits are as upright as those of the "
            "training part.",
            surely_less(plain, turned, "accuracy"),
        ),
        Seen(
            "It learns that the change doesn't matter (Goodfellow et al. 2016, section 7.4).",
            f"On test digits rotated by 30° to either side the accuracy is {at_30[1][0]:.3f} and "
            f"{at_30[1][1]:.3f} with rotation, {at_30[0][0]:.3f} and {at_30[0][1]:.3f} without.",
            min(at_30[1]) > max(at_30[0]),
        ),
        Seen(
            "A change that alters the label does harm: no mirroring of letters and digits "
            "(Goodfellow et al. 2016, section 7.4).",
            f"With mirroring a member's accuracy is {spread(mirrored, 'accuracy')}.",
            surely_less(mirrored, plain, "accuracy"),
        ),
    ]


TECHNIQUE = Technique(
    "augmentation",
    {"augmentation": RUNS},
    {"training.epochs": 2, "ensemble.learners": 2},
    draw,
    table,
    seen,
    measure,
)


def _test_rows(paths: RunPaths) -> tuple[Array, Array]:
    """Return the images (R, H, W, C) and the labels (R,) of the test part."""
    with pa.memory_map(str(paths.base / "test.arrow")) as stream:
        rows = pa.ipc.open_file(stream).read_all().combine_chunks()
        return rows["input"].chunk(0).to_numpy_ndarray().copy(), rows["target"].to_numpy().copy()


def _changed(images: Array) -> list[Any]:
    """Return images as they are, rotated to either side by 30°, and mirrored."""
    kinds = (images, rotated(images, 30), rotated(images, -30), images[:, :, ::-1])
    return [kind[..., 0].tolist() for kind in kinds]


def _draw_digits(axis: Any, kinds: Array) -> None:
    """Show digits (4, SHOWN, H, W), changed in four ways."""
    framed = np.pad(kinds, ((0, 0), (0, 0), (0, GAP), (0, GAP)))
    sheet = np.concatenate([np.hstack([*kind]) for kind in framed])
    axis.imshow(16 - sheet, cmap="gray", interpolation="nearest")
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    height = framed.shape[2]
    middles = [height * place + (height - GAP - 1) / 2 for place in range(len(kinds))]
    axis.set_yticks(middles, ["as it is", "30°", "-30°", "mirrored"])
    axis.set_xticks([])
    axis.set_title("digits and their changes", fontsize=10)
