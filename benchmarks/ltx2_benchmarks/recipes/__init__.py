"""Speed benchmarks as data: which models, which sizes, how often, and which pairs make a ratio."""
