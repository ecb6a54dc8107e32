"""Features and latents of the same prompts and seeds in two run folders, for the gate's check of sameness."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_reports.gate.policy import SamenessPolicy
from ltx2_reports.gate.sameness import sameness_verdict
from ltx2_reports.gate.verdict import Verdict
from ltx2_reports.pairing import clip_keys
from ltx2_reports.records import FEATURES_FOLDER, LATENTS_FOLDER, Run
from ltx2_reports.store import DamagedError

Arrays = dict[str, NDArray[np.floating]]


def sameness_verdicts(baseline: Run, run: Run, policy: SamenessPolicy, max_lost: float) -> list[Verdict]:
    """One verdict per extractor whose features both runs hold, and one on latents, as far as the policy asks."""
    verdicts = []
    if policy.feature_cosine is not None:
        verdicts += _of_features(baseline, run, policy.feature_cosine, max_lost)
    if policy.latent_cosine is not None:
        first, second = _latents(baseline), _latents(run)
        title = "latents (kept by `generate --keep-latents`)"
        verdicts.append(sameness_verdict("same.latents", title, first, second, policy.latent_cosine, max_lost))
    return verdicts


def _of_features(baseline: Run, run: Run, least: float, max_lost: float) -> list[Verdict]:
    pool = ExtractorPool()
    made = []
    for name in EXTRACTORS:
        first, second = (_features(side, name, pool) for side in (baseline, run))
        if first and second:
            made.append(sameness_verdict(f"same.{name}", f"features by {name}", first, second, least, max_lost))
    return made or [sameness_verdict("same.features", "features", {}, {}, least)]


def _features(run: Run, extractor: str, pool: ExtractorPool) -> Arrays:
    cache = FeatureCache(run.folder / FEATURES_FOLDER, run.header.environment.device)
    spec, weights = pool.spec(extractor), pool.weights_sha256(extractor)
    found: Arrays = {}
    for (prompt, seed), sample in clip_keys(run).items():
        sha256 = run.clips[sample].sha256
        features = cache.get(sha256, spec, weights) if sha256 is not None else None
        if features is not None:
            found[f"{prompt} seed {seed}"] = features
    return found


def _latents(run: Run) -> Arrays:
    found: Arrays = {}
    for (prompt, seed), sample in clip_keys(run).items():
        path = run.folder / LATENTS_FOLDER / f"{sample}.safetensors"
        if path.is_file():
            found[f"{prompt} seed {seed}"] = _read(path)
    return found


def _read(path: Path) -> NDArray[np.floating]:
    """Picture and sound latents in one row."""
    try:
        with safe_open(path, framework="numpy") as file:
            return np.concatenate([file.get_tensor(name).ravel() for name in sorted(file.keys())])
    except (SafetensorError, OSError) as error:
        raise DamagedError(f"{path}: damaged ({error}); make the clip again with --keep-latents") from error
