"""Which metrics may gate: clips are degraded by known amounts, and each metric must see what it should and no more."""
