"""What `make run` does before anything is installed, by a Python that has nothing but itself."""
