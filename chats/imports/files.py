"""From a file's bytes to the conversations in it, still unread: JSON, JSON lines, or a zip of them.

Only one conversation at a time is made into objects. What a zip unpacks to is bounded.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
from django.conf import settings

from chats.imports.conversation import Unreadable
from chats.transfer.exports import FORMAT
from proxy.filtering.cli.conversation_files import values_in

MOST_MEMBERS = 1000
# An import may be so many times as large unpacked as it may be sent.
UNPACKED = 4
_NO_JSON = "It is neither JSON nor JSON lines, nor a zip of such files."

_HALVES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)

_list = msgspec.json.Decoder(list[msgspec.Raw])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def conversations(file: bytes) -> Iterator[list[msgspec.Raw]]:
    """Yield what each file in it holds; raises Unreadable for what can be no export."""
    if file.startswith(b"PK\x03\x04"):
        for text in _unpacked(file):
            yield _in(text)
    else:
        yield _in(file)


def _in(text: bytes) -> list[msgspec.Raw]:
    text = text.removeprefix(codecs.BOM_UTF8)
    try:
        try:
            return _wrapped(_values(text))
        except Unreadable:
            # Half a surrogate pair is no text, but some exports cut a text within an emoji.
            return _wrapped(_values(_HALVES.sub(rb"\\ufffd", text)))
    except RecursionError:
        raise Unreadable("It is nested too deeply.") from None


def _values(text: bytes) -> list[msgspec.Raw]:
    """Return the items of a list, or the one value or each line's; raises Unreadable."""
    # What is no list may be one object, or one on each line.
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return _list.decode(text)
    if values := values_in(text):
        return values
    raise Unreadable(_NO_JSON)


def _wrapped(values: list[msgspec.Raw]) -> list[msgspec.Raw]:
    """Return the conversations in an object around them, such as ours."""
    if len(values) != 1:
        return values
    try:
        fields = _fields.decode(values[0])
    except msgspec.DecodeError:
        return values
    if fields.get("format") == msgspec.Raw(msgspec.json.encode(FORMAT)):
        _check_version(fields)
    for name in ("chats", "conversations", "data"):
        if name in fields and bytes(fields[name]).lstrip()[:1] == b"[":
            return _list.decode(fields[name])
    return values


def _check_version(fields: dict[str, Any]) -> None:
    if fields.get("version") != msgspec.Raw(b"1"):
        raise Unreadable("It was written by a newer version of Alchemyst: update this one first.")


def _unpacked(file: bytes) -> Iterator[bytes]:
    """Yield the files in a zip that may hold conversations."""
    left = UNPACKED * settings.CHAT_IMPORT_MAX_BODY
    try:
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            for member in _promising(archive.infolist()):
                # What a zip says of its sizes need not be so.
                with archive.open(member) as opened:
                    text = opened.read(left + 1)
                left -= len(text)
                if left < 0:
                    raise Unreadable("The zip unpacks to more than may be imported.")
                yield text
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError):
        raise Unreadable("The zip can't be read: it is broken, or needs a password.") from None


def _promising(members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Return the members with conversations; ChatGPT's zips hold much else as JSON."""
    json_members = [
        member
        for member in members
        if member.filename.endswith((".json", ".jsonl")) and "__MACOSX" not in member.filename
    ]
    if len(json_members) > MOST_MEMBERS:
        raise Unreadable(f"The zip has more than {MOST_MEMBERS} files.")
    names = {member.filename: member.filename.rsplit("/", 1)[-1] for member in json_members}
    conversation_members = [
        member for member in json_members if names[member.filename].startswith("conversations")
    ]
    if not json_members:
        raise Unreadable("The zip has no JSON in it.")
    return conversation_members or json_members
