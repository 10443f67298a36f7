"""The Dockerfile, carried out without an engine: each stage in a root, each RUN on a shell.

The images that it begins with are not to be had: a bare root takes their place. An instruction
that is not known here ends it, so that the file and this cannot drift apart.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from tests.bare.root import PATH, Root, Surroundings


@dataclass
class Image:
    """A root, and how a container of it is started."""

    root: Root
    user: str = "root"
    folder: str = "/"
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    """What only its making knows: ARG."""
    command: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)
    port: str = ""
    volumes: list[str] = field(default_factory=list)


def build(context: Path, base: Root, folder: Path) -> Image:
    """Make the image of a folder's Dockerfile, the last stage of it."""
    stages: dict[str, Image] = {}
    image = None
    for name, rest in instructions((context / "Dockerfile").read_text(encoding="utf-8")):
        if name == "FROM":
            stage = rest.partition(" AS ")[2] or "last"
            image = stages[stage] = Image(_like_an_image_of_python(base.copy(folder / stage)))
            continue
        assert image is not None
        print(f"{name} {rest}", flush=True)
        _carry_out(name, rest, image, context, stages)
    assert image is not None
    return image


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction's name and the rest of it."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.partition(" ")
        yield name, rest.strip()


def _carry_out(name: str, rest: str, image: Image, context: Path, stages: dict[str, Image]) -> None:
    match name:
        case "RUN":
            environment = image.environment | image.arguments
            around = Surroundings(image.user, image.folder, environment)
            image.root.output(["sh", "-c", rest], around)
        case "COPY":
            _copy(rest, image, context, stages)
        case "WORKDIR":
            image.folder = rest
            image.root.inside(rest).mkdir(parents=True, exist_ok=True)
        case "ENV":
            for variable, value in re.findall(r"(\w+)=(\S+)", rest):
                image.environment[variable] = Template(value).substitute(image.environment)
        case "ARG":
            variable, _, value = rest.partition("=")
            image.arguments[variable] = value.strip('"')
        case "USER":
            image.user = rest
        case "CMD":
            image.command = json.loads(rest)
        case "HEALTHCHECK":
            image.health_check = json.loads(rest.partition("CMD ")[2])
        case "EXPOSE":
            image.port = rest
        case "VOLUME":
            image.volumes.append(rest)
        case "STOPSIGNAL":
            assert rest == "SIGTERM"
        case _:
            raise AssertionError(f"{name} is not known here")


def _copy(rest: str, image: Image, context: Path, stages: dict[str, Image]) -> None:
    *sources, target = rest.split()
    place = image.root.inside(str(Path(image.folder, target)))
    if sources[0].startswith("--from="):
        stage = sources.pop(0).removeprefix("--from=")
        (source,) = sources
        subprocess.run(["cp", "-a", stages[stage].root.inside(source), place], check=True)
    elif sources == ["."]:
        shutil.copytree(context, place, ignore=_ignored(context), dirs_exist_ok=True)
    else:
        for source in sources:
            shutil.copy2(context / source, place)


def _ignored(context: Path) -> shutil._IgnoreFn:
    """Return what leaves out what .dockerignore names."""
    patterns = (context / ".dockerignore").read_text(encoding="utf-8").split()

    def ignore(folder: str, names: list[str]) -> set[str]:
        paths = {name: str(Path(folder, name).relative_to(context)) for name in names}
        return {name for name, path in paths.items() if any(_is_of(p, path) for p in patterns)}

    return ignore


def _is_of(pattern: str, path: str) -> bool:
    """Whether a path is what a pattern names: at the top, or anywhere after `**/`."""
    anywhere = pattern.removeprefix("**/")
    if anywhere != pattern:
        return fnmatch.fnmatch(Path(path).name, anywhere)
    return "/" not in path and fnmatch.fnmatch(path, pattern)


def _like_an_image_of_python(root: Root) -> Root:
    """Call its Python `python`, as images of Python do."""
    root.inside("/usr/local/bin/python").symlink_to("/usr/bin/python3")
    return root
