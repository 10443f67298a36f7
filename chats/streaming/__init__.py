"""The endpoints that stream: server-sent events and WebSockets."""
