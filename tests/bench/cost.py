"""What filtering costs where providers cache prompts: the cost gate beside other ways.

    python tests/bench/cost.py [--shared DIR] [--gaps "always warm,typical"] [--presets balanced]

The simulator and its conversations live outside the repository; where they are missing, it says so
and ends. It replays real conversations through each way of choosing messages, bills them by the
provider's cache rules, and looks at what the last request of each still holds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import pickle
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from proxy.cost import message_set, policy  # noqa: E402
from proxy.cost.rates import Rates  # noqa: E402
from proxy.cost.turn import Turn  # noqa: E402
from proxy.relevance import modes  # noqa: E402
from proxy.relevance.thresholds import at_widths  # noqa: E402
from tests.bench.relevance import read  # noqa: E402

SHARE = modes.THRESHOLDS["very_strict"]
CHEAP, DEAR = policy.widths(Rates(), SHARE), policy.widths(Rates(read=1.0, lifetime=0), SHARE)
# The simulator names widths by the shares of another engine: what this one keeps at each.
SHARES = {
    0.80: CHEAP.need,
    0.60: CHEAP.keep,
    0.40: SHARE,
    0.27: DEAR.need,
    0.20: DEAR.keep,
    0.15: modes.THRESHOLDS["lax"],
}
# A width that no way here asks for: what is like the question, whether for that it stays or not.
ON_TOPIC = 0.10
MODELS = ("no cache", "0.5", "0.1", "1.25/0.1")
GAPS = "always warm,lively,typical,always cold"
KINDS = ("switch", "return", "companion", "single")
RETURNS = ("0.1", "1.25/0.1")


class Filter:
    """The relevance engine as the simulator asks it."""

    def kept_at(
        self, messages: list[dict[str, Any]], query: str, shares: Sequence[float]
    ) -> dict[float, list[int]]:
        asked = read([*messages, {"role": "user", "content": query}])
        wanted = [share for share in shares if share in SHARES]
        seen = at_widths(asked, [SHARES[share] for share in wanted])
        last = len(messages)
        alike = (v.index for v in seen.verdicts if v.score and v.score >= CHEAP.keep)
        return {ON_TOPIC: sorted(alike)} | {
            w: sorted(k - {last}) for w, k in zip(wanted, seen.kept, strict=True)
        }

    def pins(self, messages: list[dict[str, Any]]) -> tuple[int, ...]:
        """Return nothing: what must stay is in every width."""
        return ()


def gate(preset: str, system: int, *, may_move: bool = False) -> type:
    """Return the cost gate as the simulator drives it."""

    class Gate:
        def start(self, model: Any) -> dict[str, Any]:
            rates = Rates(
                read=model.read,
                write=model.write,
                lifetime=model.ttl,
                min_prefix=model.least,
                step=model.step,
                exact_match_only=model.whole,
            )
            return {"rates": rates, "state": None}

        def decide(
            self,
            kept: dict[str, Any],
            turn: dict[str, Any],
            case: dict[str, Any],
            tokens: Callable[[int], float],
            now: float,
        ) -> list[Any]:
            count, rates = turn["n"], kept["rates"]
            need, keep = ("w80", "w60") if rates.is_cheap else ("w27", "w20")
            starts = [i for i in range(count) if case["role"][i] == "u"]
            asked = Turn(
                hashes=array("Q", range(count + 1)),
                tokens=[round(tokens(i)) for i in range(count + 1)],
                need=message_set.of(turn[need]) | 1 << count,
                keep=message_set.of(turn[keep]) | 1 << count,
                starts=[*starts, count],
                everything=message_set.below(count + 1),
                movable=_movable(case["role"], count) if may_move else 0,
                on_topic=message_set.of(turn["w10"]),
                front=round(tokens(system)),
            )
            decision, kept["state"] = policy.decide(
                asked, kept["state"], rates, now, policy.PRESETS[preset]
            )
            stays = message_set.listed(decision.messages & ~decision.moved & ~(1 << count))
            moved = [("r", place) for place in message_set.listed(decision.moved)]
            return [system, *stays, *moved, count]

        def settle(self, *told: Any) -> None:
            """Take nothing: the gate has written its own estimates."""

    return Gate


def _movable(roles: Sequence[str], count: int) -> message_set.MessageSet:
    """Return the exchanges of a question and an answer, where an answer came last."""
    said = "".join(roles[:count])
    starts = [place for place in range(count) if said[place : place + 3] in ("uau", "ua")]
    return message_set.of((*starts, *(n + 1 for n in starts))) if said.endswith("a") else 0


def main() -> None:
    """Print one table for each kind of pause between turns, and one for returns."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    options.add_argument("--gaps", default=GAPS)
    options.add_argument("--presets", default="balanced,guaranteed,bold")
    asked = options.parse_args()
    simulator = asked.shared / "bench" / "cache_policy"
    if not (simulator / "sim.py").exists():
        sys.exit(f"The simulator is not at {asked.shared}; name its place with --shared.")
    sys.path.insert(0, str(simulator))
    policies = importlib.import_module("policies")
    sim = importlib.import_module("sim")
    data = _features(asked.shared, simulator)
    ways: dict[str, Callable[[], Any]] = {
        "everything": policies.Full,
        "`very_strict` anew": lambda: policies.Fresh("w40"),
        "`lax` anew": lambda: policies.Fresh("w15"),
        "last 4 messages": lambda: policies.LastK(4),
        "cut every 24 messages": policies.Staircase,
    }
    for name in asked.presets.split(","):
        ways[f"**`{name}`**"] = gate(name, sim.SYS)
        ways[f"`{name}`, moving"] = gate(name, sim.SYS, may_move=True)
    for gaps in asked.gaps.split(","):
        print(f"\n**{gaps}**\n")
        print(f"| {' | '.join(['way', *MODELS])} |\n|{'---|' * (len(MODELS) + 1)}")
        for name, way in ways.items():
            cells = [_cell(sim, data, way, sim.MODELS[model], gaps) for model in MODELS]
            print(f"| {' | '.join([name, *cells])} |", flush=True)
    print("\n**On returns**\n")
    columns = [(model, gaps) for model in RETURNS for gaps in asked.gaps.split(",")]
    print(f"| {' | '.join(['way', *(f'{m}, {g}' for m, g in columns)])} |")
    print(f"|{'---|' * (len(columns) + 1)}")
    for name, way in ways.items():
        cells = [_returns(sim, data, way, sim.MODELS[model], gaps) for model, gaps in columns]
        print(f"| {' | '.join([name, *cells])} |", flush=True)


def _features(shared: Path, simulator: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "features.pickle"
        command = [sys.executable, str(simulator / "features.py"), "--out", str(out)]
        command += ["--data", str(shared / "data" / "context_filter")]
        command += ["--filter", f"{Path(__file__).resolve()}:Filter"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, cwd=ROOT)
        with out.open("rb") as file:
            found: dict[str, Any] = pickle.load(file)
            return found


def _cell(
    sim: ModuleType, data: dict[str, Any], way: Callable[[], Any], model: Any, gaps: str
) -> str:
    """Return cost of each kind of session (share of sessions above 100 %); T2 lost, T3, T4."""
    with contextlib.redirect_stdout(io.StringIO()):
        cost = sim.cost(data["sessions"], way(), model, gaps)
        quality = sim.quality(data["cases"], way(), model, gaps)
    costs = " / ".join(f"{cost[kind]['cost']:.0f}" for kind in KINDS)
    above = max(cost[kind]["above"] for kind in KINDS)
    lost, full = quality["t2"]["lost"], quality["t3:long"]["full"]
    return f"{costs} ({above:.0f}); {lost:.1f}, {full:.1f}, {quality['t4']['kept']:.0f}"


def _returns(
    sim: ModuleType, data: dict[str, Any], way: Callable[[], Any], model: Any, gaps: str
) -> str:
    """Return how many older topics were lost where a question comes back to one; and of how many
    the last exchange was kept.
    """
    found = sim.cost(data["sessions"], way(), model, gaps, kinds=("return",))
    lost, _, last = found["return"]["topics"]["return"]
    return f"{lost:.0f} / {last:.0f}"


if __name__ == "__main__":
    main()
