"""A body that two parsers would read differently is refused: what is checked is what is done."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from alchemyst.accounts.models import ApiKey, User
from proxy.common.errors import InvalidRequest
from proxy.wire.validation import check_names
from tests.fakes import FakeProvider
from tests.gemini import Ask

Through = Callable[..., str]
HI = '[{"role": "user", "content": "Hi"}]'


def ask(http: requests.Session, through: Through, body: str) -> requests.Response:
    return http.post(f"{through()}/chat/completions", data=body.encode())


class TestAFieldThatIsGivenTwice:
    @pytest.mark.parametrize(
        ("members", "param"),
        [
            (f'"model": "a", "messages": {HI}, "model": "b"', "model"),
            (f'"model": "a", "messages": {HI}, "model": "a"', "model"),
            (f'"model":"a","model":"longer than the first","messages":{HI}', "model"),
            (f'"model": "a", "messages": {HI}, "\\u006dodel": "b"', "model"),
            (f'"\\u006D\\u006fdel": "a", "messages": {HI}, "model": "b"', "model"),
            (f'"model": "a", "messages": {HI}, "messages": {HI}', "messages"),
            (f'"n": 1, "model": "a", "messages": {HI}, "n": 12', "n"),
            (f'"n": 12, "model": "a", "messages": {HI}, "n": 1', "n"),
            (f'"unknown": {{}}, "model": "a", "messages": {HI}, "unknown": []', "unknown"),
            (f'"": 1, "model": "a", "messages": {HI}, "": 2', ""),
        ],
    )
    def test_is_a_400_that_names_it(
        self, http: requests.Session, through: Through, provider: FakeProvider, members, param
    ):
        answer = ask(http, through, f"{{{members}}}")

        error = answer.json()["error"]
        assert answer.status_code == 400
        assert (error["code"], error["param"] or "") == ("invalid_request", param)
        assert "more than once" in error["message"]
        assert not provider.received

    def test_is_a_400_in_geminis_shape_too(self, ask_gemini: Ask, provider: FakeProvider):
        contents = b'[{"parts": [{"text": "Hi"}]}]'

        answer = ask_gemini(b'{"contents": %b, "c\\u006fntents": %b}' % (contents, contents))

        assert answer.status_code == 400
        assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
        assert not provider.received

    def test_is_a_400_for_a_preview_too(self, http: requests.Session, server: str):
        body = f'{{"model": "a", "messages": {HI}, "model": "b"}}'

        assert http.post(f"{server}/api/v1/proxy/preview", data=body).status_code == 400

    @pytest.mark.parametrize("name", ["Model", "MODEL", "\u212aey"])
    def test_in_another_case_is_one_as_well(
        self, http: requests.Session, through: Through, provider: FakeProvider, name: str
    ):
        """Go's parsers take it for the same, and so do the servers of models written in it."""
        body = {"model": "a", "key": 1, "messages": json.loads(HI), name: "b"}

        assert ask(http, through, json.dumps(body)).status_code == 400
        assert not provider.received

    def test_does_not_lead_past_a_keys_list_of_models(
        self, through: Through, provider: FakeProvider, alice: User
    ):
        key = ApiKey.make(alice, name="x", scopes=["proxy"], allowed_models=["allowed"])[1]
        body = f'{{"model": "forbidden", "messages": {HI}, "model": "allowed"}}'

        answer = requests.post(
            f"{through()}/chat/completions", data=body, headers={"Authorization": f"Bearer {key}"}
        )

        assert answer.status_code == 400
        assert not provider.received


@pytest.mark.parametrize(
    "members",
    [
        '"metadata": {"a": 1, "a": 2}',
        '"tools": [{"type": "function", "function": {"name": "f", "name": "g"}}]',
        '"stop": "\\", \\"model\\": \\"b"',
        '"model ": "b", "mode": "c", "\\\\model": "d"',
    ],
)
def test_what_is_doubled_further_within_is_the_providers_business(
    http: requests.Session, through: Through, provider: FakeProvider, members: str
):
    body = f' {{ "model" : "a" ,\n"messages":{HI},\t{members} }} '

    assert ask(http, through, body).status_code == 200
    assert provider.last().body == body.encode()


NAMES = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"c\\"d"', '""', '"\\\\"', '"}"'])
VALUES = st.sampled_from(
    ["1", "12", "1.5", "1e5", "null", '"a"', '"a\\"b"', '",\\"b\\":1"', '"}"', '{"a":1,"a":2}']
)
BLANKS = st.sampled_from(["", " ", "\n\t"])


@given(st.lists(st.tuples(NAMES, VALUES, BLANKS), min_size=1, max_size=5))
def test_a_body_is_refused_if_and_only_if_a_name_is_doubled(members: list[tuple[str, str, str]]):
    written = ",".join(f"{blank}{name}{blank}:{value}{blank}" for name, value, blank in members)
    names = [json.loads(name) for name, _, _ in members]

    try:
        check_names(f"{{{written}}}".encode())
        is_refused = False
    except InvalidRequest:
        is_refused = True

    assert is_refused == (len(set(names)) < len(names))
