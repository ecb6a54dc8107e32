"""Our implementation of LTX-2, the joint audio-video generation model (Lightricks, arXiv 2601.03233)."""
