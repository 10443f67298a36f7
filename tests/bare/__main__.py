"""`make check-bare`: make a bare root, run what is to hold in it, and take it away again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bare import root

FOLDER = Path(__file__).parent
SPECIFICATIONS = [str(FOLDER / name) for name in ("machine.py", "image.py")]
# In the order in which they stand, each file by a process of its own.
OPTIONS = ("-p", "no:cacheprovider", "-p", "no:randomly", "-n", "2", "--dist", "loadfile", "-v")
OPTIONS += ("--timeout=900", "--durations=12")


def main() -> int:
    if reason := root.missing():
        print(f"== Not on a bare machine: {reason}", flush=True)
        return 0
    with tempfile.TemporaryDirectory(prefix="alchemyst-bare-") as scratch:
        # Others than root shall find their way in.
        Path(scratch).chmod(0o755)
        base = root.make(Path(scratch) / "base")
        environment = os.environ | {"ALCHEMYST_BARE_ROOT": str(base.path)}
        command = [sys.executable, "-m", "pytest", *OPTIONS, *sys.argv[1:], *SPECIFICATIONS]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
