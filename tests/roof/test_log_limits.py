"""The log under attack: what others send in masses stays little, short, and at its own level."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator

import pytest
import requests
from django.test import Client

from alchemyst.logs import MaskingFormatter, WithRequestId
from alchemyst.operations.log_limits import MOST_ALIKE, MOST_MESSAGE, MOST_TRACEBACK, LogLimits
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

KEY = "sk-canary-1234567890"
# A logger that nothing else writes to meanwhile.
OURS = "alchemyst.here"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What reaches a handler as the settings make it: a line each, its level first."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(MaskingFormatter("%(levelname)s %(name)s %(message)s"))
    for each in (WithRequestId(), LogLimits()):
        handler.addFilter(each)
    for name in ("django", "uvicorn.error", OURS):
        logger = logging.getLogger(name)
        # In place of the console's, whose filter would change the same records.
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "propagate", False)
    # As the settings have it; a server that another test started may have raised it.
    served = logging.getLogger("uvicorn.error")
    level = served.level
    served.setLevel(logging.INFO)
    yield lambda: written.getvalue().splitlines()
    served.setLevel(level)


@pytest.fixture
def careless(client: Client) -> Client:
    """A client that is answered, not shown, what fails."""
    client.raise_request_exception = False
    return client


class TestAMistakeOfCallers:
    @pytest.mark.parametrize(
        ("path", "status"), [("/api/v1/chat/history", 401), ("/no-such-page", 404)]
    )
    @pytest.mark.django_db
    def test_is_no_warning(self, client: Client, log, path: str, status: int):
        assert client.get(path).status_code == status

        (line,) = log()
        assert line.startswith("INFO django.request ")

    @pytest.mark.django_db
    def test_is_written_less_often_the_more_often_it_comes(self, client: Client, log):
        for number in range(400):
            client.get(f"/no-such-page-{number}")

        lines = log()
        assert len(lines) == MOST_ALIKE + len([20, 40, 80, 160, 320])
        assert lines[-1].endswith("/no-such-page-319 (the 320th within a minute)")

    @pytest.mark.django_db
    def test_hides_no_other(self, client: Client, log):
        for number in range(100):
            client.get(f"/no-such-page-{number}")
        client.get("/api/v1/chat/history")

        assert log()[-1].startswith("INFO django.request Unauthorized: /api/v1/chat/history")


class TestAForeignHost:
    def test_of_any_length_is_one_short_warning(self, client: Client, log):
        client.get("/", HTTP_HOST="a" * 5_000)

        (line,) = log()
        assert line.startswith("WARNING django.security.DisallowedHost ")
        assert len(line) < MOST_MESSAGE + 100

    def test_that_differs_each_time_is_one_kind_all_the_same(self, client: Client, log):
        for number in range(100):
            client.get("/", HTTP_HOST=f"host-{number}.example")

        assert len(log()) == MOST_ALIKE + len([20, 40, 80])


class TestAnAnswerThatIsCutOnPurpose:
    def test_is_no_error_of_ours(
        self, http: requests.Session, server: str, provider: FakeProvider, log
    ):
        url = f"{server}/api/v1/proxy/{provider.url}/cut/v1/sk-1/chat/completions"

        with pytest.raises(requests.RequestException):
            http.post(url, json=completion(HISTORY[-1:]))

        assert [line.split()[0] for line in log() if "without completing" in line] == ["INFO"]


class TestARecord:
    def test_is_one_line_whatever_stands_in_it(self, log):
        logging.getLogger(OURS).warning("Title: %s", "x\r\nERROR alchemyst forged\x1b[2J")

        assert log() == ["WARNING alchemyst.here Title: x\\x0d\\x0aERROR alchemyst forged\\x1b[2J"]

    def test_that_is_cut_shows_no_part_of_a_key(self, log):
        logging.getLogger(OURS).warning("%s", "x" * (MOST_MESSAGE - 6) + f" {KEY}")

        assert "sk-" not in log()[0]

    def test_with_arguments_that_do_not_fit_ends_nobodys_request(self):
        record = logging.makeLogRecord({"name": "alchemyst", "msg": "%d", "args": ("x",)})
        record.levelno = logging.WARNING

        assert LogLimits().filter(record)

    def test_of_debugging_is_never_left_out(self, log):
        logger = logging.getLogger("alchemyst.here.debugging")
        logger.setLevel(logging.DEBUG)
        for number in range(100):
            logger.debug("%d", number)

        assert len(log()) == 100


class TestATraceback:
    def fail(self, text: str) -> None:
        try:
            raise ValueError(text)
        except ValueError:
            logging.getLogger(OURS).exception("It failed")

    def test_is_bounded_and_shows_its_end(self, log):
        self.fail("\n".join(["x" * 5_000] * 500) + "\nthe end")

        text = "\n".join(log())
        assert len(text) < MOST_TRACEBACK + 200
        assert text.endswith("the end")

    def test_can_not_look_like_a_record(self, log):
        self.fail("x\nERROR alchemyst forged")

        assert "ERROR alchemyst forged" not in log()

    def test_holds_no_key(self, log):
        self.fail(KEY)

        assert KEY not in "\n".join(log())

    def test_of_one_fault_does_not_hide_another(self, log):
        for _ in range(100):
            self.fail("often")
        try:
            raise KeyError("seldom")
        except KeyError:
            logging.getLogger(OURS).exception("It failed")

        assert "KeyError: 'seldom'" in log()[-1]
