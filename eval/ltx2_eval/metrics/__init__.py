"""Metrics: what each gets and answers, and all of them by name."""
