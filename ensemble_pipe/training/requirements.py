"""What must hold between the plans of learners and their data; checked before they are trained."""

from collections.abc import Sequence

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.nn.building import embedding_of
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import first_embedding
from ensemble_pipe.optim import SWA
from ensemble_pipe.training.conflicts import cycle_count
from ensemble_pipe.training.estimator_settings import EstimatorSettings, NearestNeighbors
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.tensors import frozen_names


def require_plans_fit(plans: Sequence[LearnerPlan], schema: Schema, rows: int) -> None:
    """Check that networks can be trained on R rows.

    Raises:
        ConfigError: names the key, what it is, and what would be right.
    """
    for plan in plans:
        _require_codes(plan, schema)
        _require_cycles(plan, rows)
    kinds = {
        (
            repr(p.network),
            repr(p.sharing),
            p.loss.name,
            p.dropout_passes,
            p.steps(rows).batch_rows,
        ): p
        for p in plans
    }
    for plan in kinds.values():
        network = plan.build(schema)
        _require_spread(plan, network, rows)
        if plan.dropout_passes is not None and not network.drops:
            raise ConfigError(
                "ensemble.strategy: mc_dropout needs a network that drops units, such as "
                "network: {name: mlp, dropout: 0.2}"
            )


def require_rows(group: EstimatorSettings, rows: int, left_out: int, where: str) -> None:
    """Check that a scikit-learn learner sees enough rows.

    Args:
        group: its settings.
        rows: of the training part.
        left_out: of these, in the largest fold; 0 where none is left out.
        where: the path of its group in the pipeline.

    Raises:
        ConfigError: names the key, and how many rows there are.
    """
    if isinstance(group, NearestNeighbors) and group.neighbors > rows - left_out:
        without = " without the largest fold" if left_out else ""
        raise ConfigError(
            f"{where}.neighbors: {group.neighbors} rows are to be the nearest, but the training "
            f"part has {rows - left_out}{without}; take at most as many"
        )


def _require_cycles(plan: LearnerPlan, rows: int) -> None:
    """Raise ConfigError where members, or averages, need more cycles than there are steps."""
    cycles, averaging = cycle_count(plan.schedule), plan.averaging
    at_ends = plan.snapshots or (isinstance(averaging, SWA) and averaging.at == "cycle")
    if at_ends and len(plan.calendar(rows).cycle_ends) != cycles:
        raise ConfigError(
            f"training.schedule: {cycles} cycles do not fit into the "
            f"{plan.steps(rows).total} steps of the training; take fewer or raise epochs"
        )


def _require_spread(plan: LearnerPlan, network: Network, rows: int) -> None:
    """Raise ConfigError where a layer would normalize single values, which makes each of them 0."""
    for layer, count in network.chain.normalized_over(batch_rows=2).items():
        if count == 1:  # in whatever batches
            raise ConfigError(
                f"network: {layer} takes mean and variance over the last axis of its inputs, which "
                "has 1 value there, so that whatever comes in becomes 0; leave it out"
            )
    steps, frozen = plan.steps(rows), frozen_names(network.layout, plan.rate_factors)
    for layer, count in network.chain.normalized_over(steps.batch_rows).items():
        if count == 1 and not {f"{layer}/gamma", f"{layer}/beta"} <= frozen:
            few = "" if plan.batch_rows == 1 else f", since a learner sees {steps.rows} in all"
            raise ConfigError(
                f"training.batch_size: {layer} needs more than 1 value per channel in training, "
                f"but batches of 1 row give it 1{few}; take 2 rows or more, or layer_norm"
            )


def _require_codes(plan: LearnerPlan, schema: Schema) -> None:
    """Raise ConfigError where an embedding reads columns without codes, or with too many."""
    if first_embedding(plan.network) is None:
        return
    if schema.is_image:
        raise ConfigError("network: an embedding reads columns of a table, but the data is images")
    embedding = embedding_of(plan.network, schema)
    assert embedding is not None
    embedded = {column.place: column.count for column in embedding.columns}
    names, codes = schema.encoded_names, schema.code_counts
    for place, categories in embedded.items():
        if place not in codes:
            listed = ", ".join(f"{index} {names[index]}" for index in sorted(codes)) or "none"
            named = repr(names[place]) if place < len(names) else f"none of the {len(names)}"
            raise ConfigError(
                f"network: the embedding reads feature {place}, counted from 0, which is {named}; "
                "it needs a column of codes (columns: {NAME: {kind: category, encode: code}}); "
                f"such features are: {listed}"
            )
        if codes[place] > categories:
            raise ConfigError(
                f"network: the embedding of {quote(names[place])} has {categories} categories, but "
                f"{codes[place]} are needed: those of the training part, and one for the unknown"
            )
