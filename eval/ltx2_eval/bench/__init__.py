"""Speed as a result: what a model costs by its sizes, what it takes by the clock, and whether the clock is to be
believed.
"""
