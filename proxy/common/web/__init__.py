"""What views, pages and ASGI applications share."""
