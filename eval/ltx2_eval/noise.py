"""The seed of a sample's noise, from the prompt's id and the sample's seed.

Were the sample's seed given to the model as it is, every prompt of a seed would start from the same noise, and the
prompts of a run would not be independent: on nano that part of the noise is often as large as that of the clips, and no
number of prompts averages it out. So every sample has noise of its own, and still the same one in every system: the
same prompt and seed are a pair.

The id decides, not the text: ids are unique within a suite, texts need not be; `compare` pairs by id; and a prompt that
was reworded, translated or enhanced starts from the same noise as before.
"""

import hashlib
from typing import Final

NOISE_PLAN: Final = "prompt-seed"
"""Name of this rule in `run.json`; another rule must have another name, so that no run is resumed under it."""


def noise_seed(prompt_id: str, seed: int) -> int:
    """Seed for the model: the first 31 bits of SHA-256 over the prompt's id, a line feed and the sample's seed.

    31 bits suit every program that takes a seed. By hand, less the topmost bit: `printf 'PROMPT\\nSEED' | sha256sum`,
    its first eight digits.

    Args:
        prompt_id: of the suite.
        seed: of the sample, as given by `--seed`.

    Returns:
        0 to 2^31 - 1.

    >>> noise_seed("speech-en-baker", 0), noise_seed("speech-en-baker", 1)
    (1469971804, 1377522470)
    """
    digest = hashlib.sha256(f"{prompt_id}\n{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
