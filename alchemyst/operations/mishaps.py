"""What ends a command or a start, in words: a setting, the machine, the operator's own Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured

from alchemyst.web.redaction import mask
from proxy.common.outages import cause_of

# As a shell tells of a command that was interrupted.
INTERRUPTED = 130


@contextmanager
def exit_in_words() -> Iterator[None]:
    """End the process with a sentence, and no traceback, where the operator has to do something."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. What was done stays done; run it again to go on.\n")
        sys.exit(INTERRUPTED)
    except ImproperlyConfigured as error:
        sys.exit(f"Alchemyst can't start. {mask(str(error))}")
    except Exception as error:
        if cause := cause_of(error):
            sys.exit(f"{cause.words} {cause.advice}")
        raise
