"""Named sets of metrics. What follows from a metric's weights and licences is derived; an expert's choice is a list."""

from collections.abc import Collection, Iterable

from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.metrics.floor import is_derived

FREE_LICENCES = frozenset(
    {
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-2-Clause-Patent",
        "BSD-3-Clause",
        "BSD",
        "ISC",
        "CC0-1.0",
        "CC-BY-4.0",
        "Unlicense",
    }
)
"""Licences that allow commercial use. Any other text, an unknown one too, does not count as one."""

CHOICE = (
    *("fvd", "kvd", "fad_soundnet", "kad_soundnet", "fad_vggish", "kad_clap", "clip_tv", "clap_ta"),
    *("subject_consistency", "background_consistency", "dynamic_degree", "aesthetic"),
    *("desync", "desync_signed_s", "sync_accuracy", "audiobox_pq", "audiobox_ce", "dnsmos_ovrl"),
    *("speech_wer", "speech_wer_corpus"),
)
"""What an expert looks at first; `default` adds the checks that need no weights, and drops what is not free, today the
three of Synchformer: see the note on its licence in the weights lock."""

PUBLISHED = (
    *("fvd", "fvd_videogpt", "kvd", "kvd_videogpt", "cd_fvd", "fid", "kid"),
    *("fad_vggish", "fd_panns", "fd_passt", "fad_clap"),
    *("is_panns", "is_passt", "kl_panns", "kl_passt", "clip_tv", "clap_ta", "clap_ta_630k", "ib_tv", "ib_ta", "ib_av"),
    *("avh_score", "javis_score", "av_align", "desync", "desync_expected", "lse_d", "lse_c", "aesthetic"),
    *("subject_consistency", "background_consistency", "dynamic_degree", "speech_wer", "speech_wer_corpus"),
    *("audiobox_ce", "audiobox_cu", "audiobox_pc", "audiobox_pq", "dnsmos_ovrl"),
)
"""What published tables use, whatever its licence."""

_DEMO = ("fvd", "kvd", "fad_soundnet", "kad_soundnet")
"""Real networks of the demo, which has two minutes."""

TITLES = {
    "offline": "Weights from packages only: works wherever packages install.",
    "default": "An expert's choice; every weight may be used commercially, so it has no trained synchrony: "
    "Synchformer's licence is unsettled, its `desync` has to be asked for with `--metric`.",
    "commercial": "Every metric whose code and weights may be used commercially.",
    "paper": "What published tables use, whatever its licence.",
    "nano": "For clips meant to be of the procedural world.",
    "dsp": "No weights at all.",
}


def profiles_of(entries: Iterable[MetricEntry]) -> dict[str, tuple[str, ...]]:
    """Ids of the metrics of each profile, in the catalogue's order.

    Args:
        entries: of the catalogue.
    """
    general = [entry for entry in entries if not is_of_the_world(entry)]
    world = [entry.spec.id for entry in entries if is_of_the_world(entry)]
    signal = [entry.spec.id for entry in general if entry.extractor is None and entry.program is None]
    free = [entry.spec.id for entry in general if is_free(entry)]
    return {
        "offline": tuple(entry.spec.id for entry in general if is_packaged(entry)),
        "default": tuple(entry.spec.id for entry in general if is_free(entry) and _named(entry, (*CHOICE, *signal))),
        "commercial": tuple(free),
        "paper": tuple(entry.spec.id for entry in general if _named(entry, PUBLISHED)),
        "nano": (*_DEMO, *world, *signal),
        "dsp": tuple(signal),
    }


def _named(entry: MetricEntry, names: Collection[str]) -> bool:
    """Whether it, or the cosine whose floor or margin it is, is among `names`."""
    return entry.spec.id in names or (is_derived(entry) and str(entry.settings["of"]) in names)


def is_of_the_world(entry: MetricEntry) -> bool:
    """Whether it means nothing outside the procedural world."""
    return entry.implementation.startswith("ltx2_eval.metrics.world:") or any(
        name.startswith("nano-") for name in weights_of(entry)
    )


def is_free(entry: MetricEntry) -> bool:
    """Whether its code and all its weights may be used commercially."""
    from ltx2_eval.weights.lockfile import entry as lock_entry

    licences = [entry.spec.code_licence, entry.spec.weight_licence]
    for item in map(lock_entry, weights_of(entry)):
        licences += [item.licence, item.code_licence]
    return all(licence in FREE_LICENCES for licence in licences if licence is not None)


def is_packaged(entry: MetricEntry) -> bool:
    """Whether all its weights come from packages or with this one, and it needs no program of its own."""
    from ltx2_eval.weights.lockfile import entry as lock_entry

    return entry.program is None and all(lock_entry(name).kind in ("package", "bundled") for name in weights_of(entry))


def weights_of(entry: MetricEntry) -> tuple[str, ...]:
    """Names in the weights lock that a metric needs."""
    from ltx2_eval.extractors.catalogue import EXTRACTORS

    return EXTRACTORS[entry.extractor].all_weights if entry.extractor else ()
