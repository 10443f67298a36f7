"""The real encoder: its weights on disk, what it makes of texts, and what it finds by them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from django.conf import LazySettings

from proxy.meaning import encoder, weights
from proxy.meaning.encoder import Encoder
from proxy.meaning.weights import WeightsUnavailable
from proxy.relevance.messages import Message
from proxy.relevance.passages import alike
from proxy.relevance.text import embeddings
from tests.relevance.unlike_words import PAIRS

QUESTIONS, PASSAGES = zip(*PAIRS, strict=True)
MOST_MISSED = 4


def messages(texts: tuple[str, ...], minilm: Encoder | None) -> list[Message]:
    return [
        Message("user", text, text.encode(), vector=minilm.vector(text) if minilm else b"")
        for text in texts
    ]


def missed(questions: list[Message], passages: list[Message]) -> list[str]:
    """The questions whose own passage is not the most alike."""
    return [
        question.text
        for place, question in enumerate(questions)
        if np.argmax(alike(passages, question)) != place
    ]


class TestWhatItFinds:
    def test_a_passage_that_shares_no_word_with_its_question(self, minilm: Encoder):
        questions, passages = messages(QUESTIONS, minilm), messages(PASSAGES, minilm)

        assert len(missed(questions, passages)) <= MOST_MISSED

    def test_a_question_that_shares_no_word_with_its_answer(self, minilm: Encoder):
        questions, passages = messages(QUESTIONS, minilm), messages(PASSAGES, minilm)

        assert len(missed(passages, questions)) <= MOST_MISSED

    def test_is_nothing_that_words_would_find(self):
        questions, passages = messages(QUESTIONS, None), messages(PASSAGES, None)

        for place, question in enumerate(questions):
            assert alike(passages, question)[place] == 0, question.text


class TestAText:
    def test_gets_the_same_vector_whatever_was_encoded_before(self, minilm: Encoder):
        alone = minilm.vector("A short text.")

        minilm.vector("A much longer text, " * 100)

        assert minilm.vector("A short text.") == alone

    def test_gets_the_same_vector_among_others_at_once(self, minilm: Encoder):
        texts = [f"Text {n} " + "of words " * n for n in range(16)]
        alone = [minilm.vector(text) for text in texts]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(minilm.vector, texts)) == alone

    @pytest.mark.slow
    def test_gets_the_same_vector_in_every_process(self, minilm: Encoder, made: Path):
        program = (
            "import sys; from pathlib import Path; from proxy.meaning.minilm import MiniLM;"
            "print(MiniLM(Path(sys.argv[1])).vector('Naïve café, 東京').hex())"
        )

        done = subprocess.run(
            [sys.executable, "-c", program, made], capture_output=True, text=True, check=True
        )

        assert bytes.fromhex(done.stdout) == minilm.vector("Naïve café, 東京")

    @pytest.mark.parametrize(
        "text", ["東京の天気", "Погода в Москве", "मौसम", "الطقس اليوم", "서울"]
    )
    def test_says_nothing_in_a_script_of_which_only_letters_are_known(
        self, minilm: Encoder, text: str
    ):
        assert not any(minilm.vector(text))

    def test_says_something_in_other_languages_and_among_a_few_strange_letters(
        self, minilm: Encoder
    ):
        for text in ("Größe und Gewicht", "Cảm ơn bạn", "The word 東京 means Tokyo", "4711 + 2"):
            assert any(minilm.vector(text)), text

    @pytest.mark.parametrize("text", ["", "\x00", "\ud800", "[SEP] [MASK]", "x" * 100_000])
    def test_may_be_anything(self, minilm: Encoder, text: str):
        (row,) = embeddings.unpacked([minilm.vector(text)])

        assert row @ row == pytest.approx(1)


class TestTheWeights:
    def test_are_those_that_were_measured(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        monkeypatch.setattr(weights, "EXPORT_SHA256", "0" * 64)

        with pytest.raises(WeightsUnavailable, match="other weights"):
            weights.make(tmp_path / "encoder")

    def test_are_not_used_after_they_changed_on_disk(self, made: Path, tmp_path: Path):
        for path in (made, made.with_suffix(".sha256")):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        assert weights.made(tmp_path)

        with (tmp_path / made.name).open("ab") as file:
            file.write(b"x")

        assert weights.made(tmp_path) is None

    @pytest.mark.slow
    def test_are_made_once_by_processes_that_start_at_once(self, made: Path, tmp_path: Path):
        command = [sys.executable, "-m", "proxy.meaning.weights", tmp_path]
        both = [subprocess.Popen(command) for _ in range(2)]

        assert [each.wait() for each in both] == [0, 0]

        assert weights.made(tmp_path)
        assert {path.suffix for path in tmp_path.iterdir()} == {".ort", ".sha256"}

    def test_are_missing_where_the_folder_cannot_be_written(self, tmp_path: Path):
        (tmp_path / "file").touch()

        with pytest.raises(WeightsUnavailable, match="can't be written"):
            weights.make(tmp_path / "file" / "encoder")


class TestLoading:
    @pytest.fixture(autouse=True)
    def fresh(self, settings: LazySettings) -> Iterator[None]:
        settings.PROXY_ENCODER = "minilm"
        encoder.use(None)
        yield
        encoder.use(None)

    @pytest.mark.slow
    def test_makes_the_weights_where_nobody_did(
        self, settings: LazySettings, tmp_path: Path, minilm: Encoder
    ):
        settings.DATA_DIR = tmp_path

        used = encoder.load()

        assert used
        assert used.vector("A text.") == minilm.vector("A text.")

    @pytest.mark.slow
    def test_that_failed_is_not_tried_with_every_request(
        self, settings: LazySettings, tmp_path: Path
    ):
        (tmp_path / "file").touch()
        settings.DATA_DIR = tmp_path / "file"

        assert encoder.load() is None
        assert not encoder.is_wanted()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux tells it")
def test_it_takes_less_than_eighty_megabytes(made: Path):
    bench = Path(__file__).resolve().parents[1] / "bench" / "encoder.py"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}

    done = subprocess.run(
        [sys.executable, bench, "--one"],
        input="\n", capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip

    (megabytes,) = re.findall(r"(\d+) MB", done.stdout)
    assert int(megabytes) < 80


@pytest.mark.slow
def test_nothing_of_it_is_imported_before_it_is_wanted():
    program = (
        "import django, sys; django.setup(); import alchemyst.asgi;"
        "print([m for m in ('onnxruntime', 'onnx', 'tokenizers') if m in sys.modules])"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "alchemyst.settings"}

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )

    assert done.stdout.strip() == "[]", done.stderr


def test_the_pairs_share_no_long_word():
    for question, passage in PAIRS:
        words = [set(re.findall(r"\w{4,}", text.lower())) for text in (question, passage)]
        assert not words[0] & words[1] - {"what", "when", "your", "with", "does"}, question
