"""Made-up sales of 100 items in 100 shops, for the page of wide and deep networks.

    python docs/techniques/sales.py sales.parquet

The sales of a row are a sum of an effect of its shop, one of its item, a smooth interaction of
price and season, and noise of a deviation of 0.5.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS, KINDS, NOISE = 3000, 100, 0.5


def write_sales(path: Path) -> None:
    """Write the table, the same each time."""
    random = np.random.default_rng(1)
    shop, item = random.integers(0, KINDS, (2, ROWS))
    of_shop, of_item = random.normal(size=(2, KINDS))
    price, season = random.uniform(-1, 1, (2, ROWS))
    interaction = 1.5 * np.sin(4 * price) * np.cos(3 * season)
    sales = of_shop[shop] + of_item[item] + interaction + NOISE * random.normal(size=ROWS)
    columns = {
        "shop": [f"shop {number}" for number in shop],
        "item": [f"item {number}" for number in item],
        "price": price,
        "season": season,
        "sales": sales,
    }
    pq.write_table(pa.table(columns), path)


if __name__ == "__main__":
    write_sales(Path(sys.argv[1]))
