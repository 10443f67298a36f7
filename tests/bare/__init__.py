"""What a machine with nothing but Python makes of this repository, and of its Dockerfile.

`make check-bare` runs it (`__main__.py`); the suite does not collect it, since it takes minutes,
downloads what it installs, and needs root.
"""
