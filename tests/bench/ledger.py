"""What usage and limits cost on the proxy's path: CPU a request, with and without, in one run.

    python -m tests.bench.ledger --rounds 5

Three servers in the harness `proxy_overhead`, small requests (W1): without usage rows and limits;
with usage rows; with usage rows and a caller who has a limit of each kind. Prints their ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import proxy

_SET_LIMITS = """
from alchemyst.accounts.models import Limit, User
from alchemyst.accounts.auth.jwt import issue
user, _ = User.objects.get_or_create(username="limited")
most = 2_000_000_000
Limit.objects.get_or_create(user=user, defaults=dict(
    requests_per_minute=most, requests_per_day=most, tokens_per_day=10**14, streams=10_000))
print(issue(user).access)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=proxy.REPOSITORY.parent / "shared")
    options, passed_on = parser.parse_known_args()
    harness = options.shared / "bench" / "proxy_overhead"
    if not (harness / "run.py").is_file():
        print(f"Skipped: the harness is not at {harness}.")
        return 0
    with tempfile.TemporaryDirectory(prefix="alchemyst-bench-") as folder:
        return _run(harness, passed_on, Path(folder))


def _run(harness: Path, passed_on: list[str], folder: Path) -> int:
    own = (Path(__file__).parent / "targets.toml").read_text()
    named = "[[target]]" + own.split("[[target]]")[1]
    off = named.replace('"alchemyst"', '"off"').replace(
        "alchemyst.asgi:application", "tests.bench.without_ledger:application"
    )
    usage = named.replace('"alchemyst"', '"usage"')
    limits = named.replace('"alchemyst"', '"limits"').replace("{TOKEN}", "{LIMITED}")
    targets, out = folder / "targets.toml", folder / "out.json"
    targets.write_text("\n".join((off, usage, limits)))
    values = {
        "REPO": proxy.REPOSITORY,
        "OURS": Path(sys.executable).parent.parent,
        "DATA": folder,
        "TOKEN": proxy.token(folder),
        "LIMITED": proxy.token(folder, _SET_LIMITS),
    }
    command = [sys.executable, str(harness / "run.py"), "--targets", str(targets)]
    command += ["--workloads", "W1", "--out", str(out)]
    for name, value in values.items():
        command += ["--var", f"{name}={value}"]
    if failed := subprocess.call([*command, *passed_on], cwd=harness):
        return failed
    _tell(json.loads(out.read_text()))
    return 0


def _tell(result: dict[str, Any]) -> None:
    """Print CPU a request and its ratio to that without, round by round and of the least of each.

    Whatever else runs on the machine only adds to what a request takes.
    """
    cpu: dict[str, list[float]] = {}
    for each in result["rounds"]:
        for name in ("off", "usage", "limits"):
            cpu.setdefault(name, []).append(_cpu(each[name]))
    base = cpu["off"]
    for name, found in cpu.items():
        ratio = median(mine / others for mine, others in zip(found, base, strict=True))
        print(
            f"{name:<8} {median(found):7.0f} µs CPU a request, {100 * (ratio - 1):+.1f} %; "
            f"at least {min(found):.0f} µs, {100 * (min(found) / min(base) - 1):+.1f} %"
        )


def _cpu(measured: dict[str, Any]) -> float:
    """CPU a request of a small one, 32 at once."""
    return float(measured["W1c32"]["server_cpu_us_per_request"])


if __name__ == "__main__":
    sys.exit(main())
