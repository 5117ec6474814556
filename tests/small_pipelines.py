"""Settings of pipelines that train in a second: small networks, few epochs, no tracking."""

from typing import Any

# Enough validation rows to fit a combiner to.
SPLITS = {"validation": 0.2, "stop": 0.1}


def small_settings(
    *, hidden: int, epochs: int, batch_size: int = 32, **sections: Any
) -> dict[str, Any]:
    """Return the settings of networks with one hidden layer; other sections come as they are."""
    return {
        "network": {"hidden": [hidden]},
        "training": {"epochs": epochs, "batch_size": batch_size},
        "tracking": {"mlflow": False},
        **sections,
    }
