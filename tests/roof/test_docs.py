"""What the documentation points to is there, and it tells one version."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
from django.test import Client

import alchemyst

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# A file or folder of ours in backticks, and a module that a command runs.
OURS = "alchemyst|chats|personas|proxy|deploy|static|templates|tests"
PATH = re.compile(rf"`((?:{OURS})/[\w./-]*)`")
FILE = re.compile(r"`((?:[\w-]+/)*[\w-]+\.(?:py|lua|js|css|html))`")
MODULE = re.compile(r"-m (tests(?:\.\w+)+)")
# Each with every ending of its path: "/proxy/wire/usage.py", "/wire/usage.py", "/usage.py".
OUR_FILES = {
    str(Path("/", *path.relative_to(ROOT).parts[start:]))
    for folder in OURS.split("|")
    for path in (ROOT / folder).rglob("*.*")
    if "node_modules" not in path.parts
    for start in range(len(path.relative_to(ROOT).parts))
}
# Named as what a reader would add.
EXAMPLES = {"file.py"}
TARGET = re.compile(r"(?:`|^ {4}|&& )make ([a-z][a-z-]*)", re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its blocks of code, in which nothing is a heading or a link."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The fragments that headings can be linked by, as forges make them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(page)))
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path):
    links = [link for link in LINK.findall(prose(page)) if "://" not in link]

    for link in links:
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


# What a changelog tells of was there once.
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of
)
def test_every_path_of_ours_that_a_page_names_is_there(page: Path):
    text = page.read_text()
    paths = [*PATH.findall(text), *(f"{m.replace('.', '/')}.py" for m in MODULE.findall(text))]

    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of
)
def test_every_file_of_code_that_a_page_names_is_somewhere(page: Path):
    names = FILE.findall(page.read_text())

    assert not [name for name in names if name not in EXAMPLES and f"/{name}" not in OUR_FILES]


def test_every_target_that_is_named_can_be_made():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    listed = set(re.findall(r"^#: ([a-z-]+)", makefile, flags=re.MULTILINE))

    named = {target for page in PAGES for target in TARGET.findall(page.read_text())}

    assert listed | named <= targets
    assert targets - listed <= {"help"}


def test_the_index_names_every_page():
    index = (DOCS / "README.md").read_text()

    linked = {(DOCS / link).resolve() for link in LINK.findall(index)}

    assert linked >= {page for page in DOCS.glob("*.md") if page.name != "README.md"}


def test_the_decisions_are_numbered_and_listed():
    records = sorted((DOCS / "decisions").glob("0*.md"))
    index = (DOCS / "decisions" / "README.md").read_text()

    assert [record.name[:4] for record in records] == [
        f"{number:04}" for number in range(1, len(records) + 1)
    ]
    for record in records:
        title = HEADING.search(record.read_text())
        assert title
        number, _, decided = title[1].partition(". ")
        assert f"| [{number}]({record.name}) | {decided} |" in index


class TestTheVersion:
    def test_is_that_of_the_newest_section_of_the_changelog(self):
        changelog = (ROOT / "CHANGELOG.md").read_text()

        sections = re.findall(r"^## (\S+) - (\S+)$", changelog, flags=re.MULTILINE)

        assert sections[0][0] == alchemyst.__version__
        days = [date.fromisoformat(day) for _, day in sections]
        assert days == sorted(days, reverse=True)

    @pytest.mark.django_db
    def test_is_what_the_schema_tells(self, client: Client):
        schema = client.get("/api/schema", headers={"accept": "application/json"}).json()

        assert schema["info"]["version"] == alchemyst.__version__

    def test_is_written_in_no_other_place_of_the_package(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())

        assert "version" in project["project"]["dynamic"]
        assert project["tool"]["setuptools"]["dynamic"]["version"] == {
            "attr": "alchemyst.__version__"
        }


def test_the_packages_extras_are_files_of_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["tool"]["setuptools"]["dynamic"]["optional-dependencies"]

    for extra in extras.values():
        (file,) = extra["file"]
        # Setuptools reads requirements alone, not options such as -r.
        lines = (ROOT / file).read_text().splitlines()
        assert not [line for line in lines if line.startswith("-")]
