"""What stands between paho and the wire: packets of a bounded size, and buffers for a socket."""

from __future__ import annotations

from collections.abc import Iterator

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from postbox.net.faults import BadAnswer, TooLarge

MAX_PACKET_BYTES = 8 * 2**20
"""What the broker may send us, and is told so: it keeps back what is larger. A nara answers a
request for a fifth of what it remembers in one message, of 3 MB if it remembers 80,000 events."""


class Packets:
    """Cuts what a broker sends into whole packets, and takes none that is too large."""

    def __init__(self, max_bytes: int = MAX_PACKET_BYTES) -> None:
        self._max_bytes = max_bytes
        self._begun = bytearray()

    def add(self, part: bytes | bytearray) -> Iterator[bytes]:
        """Raises TooLarge or BadAnswer, from the length on that a packet claims."""
        self._begun += part
        while (size := self._size_bytes()) is not None and len(self._begun) >= size:
            packet = bytes(self._begun[:size])
            del self._begun[:size]
            yield packet

    def _size_bytes(self) -> int | None:
        """Of the packet that has begun; None as long as it does not say."""
        rest_bytes = 0
        for at, byte in enumerate(self._begun[1:5]):
            rest_bytes |= (byte & 0x7F) << (7 * at)
            if byte < 0x80:
                size_bytes = 2 + at + rest_bytes
                if size_bytes > self._max_bytes:
                    raise TooLarge(f"the broker sends a packet of {size_bytes} bytes")
                return size_bytes
        if len(self._begun) >= 5:
            raise BadAnswer("the broker sends no MQTT: a length of more than four bytes")
        return None


class Pipe:
    """What paho takes for a socket."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()

    def recv(self, buffer_size: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        part = bytes(self.incoming[:buffer_size])
        del self.incoming[:buffer_size]
        return part

    def send(self, buffer: bytes | bytearray) -> int:
        self.outgoing += buffer
        return len(buffer)

    def close(self) -> None:
        self.incoming.clear()

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None:
        pass


class Paho(paho.Client):
    def __init__(self, pipe: Pipe, client_id: str) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        self._pipe = pipe

    def _create_socket(self) -> paho.SocketLike:
        """The one place where paho would connect by itself."""
        return self._pipe
