from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import IntegrityError, transaction

from alchemyst import env
from alchemyst.accounts.models import SCOPES, ApiKey, User

FIRST_START = """\
This is the first start, so an administrator was made. Keep this: it is not shown again.

  Username   {username}
  Password   {password}
  API key    {key}

"""

LATER = """\
The examples read your API key from ALCHEMYST_KEY. To make a new one:

  {python} manage.py create_key {username} --name laptop --scopes {scopes}

"""

EXAMPLES = """\
Alchemyst is at {url} (a chat at /chat, the admin at /admin/, the API explained at /api/docs).
Try it with curl:

  curl {url}/api/v1/proxy/default/chat/completions \\
    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" -d '{{
      "model": "alchemyst-ai/alchemyst-c1",
      "messages": [{{"role": "user", "content": "Hello!"}}]
    }}'

or with Python (pip install openai):

{python}"""

PYTHON = """\
from openai import OpenAI
client = OpenAI(base_url="{url}/api/v1/proxy/default", api_key={key})
question = [{{"role": "user", "content": "Hello!"}}]
answer = client.chat.completions.create(model="alchemyst-ai/alchemyst-c1", messages=question)
print(answer.choices[0].message.content)"""


class Command(BaseCommand):
    help = "Greet the operator: an administrator and a key on the first start, examples on each."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", default="8000")

    def handle(self, *args: Any, host: str, port: str, **options: Any) -> None:
        url = f"http://{reachable(host)}:{port}"
        try:
            credentials = create_first_administrator()
        except IntegrityError:
            # Another process that started at the same time has greeted the operator.
            credentials = None
        if credentials is None:
            admin = User.objects.filter(is_superuser=True, is_active=True).first()
            username = admin.username if admin else "USERNAME"
            self.stdout.write(
                LATER.format(python=interpreter(), username=username, scopes=" ".join(SCOPES))
            )
            key, quoted = "$ALCHEMYST_KEY", 'os.environ["ALCHEMYST_KEY"]'
        else:
            username, password, key = credentials
            self.stdout.write(FIRST_START.format(username=username, password=password, key=key))
            quoted = f'"{key}"'
        python = PYTHON.format(url=url, key=quoted)
        if credentials is None:
            python = f"import os\n{python}"
        self.stdout.write(EXAMPLES.format(url=url, key=key, python=python))


@transaction.atomic
def create_first_administrator() -> tuple[str, str, str] | None:
    """Make an administrator with a key, and return name, password and key; None if anyone exists.

    A password that the operator gave is not repeated.
    """
    if User.objects.exists():
        return None
    username = env.text("ALCHEMYST_ADMIN_USERNAME", "admin")
    configured = env.secret("ALCHEMYST_ADMIN_PASSWORD")
    password = configured or secrets.token_urlsafe(15)
    admin = User.objects.create_superuser(username, password=password)
    _, key = ApiKey.make(admin, name="first key", scopes=SCOPES)
    return username, "the one in ALCHEMYST_ADMIN_PASSWORD" if configured else password, key


def interpreter() -> str:
    """Return how this Python is called from here: by a short path where it lies below."""
    path, here = Path(sys.executable), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def reachable(host: str) -> str:
    """Return where a server that listens on `host` is reached from this machine."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
