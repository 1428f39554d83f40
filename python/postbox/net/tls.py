"""TLS: the server's side, from two PEM files."""

from __future__ import annotations

import ssl
from pathlib import Path

from postbox.net.faults import ListenFault

PROTOCOLS = ["h2", "http/1.1"]


def server_tls(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer, with the certificate (and its chain) and the key. Raises ListenFault,
    which says what is wrong with which file."""
    _require_readable(cert_file, "certificate")
    key = _require_readable(key_file, "key")
    if b"ENCRYPTED" in key:
        raise ListenFault(f"the key in {key_file} has a passphrase: give one without")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(PROTOCOLS)
    try:
        context.load_cert_chain(cert_file, key_file)
    except ssl.SSLError as error:
        raise ListenFault(_what_is_wrong(cert_file, key_file, error)) from error
    return context


def _require_readable(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ListenFault(f"cannot read the {what} {path}: {error.strerror}") from error


def _what_is_wrong(cert_file: Path, key_file: Path, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {key_file} does not belong to the certificate in {cert_file}"
    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        probe.load_verify_locations(cert_file)
    except ssl.SSLError:
        return f"{cert_file} has no certificate in it: it must be PEM, with the chain behind it"
    why = f" ({error.reason})" if error.reason else ""
    return f"{key_file} has no key that can be used{why}: it must be PEM"
