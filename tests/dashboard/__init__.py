"""The dashboard and the REST API, over real sockets and in a real browser."""
