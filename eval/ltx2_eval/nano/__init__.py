"""The recipe of the bundled nano LTX-2 and its extractors: `python -m ltx2_eval.nano` trains them on the world.

It lives here and not beside the world in `ltx2_benchmarks`, because it needs both the model and the world, and
imports point down only.
"""
