"""Where data comes from."""

from ensemble_pipe.data.sources.digits import Digits
from ensemble_pipe.data.sources.idx import Idx
from ensemble_pipe.data.sources.raw import Raw
from ensemble_pipe.data.sources.table import Table

__all__ = ["SOURCES", "Digits", "Idx", "Raw", "Source", "Table"]

Source = Digits | Idx | Table

SOURCES: dict[str, type[Source]] = {"digits": Digits, "idx": Idx, "table": Table}
