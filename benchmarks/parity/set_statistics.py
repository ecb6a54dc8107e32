"""Fréchet distance, inception score and unbiased kernel distance against torch-fidelity 0.4.0 on random features.

Literals: none; tests/eval/test_frechet.py, test_kernel.py and test_class_distributions.py hold further sources. Needs
torch-fidelity==0.4.0 in a folder of its own, which is given (torchmetrics would import it, and with it torchvision):

    pip install --no-deps --target FOLDER torch-fidelity==0.4.0
    python benchmarks/parity/set_statistics.py FOLDER
"""

import importlib
import sys

import numpy as np
import torch
from common import bare, stand_in, told

from ltx2_eval.metrics.class_distributions import inception_score
from ltx2_eval.metrics.frechet import frechet_distance
from ltx2_eval.metrics.kernel import KernelDistance

_WIDTH = 64


def _drawn(seed: int, n: int, shift: float) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(shift, 1, (n, _WIDTH)))


def main() -> None:
    """400 features of 64 dimensions on either side; KID on one subset that holds all of them."""
    sys.path.append(sys.argv[1])
    bare("torch_fidelity")
    stand_in("torch_fidelity.utils")
    utils = sys.modules["torch_fidelity.utils"]
    for name in (
        "cache_lookup_one_recompute_on_miss", "extract_featuresdict_from_input_id_cached", "get_cacheable_input_name",
        "resolve_feature_extractor", "resolve_feature_layer_for_metric", "create_feature_extractor",
    ):  # fmt: skip
        setattr(utils, name, None)
    fid = importlib.import_module("torch_fidelity.metric_fid")
    kid = importlib.import_module("torch_fidelity.metric_kid")
    isc = importlib.import_module("torch_fidelity.metric_isc")
    x, y = _drawn(0, 400, 0.0), 1.2 * _drawn(1, 400, 0.1)
    statistics = [fid.fid_features_to_statistics(side) for side in (x, y)]
    expected = fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    told("Fréchet distance", expected, frechet_distance(x, y), ["torch-fidelity"])
    settings = {"kid_subsets": 1, "kid_subset_size": 400, "verbose": False, "rng_seed": 0, "kid_kernel": "poly",
                "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}  # fmt: skip
    expected = kid.kid_features_to_metric(x, y, **settings)["kernel_inception_distance_mean"]
    metric = KernelDistance(kernel="polynomial", scale=1.0)
    for side, real in ((x, False), (y, True)):
        for row in side:
            metric.update(row[None], real=real)
    told("Kernel distance, cubic", expected, float(metric.compute()), ["torch-fidelity"])
    expected = isc.isc_features_to_metric(3 * x, splits=1, shuffle=False)["inception_score_mean"]
    told("Inception score", expected, inception_score(3 * x), ["torch-fidelity"])


if __name__ == "__main__":
    main()
