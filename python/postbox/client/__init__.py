"""The client library: what a device knows and what its user does, kept on it, and in step with a
host. Beside the server: it imports `rpc`, `world` and `errors` alone."""
