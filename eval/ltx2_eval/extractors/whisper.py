"""Whisper: the words of a clip, decoded greedily, and only where Silero hears speech."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, present
from ltx2_eval.extractors.silero import SileroExtractor, speech_spans
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.speaker import load_voice
from ltx2_eval.weights.safe import load_strict, read_state
from ltx2_reports.store import DamagedError

RATE_HZ = 16_000
WINDOW = 30 * RATE_HZ
LEAST_S = 0.1
_MAX_TOKENS = 224
_HEAD_WIDTH = 64
_CONTROL = ("<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>", "<|endoftext|>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """What Whisper read in a clip."""

    text: str
    language: str | None
    """Code of the language of the first window with speech; None where there is none."""
    log_probability: float | None
    """Mean over the tokens of the text."""
    no_speech: float | None
    """Largest probability, over the windows, that Whisper itself gives to there being no speech."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    id: int
    log_probability: float


class WhisperExtractor:
    """Tokens of Whisper's greedy transcript with their log probabilities; `transcript` makes words of them."""

    def __init__(self, spec: ExtractorSpec, model: Any, tokenizer: Any, folder: Path, voice: SileroExtractor) -> None:
        from transformers import WhisperFeatureExtractor

        self.spec, self.model, self.tokenizer, self.voice = spec, model, tokenizer, voice
        self.device = voice.device
        self.front_end = WhisperFeatureExtractor()
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._suppressed: list[int] = settings["suppress_ids"]
        self._not_first: list[int] = settings["suppress_ids_begin"]
        self._languages: list[int] = settings["lang_ids"]
        self.spelling = spelling_of(folder)
        """British words and their American spelling, by which both texts are united before words are compared."""
        self._start, self._transcribe, self._plain, self._end = map(tokenizer.token_to_id, _CONTROL)
        self._silent = self._plain - 1  # "no speech", which tokenizers know by two names

    @classmethod
    def load(cls, spec: ExtractorSpec, weights: Path | None, device: str) -> Self:
        """Load a folder with the weights, the tokenizer and the settings of the decoding, and Silero VAD beside it.

        Raises:
            NotAvailable: one of the two is missing.
            DamagedError: a file does not fit.
        """
        weights = present(spec, weights)
        from tokenizers import Tokenizer

        state = read_state(weights / "model.safetensors")
        model = _network(state)
        load_strict(model, {**state, "proj_out.weight": state["model.decoder.embed_tokens.weight"]}, str(weights))
        tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
        if any(tokenizer.token_to_id(token) is None for token in _CONTROL):
            raise DamagedError(f"{weights}: tokenizer.json is not that of Whisper: pull the weights again")
        voice = load_voice(spec, device)
        return cls(spec, model.eval().requires_grad_(False).to(device), tokenizer, weights, voice)

    def features(self, clip: Clip) -> NDArray[np.float32]:
        """(k, 3) token, its log probability, the start of its window in s; token numbers are whole.

        Each window of 30 s gives the token of its language, the token for no speech, and its text, closed by the end
        token; a window in which Silero hears nobody gives the token for no speech alone, with log probability 0.

        Raises:
            NotApplicable: no sound, or less than 0.1 s.
        """
        return self.tokens(mono(clip, RATE_HZ, LEAST_S))

    def tokens(self, waveform: NDArray[np.float32], language: str | None = None) -> NDArray[np.float32]:
        """As `features`, of a waveform (n,) at 16 kHz; in a language where it is given, else in the likeliest.

        Raises:
            ValueError: a language that Whisper does not know.
        """
        rows: list[tuple[float, float, float]] = []
        for start in range(0, len(waveform), WINDOW):
            window = waveform[start : start + WINDOW]
            heard = len(window) >= LEAST_S * RATE_HZ and speech_spans(self.voice.probabilities(window))
            found = self._decoded(window, language) if heard else [_Token(id=self._silent, log_probability=0.0)]
            rows += [(token.id, token.log_probability, start / RATE_HZ) for token in found]
        return np.array(rows, np.float32)

    def transcript(self, tokens: NDArray[np.float32]) -> Transcript:
        """The words that `features` or `tokens` stand for."""
        ids = tokens[:, 0].astype(int).tolist()
        languages = [token for token in ids if token in self._languages]
        silent = [float(np.exp(row[1])) for row, token in zip(tokens, ids, strict=True) if token == self._silent]
        spoken = np.array([token < self._end for token in ids])
        name = self.tokenizer.id_to_token(languages[0]).strip("<|>") if languages else None
        return Transcript(
            text=self.words_of(ids),
            language=name,
            log_probability=float(tokens[spoken, 1].mean()) if spoken.any() else None,
            no_speech=max(silent) if silent else None,
        )

    def words_of(self, ids: Sequence[int]) -> str:
        """The text of tokens; those that are no text are left out."""
        return str(self.tokenizer.decode([token for token in ids if token < self._end])).strip()

    def knows(self, language: str) -> bool:
        """Whether Whisper has a token for a language."""
        return self.tokenizer.token_to_id(f"<|{language}|>") in self._languages

    def read(self, clip: Clip, language: str) -> NDArray[np.float32]:
        """As `features`, in the language that is given."""
        return self.tokens(mono(clip, RATE_HZ, LEAST_S), language)

    def _decoded(self, waveform: NDArray[np.float32], language: str | None) -> list[_Token]:
        inputs = self.front_end(waveform, sampling_rate=RATE_HZ, return_tensors="pt")
        with torch.inference_mode():
            encoded = self.model.model.encoder(inputs["input_features"].to(self.device))
            first, _ = self._step([self._start], encoded, None)
            chosen = self._language(first, language)
            silent = _Token(id=self._silent, log_probability=float(first.log_softmax(0)[self._silent]))
            return [chosen, silent, *self._greedy(encoded, chosen.id)]

    def _language(self, logits: Tensor, language: str | None) -> _Token:
        """The language's token, with its log probability among the languages."""
        known = logits[self._languages].log_softmax(0)
        if language is None:
            best = int(known.argmax())
        else:
            if not self.knows(language):
                raise ValueError(f"language {language!r}: not one that Whisper knows")
            best = self._languages.index(self.tokenizer.token_to_id(f"<|{language}|>"))
        return _Token(id=self._languages[best], log_probability=float(known[best]))

    def _greedy(self, encoded: Any, language: int) -> list[_Token]:
        prompt: Sequence[int] = [self._start, language, self._transcribe, self._plain]
        found: list[_Token] = []
        past = None
        while len(found) < _MAX_TOKENS:
            logits, past = self._step(prompt, encoded, past)
            logits[self._suppressed] = -torch.inf
            logits[self._end + 1 :] = -torch.inf
            if not found:
                logits[self._not_first] = -torch.inf
            best = int(logits.argmax())
            found.append(_Token(id=best, log_probability=float(logits.log_softmax(0)[best])))
            if best == self._end:
                break
            prompt = [best]
        return found

    def _step(self, tokens: Sequence[int], encoded: Any, past: Any) -> tuple[Tensor, Any]:
        """Logits (vocabulary,) of what follows, and what the next step need not compute again."""
        output = self.model(
            encoder_outputs=encoded,
            decoder_input_ids=torch.tensor([tokens], device=self.device),
            past_key_values=past,
            use_cache=True,
        )
        return output.logits[0, -1].float(), output.past_key_values


def spelling_of(folder: Path) -> dict[str, str]:
    """The spellings that Whisper's authors unite.

    Raises:
        DamagedError: the file is missing or no table of words.
    """
    path = folder / "english.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path}: no table of spellings ({type(error).__name__}); pull the weights again") from error
    if not isinstance(found, dict) or not all(isinstance(word, str) for word in found.values()):
        raise DamagedError(f"{path}: expected words by word; pull the weights again")
    return found


def _network(state: dict[str, Tensor]) -> Any:
    """transformers' Whisper of the size that the weights have."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    vocabulary, width = state["model.decoder.embed_tokens.weight"].shape
    layers = {
        side: 1 + max(int(key.split(".")[3]) for key in state if key.startswith(f"model.{side}.layers."))
        for side in ("encoder", "decoder")
    }
    heads = width // _HEAD_WIDTH
    feed_forward = state["model.encoder.layers.0.fc1.weight"].shape[0]
    config = WhisperConfig(
        vocab_size=vocabulary,
        num_mel_bins=state["model.encoder.conv1.weight"].shape[1],
        d_model=width,
        encoder_layers=layers["encoder"],
        decoder_layers=layers["decoder"],
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=feed_forward,
        decoder_ffn_dim=feed_forward,
    )
    return WhisperForConditionalGeneration(config)
