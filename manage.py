#!/usr/bin/env python
"""Django's command line for Alchemyst."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "alchemyst.settings")
    from django.core.management import execute_from_command_line

    from alchemyst.operations.mishaps import exit_in_words

    with exit_in_words():
        execute_from_command_line(sys.argv)
