"""Generate clips from prompt suites, decode them once, score them, keep records."""
