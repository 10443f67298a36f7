"""Other dialects for a server that speaks OpenAI's chat completions alone: the built-in model's.

Nothing of a provider's is ever translated. The built-in model, or the operator's server in its
place, is asked by chat completions whatever its caller speaks, so that it answers alike in every
dialect. What such a server has no word for is left out.
"""

from __future__ import annotations

from proxy.wire.translation import messages, responses
from proxy.wire.translation.chat import Translation

__all__ = ["BY_DIALECT", "Translation"]

# By the dialect's name. What is translated of it is the request for an answer; other endpoints,
# such as the one that counts tokens, are answered without the model.
BY_DIALECT: dict[str, Translation] = {
    "anthropic": messages.TRANSLATION,
    "responses": responses.TRANSLATION,
}
