"""LAION-CLAP run by its authors' package, laion-clap, with the same weights: what ours is compared with.

The package wants NumPy below 2 and torchvision, and asks for tokenizers on the network when it is imported; so it is
no dependency and no extra, but runs where somebody has made an environment for it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, NotAvailable, present
from ltx2_eval.extractors.clap import LEAST_S, RATE_HZ, windows
from ltx2_eval.extractors.embedding import TextTower, check_texts, load_tokenizer, unit
from ltx2_eval.extractors.sound import mono
from ltx2_eval.weights.clap_layout import is_left_out, released_clap_state
from ltx2_eval.weights.safe import read_state
from ltx2_reports.store import DamagedError

INSTALL = "`pip install laion-clap==1.1.7 torchvision==0.28.0 'numpy<2'` in an environment of its own"
_WIDTHS = {768: "HTSAT-tiny", 1024: "HTSAT-base"}


class ClapUpstreamExtractor(TextTower):
    """Unit-length CLAP embeddings of 10 s windows by laion_clap, its own front end included."""

    def __init__(self, spec: ExtractorSpec, module: Any, tokenizer: Any, device: str) -> None:
        self.spec = spec
        self.module = module
        self.tokenizer = tokenizer
        self.device = device

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Give the package the weights of a folder that `weights pull` made.

        Raises:
            NotAvailable: no weights, or no package.
            DamagedError: the weights are not those of the package's network.
        """
        weights = present(spec, weights)
        try:
            import laion_clap
        except Exception as error:  # a package beside others that it was not made for fails in many ways
            raise NotAvailable(f"{spec.title} needs a working laion-clap ({error}): {INSTALL}") from error
        state = released_clap_state(read_state(weights / "model.safetensors"))
        module = laion_clap.CLAP_Module(enable_fusion=False, device=device, amodel=_kind(state, weights))
        found = module.model.load_state_dict(state, strict=False)
        wrong = [*found.unexpected_keys, *(key for key in found.missing_keys if not is_left_out(key))]
        if wrong:
            raise DamagedError(f"{weights}: not the weights of laion-clap's network: {', '.join(wrong[:3])}")
        module.model.eval()
        vocabulary = len(state["text_branch.embeddings.word_embeddings.weight"])
        extractor = cls(spec, module, load_tokenizer(weights, vocabulary), device)
        check_texts(extractor.text_features, weights)
        return extractor

    def encode(self, inputs: dict[str, Tensor]) -> Tensor:
        """Token ids and attention mask, both (b, 77) -> (b, d) of unit length."""
        return unit(self.module.model.get_text_embedding(inputs))

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, d) embeddings of unit length: one up to 10 s of sound, then one for each further 5 s.

        Raises:
            NotApplicable: no sound.
        """
        with torch.inference_mode():
            rows = [
                self.module.get_audio_embedding_from_data(x=part[None], use_tensor=False)
                for part in windows(mono(clip, RATE_HZ, LEAST_S))
            ]
        return unit(torch.from_numpy(np.concatenate(rows))).numpy()


def _kind(state: Mapping[str, Tensor], weights: Path) -> str:
    width = len(state["audio_branch.norm.weight"])
    if width not in _WIDTHS:
        raise DamagedError(f"{weights}: an audio branch {width} wide; laion-clap has {_WIDTHS}")
    return _WIDTHS[width]
