"""Values that lie close together on a far base: what differs is lost in 32 bits."""

import numpy as np

ROWS = 400
INSTANT = 1_700_000_000_123_456_789  # nanoseconds since 1970
RANDOM = np.random.default_rng(0)
TICKS = RANDOM.integers(0, 3_000_001, ROWS)
FEW = RANDOM.integers(0, 8, ROWS)
PLACES = RANDOM.normal(size=ROWS)
