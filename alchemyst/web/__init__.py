"""What pages and the API share on their way through Django."""
