"""The client library of postbox, without its server: see `postbox.client`."""
