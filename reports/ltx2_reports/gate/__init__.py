"""The regression gate: a run against a baseline under a policy that was stated before."""
