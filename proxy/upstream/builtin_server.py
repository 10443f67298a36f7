"""The built-in model's server: llama.cpp in a process of its own, without Django.

`proxy.upstream.builtin` starts it. One JSON line on standard input names the weights, the model
and the key; one JSON line on standard output answers with the address, or with what went wrong. It
ends when standard input does, and so with the process that holds the other end.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

# Each of four callers has a context of its own: shared between them, a long conversation of one
# fails those of all.
SLOTS = 4
CONTEXT = 4096
# Prompts are read in small steps: between two of them the other callers get their next token, and
# a caller who left is noticed.
STEP = 128
# Where a request sets no limit: a small model seldom finds the end by itself.
MOST_TOKENS = 1024
# Where a request names none: what the model's makers recommend. At 1, as OpenAI has it, a model
# this small rambles. Source: the model card of SmolLM2-135M-Instruct.
TEMPERATURE, TOP_P = 0.2, 0.9
# And a little against saying the same again, which it would do for ever.
PENALTY = 1.1
# More threads wait for one another longer than they calculate: the model is small.
MOST_THREADS = 8
# Turns of waiting before a thread sleeps. OpenMP's own 300,000 cost nothing on idle cores, but make
# answers ten times slower as soon as another process wants one of them.
SPIN = "300"

PR_SET_PDEATHSIG = 1
# From 0 to 1000: of all processes of the machine or the container, this one goes first.
FIRST_TO_GO = "1000"

# What llama.cpp calculates with. Small systems don't have it.
OPENMP = "libgomp.so.1"
# A wheel among our requirements that carries it, under a name of its own.
CARRIER = "scikit-learn"


def main() -> None:
    _end_with_parent()
    _be_first_to_go()
    try:
        _load_openmp()
        request: dict[str, str] = json.loads(sys.stdin.readline())
        server = _start_server(request)
        reply = {"url": server.listening_address}
    except Exception as error:
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
    _be_silent()
    if "url" in reply:
        sys.stdin.read()
    # At once: answers that are under way have nobody left to read them.
    os._exit(0)


def _load_openmp() -> None:
    """Load the system's OpenMP; where it has none, begin again with the one in our requirements.

    A library is looked for under its own name, in folders that are read when a process starts.
    Hence a folder with a link of that name, and a new start with it; once loaded, both can go.
    Where neither is there, importing llama.cpp says so.
    """
    if sys.platform != "linux":
        return
    folder = sys.argv[1] if len(sys.argv) > 1 else ""
    # Read when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
    try:
        ctypes.CDLL(OPENMP)
    except OSError:
        carried = _carried_openmp()
        if carried and not folder:
            _begin_again_with(carried)
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _carried_openmp() -> Path | None:
    try:
        files = metadata.files(CARRIER) or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if "libgomp" in file.name), None)


def _begin_again_with(library: Path) -> None:
    folder = tempfile.mkdtemp(prefix="alchemyst-")
    Path(folder, OPENMP).symlink_to(library)
    searched = os.environ.get("LD_LIBRARY_PATH")
    os.environ["LD_LIBRARY_PATH"] = f"{folder}:{searched}" if searched else folder
    os.execv(sys.executable, [sys.executable, "-m", "proxy.upstream.builtin_server", folder])  # noqa: S606


def _start_server(request: dict[str, str]) -> Any:
    """Load the weights and listen on a free loopback port; returns when requests are answered."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = request["weights"]
    params.model_alias = {request["model"]}
    params.api_keys = [request["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.kv_unified = False
    params.n_batch = params.n_ubatch = STEP
    params.n_predict = MOST_TOKENS
    params.sampling.temp, params.sampling.top_p = TEMPERATURE, TOP_P
    params.sampling.penalty_repeat = PENALTY
    params.cpuparams.n_threads = min(_cores(), MOST_THREADS)
    # Would keep up to 8 GB of past prompts.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.endpoint_slots = False
    params.ui = False
    # No page in a browser reads an answer, whatever key it shows.
    params.cors_origins = ""
    # Messages of llama.cpp may quote a conversation.
    params.verbosity = 0
    return xllamacpp.Server(params)


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _end_with_parent() -> None:
    """Have Linux end us with the thread that started us, even if a fork keeps our input open."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Ctrl+C in a terminal reaches the whole group; we end when the parent closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _be_first_to_go() -> None:
    """Where memory runs out, have Linux end us, and not the process that serves everybody."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


def _be_silent() -> None:
    """Give up standard output: nobody reads on, and a full pipe would stop the server."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    main()
