"""What makes hypercorn 0.18.0 fit to face a network.

hypercorn parses; what one hostile client could use to stop others is replaced here, by our own
`Connection`, and by subclasses of its two protocols. The promises:

- Whatever goes wrong on a connection ends that connection and no other, and is logged, but a
  few times a minute at most.
- Nothing waits for a client without end: a handshake, a request's headers, the taking of an
  answer all have deadlines (`net/limits.py` has those of bodies); stopping waits for none.
- What is held for a client is bounded: of a body what its app has not read (one window), of an
  answer what the client has not taken, of frames that ask for nothing an allowance.
- An app whose client is gone, or takes nothing, is cancelled, unless it has answered.

HTTP/2's priorities, WebSockets and upgrades to h2c are not spoken: nothing here needs them.
Private names of hypercorn are used, so its version is checked before (`net/server.py`).
"""
