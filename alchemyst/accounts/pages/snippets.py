"""The first lines of a program that uses a key, ready to paste."""

from __future__ import annotations

from typing import NamedTuple


class Snippet(NamedTuple):
    title: str
    code: str


_CURL = """\
curl {server}/default/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "alchemyst-ai/alchemyst-c1",
       "messages": [{{"role": "user", "content": "Hello!"}}]}}'"""

_OPENAI = """\
from openai import OpenAI

client = OpenAI(
    base_url="{server}/https://api.openai.com/v1",
    api_key="{key}",
    default_headers={{"X-Upstream-Api-Key": "sk-..."}},  # your key at OpenAI
)
answer = client.chat.completions.create(
    model="gpt-4.1-mini", messages=[{{"role": "user", "content": "Hello!"}}]
)
print(answer.choices[0].message.content)"""

_ANTHROPIC = """\
from anthropic import Anthropic

client = Anthropic(
    base_url="{server}/https://api.anthropic.com",
    api_key="{key}",
    default_headers={{"X-Upstream-Api-Key": "sk-ant-..."}},  # your key at Anthropic
)
answer = client.messages.create(
    model="claude-haiku-4-5",
    max_tokens=1024,
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(answer.content[0].text)"""

_GOOGLE = """\
from google import genai
from google.genai import types

client = genai.Client(
    api_key="AIza...",  # your key at Google
    http_options=types.HttpOptions(
        base_url="{server}/https://generativelanguage.googleapis.com",
        headers={{"Authorization": "Bearer {key}"}},
    ),
)
answer = client.models.generate_content(model="gemini-2.5-flash", contents="Hello!")
print(answer.text)"""


def snippets(server: str, key: str) -> list[Snippet]:
    """Return first calls through the proxy at `server`, with curl and with the SDKs."""
    texts = {
        "curl": _CURL,
        "Python, openai": _OPENAI,
        "Python, anthropic": _ANTHROPIC,
        "Python, google-genai": _GOOGLE,
    }
    return [Snippet(title, text.format(server=server, key=key)) for title, text in texts.items()]
