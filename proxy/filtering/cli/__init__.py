"""What `manage.py filter` reads and prints."""
