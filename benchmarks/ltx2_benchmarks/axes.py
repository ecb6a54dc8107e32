"""The axes on which a written suite places each prompt: one value per axis, from a closed vocabulary."""

from collections import Counter

from ltx2_benchmarks.suite import Suite

AXES: dict[str, tuple[str, ...]] = {
    # Main kind of sound; `off-screen` has its source out of the picture, `forbidden` names a sound that must not occur.
    "sound": (
        "speech", "singing", "music", "score", "foley-impact", "foley-continuous", "animal", "machine", "weather",
        "crowd", "off-screen", "forbidden", "silence",
    ),
    # How many people speak or sing words; `crowd` for voices without words to check.
    "speakers": ("0", "1", "2", "3", "4+", "crowd"),
    "turns": (
        "none", "single", "turn-taking", "overlap", "interruption", "narrator", "similar-voices", "change-after-cut",
    ),
    # Of the spoken lines. The nine of the LTX-2 model card, two that it does not list, and changes of language.
    "language": ("none", "en", "de", "es", "fr", "it", "ja", "ko", "pt", "zh", "hi", "pl", "mixed"),
    # Seconds; beyond 20 a clip can only be made by extension.
    "duration": ("5", "10", "20", "30", "60"),
    "temporal": (
        "continuous", "sequence", "counted", "tempo", "exact-time", "cause-effect", "simultaneous", "stop-on-cue",
    ),
    # What the model has to work out because the prompt does not spell it out.
    "reasoning": ("none", "arithmetic", "ordering", "hiding", "consequence", "size", "condition"),
    "physics": (
        "none", "sound-delay", "doppler", "material", "reverb", "occlusion", "distance", "pour-pitch",
    ),
    "space": ("unspecified", "mono", "placed", "pan", "wide"),
    "camera": ("static", "pan", "dolly", "jib", "handheld", "orbit", "cut", "multi-shot"),
    "style": ("live-action", "2d", "3d", "stop-motion", "archive"),
    "form": ("short", "standard", "long", "negation", "paraphrase", "minimal-pair"),
    # Clips on which a sound metric must not reward broken output.
    "control": ("none", "still", "silence", "noise"),
}  # fmt: skip
"""Axis to its values."""


def coverage(suite: Suite) -> dict[str, Counter[str]]:
    """How many prompts of `suite` stand at each value of each axis; values without a prompt count 0."""
    counts = {axis: Counter(dict.fromkeys(values, 0)) for axis, values in AXES.items()}
    for prompt in suite.prompts:
        for axis, value in prompt.axes.items():
            counts.setdefault(axis, Counter())[value] += 1
    return counts
