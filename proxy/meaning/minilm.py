"""all-MiniLM-L6-v2: a text's direction among 384 numbers, near to those of texts that mean alike.

It reads English best, and other languages in Latin script a little. What is written in another
script says nothing to it: of those its vocabulary has single letters.

A text is encoded by itself, on the thread that asks: what else is in a batch would change its last
digits. The interpreter is free meanwhile.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from tokenizers.implementations import BertWordPieceTokenizer

from proxy.meaning.weights import WIDTH
from proxy.relevance.text import embeddings

VOCABULARY: Final = Path(__file__).with_name("vocabulary.txt")
MOST_TOKENS: Final = 256
"""What the model was trained to read of a text."""

LONG: Final = 128
"""Tokens. What the C library holds back of a longer text's buffers would add up to 50 MB."""

_LATIN: Final = re.compile(r"[A-Za-zªµºÀ-ÖØ-öø-ɏḀ-ỿ]+")
_malloc_trim: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)
_SESSION: Final = {
    # Processes share the file's pages, in place of a copy in each.
    "session.use_memory_mapped_ort_model": "1",
    "session.use_ort_model_bytes_directly": "1",
    "session.use_ort_model_bytes_for_initializers": "1",
    "session.disable_prepacking": "1",
}


class MiniLM:
    """The model, loaded from quantized weights; safe to share among threads."""

    def __init__(self, weights: Path) -> None:
        self._tokenizer = BertWordPieceTokenizer(str(VOCABULARY), lowercase=True)
        self._tokenizer.enable_truncation(MOST_TOKENS)
        options = onnxruntime.SessionOptions()
        # Threads that wait for each other take longer than one wherever anything else runs.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        for name, value in _SESSION.items():
            options.add_session_config_entry(name, value)
        self._session = onnxruntime.InferenceSession(
            str(weights), options, providers=["CPUExecutionProvider"]
        )

    def vector(self, text: str) -> bytes:
        """Return the text's direction, packed; that of a text in another script says nothing."""
        if not _is_legible(text):
            return embeddings.nothing(WIDTH)
        # What is no character has no token.
        encoding = self._tokenizer.encode(text.encode("utf-8", "replace").decode())
        ids = np.array([encoding.ids], np.int64)
        inputs = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        (states,) = self._session.run(None, inputs)
        if len(encoding.ids) > LONG:
            _trim()
        return embeddings.packed(states[0].mean(axis=0))


def _is_legible(text: str) -> bool:
    if text.isascii():
        return True
    latin = sum(map(len, _LATIN.findall(text)))
    return 2 * latin >= sum(map(str.isalpha, text))


def _trim() -> None:
    """Give memory that nobody uses back to the system, where its C library can."""
    if _malloc_trim is not None:
        _malloc_trim(0)
