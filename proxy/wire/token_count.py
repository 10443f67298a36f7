"""How many tokens a text is, counted with OpenAI's o200k_base vocabulary, offline.

The count is exact for models of that vocabulary (gpt-4o and later) and a fair measure for others.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

# What OpenAI's own chat format adds: to each message, to a sender's name, to the whole request.
# Source: the OpenAI cookbook, "How to count tokens with tiktoken".
PER_MESSAGE = 3
PER_NAME = 1
PER_REQUEST = 3

# Beyond this many characters a text is measured on its beginning and scaled up: a text of 10 MB
# would take a second.
EXACT_CHARACTERS = 400_000


def count(text: str) -> int:
    """Return the number of tokens in `text`; beyond EXACT_CHARACTERS a close estimate."""
    if len(text) <= EXACT_CHARACTERS:
        return int(_tokenizer().count(text))
    measured = int(_tokenizer().count(text[:EXACT_CHARACTERS]))
    return round(measured * len(text) / EXACT_CHARACTERS)


@cache
def _tokenizer() -> Any:
    """Load the tokenizer without its package's Python layer.

    That layer builds a second copy of the vocabularies in Python, 70 MB that nothing here uses;
    the compiled module beside it is complete.
    """
    package = importlib.util.find_spec("bpe_openai")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("bpe_openai")
    folder = Path(package.submodule_search_locations[0])
    (file,) = folder.glob("_bindings.*so") or folder.glob("_bindings.*pyd")
    loader = importlib.machinery.ExtensionFileLoader("bpe_openai._bindings", str(file))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module.tokenizer_for_encoding("o200k_base")
