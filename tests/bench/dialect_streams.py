"""The harness's load generator for streams, for those as well whose lines end in CR LF.

    python -m tests.bench.dialect_streams HARNESS URL BODY_FILE HEADERS

HEADERS is a JSON object. Prints the harness's figures as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.bench.dialect_upstream import PIECES

AT_ONCE, STREAMS_EACH, SPREAD_SECONDS = 64, 1, 2.0


def main() -> None:
    harness, url, body_file, headers = sys.argv[1:]
    sys.path.insert(0, harness)
    import stream_client  # The harness's own.

    class Reader(stream_client.Reader):
        def on_body(self, data: bytes) -> None:
            super().on_body(data.replace(b"\r\n", b"\n"))

    stream_client.Reader = Reader
    load = stream_client.load(
        url,
        json.loads(headers),
        Path(body_file).read_bytes(),
        AT_ONCE,
        PIECES,
        count=STREAMS_EACH,
        spread=SPREAD_SECONDS,
    )
    print(json.dumps(stream_client.uvloop.run(load)))


if __name__ == "__main__":
    main()
