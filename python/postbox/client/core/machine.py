"""A device's connection and its queue, as one state machine: what happened in, what to do out.

It knows how many events wait, not which; where the device is, not what it has. Whoever drives it
does each action at once, in order, and tells it what comes of it: of each OpenStream that it ended,
of each Offer and AskNumber that it was answered or not. It owns the order of things:

- a stream first: the queue is offered only behind the first frame of an open stream, and not in the
  middle of a snapshot; no stream is opened before the answer to what was offered on the one before;
- one batch at a time;
- it never just waits: a stream is open or on its way, or a timer runs, or a token was asked for, or
  the user knows that there is something to do.

Nothing in it reads a clock. docs/protocol/clients.md has it in words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, assert_never

from postbox.client.core.actions import (
    Action,
    AskNumber,
    AskToken,
    CancelOffer,
    CloseStream,
    FillHoles,
    Offer,
    OpenStream,
    RefuseOldest,
    Status,
    Tell,
    WakeAt,
)
from postbox.client.core.backoff import Backoff, said_s
from postbox.client.core.changes import Place
from postbox.client.core.copies import Copies
from postbox.client.core.inputs import (
    Activity,
    Answered,
    Fault,
    Heard,
    HolesFilled,
    Input,
    Made,
    NetworkUp,
    NotAnswered,
    SignedIn,
    Started,
    Stopped,
    StreamEnded,
    StreamOpened,
    Timer,
    TokenNotHad,
    Woke,
)
from postbox.client.core.outgoing import MAX_BATCH_EVENTS

LOST_AT_MOST = 3
"""At one place: then the device names none, and begins anew with a snapshot."""

SIGN_IN = ("NO_SESSION", "TOKEN_EXPIRED", "DEVICE_REVOKED")

_Hold: TypeAlias = Literal["", "stopped", "displaced", "sign-in", "token", "token later"]
"""Why no stream is wanted: the user has to sign in, a token was asked for, or will be."""

_Stream: TypeAlias = Literal["none", "later", "opening", "open", "closing"]
_Offered: TypeAlias = Literal["nothing", "a batch", "given up"]


class Machine:
    def __init__(self, fraction: Callable[[], float]) -> None:
        """`fraction`: draws a number from 0 to 1, for the jitter."""
        self._actions: list[Action] = []
        self._place = Place()
        self._is_active = True
        self._told: Tell | None = None
        self._why = ""  # there is no stream

        self._hold: _Hold = "stopped"
        self._token_code = ""
        self._has_asked_token = False  # and nothing has shown since that it was of use

        self._stream: _Stream = "none"
        self._stream_backoff = Backoff(fraction)
        self._pause_s: float | None = None  # before the next stream, once this one is closed
        self._is_said = False  # the pause is the host's wish, and no guess
        self._lost = 0
        self._copies = Copies()
        self._opened_active = True
        self._has_frame = False
        self._in_snapshot = False
        self._is_live = False

        self._offered: _Offered = "nothing"
        self._queue_backoff = Backoff(fraction)
        self._queue_waits: Literal["", "guessed", "said"] = ""
        self._queue_why = ""
        self._queued = 0
        self._limit = MAX_BATCH_EVENTS
        self._refusal: RefuseOldest | None = None  # goes before the offer of this moment
        self._is_moved = False  # the queue, since the offer
        self._number = 0  # that is awaited; 0: not known
        self._has_asked_number = False

        self._holes = 0
        self._fills = False
        self._may_fill = False  # once each time that the device has caught up

    def handle(self, happened: Input) -> list[Action]:
        """What to do, in order."""
        self._actions = []
        self._note(happened)
        self._connect()
        self._offer()
        self._tell()
        self._refusal = None
        return self._actions

    def _note(self, happened: Input) -> None:
        match happened:
            case StreamOpened():
                if self._stream == "opening":
                    self._stream = "open"
            case Heard():
                self._heard(happened)
            case StreamEnded(fault):
                self._ended(fault)
            case Made(count):
                self._queued += count
            case Answered(left, next_number):
                self._answered(left, next_number)
            case NotAnswered(fault, offered):
                self._not_answered(fault, offered)
            case HolesFilled(left):
                self._holes, self._fills = left, False
            case Woke(timer):
                self._woke(timer)
            case _:
                self._wished(happened)

    def _wished(
        self, happened: Started | NetworkUp | SignedIn | TokenNotHad | Activity | Stopped
    ) -> None:
        """What the app says, and not the host."""
        match happened:
            case Started():
                self._start(happened)
            case NetworkUp():
                self._hurry()
                self._close(0.0)  # it may be one of a network that is gone
            case Activity(is_active):
                self._is_active = is_active
                if is_active:
                    self._hurry()
            case SignedIn():
                self._signed_in()
            case TokenNotHad(is_lasting):
                self._no_token(is_lasting)
            case Stopped():
                self._hold = "stopped"
                self._end_queue_pause()
                self._actions += self._copies.forget()
            case _ as never:
                assert_never(never)

    def _start(self, started: Started) -> None:
        self._place, self._is_active = started.place, started.is_active
        self._queued, self._holes = started.queued, started.holes
        self._number = started.awaited
        self._hold = ""

    def _woke(self, timer: Timer) -> None:
        if timer == "queue":
            self._queue_waits = ""
        elif timer == "copy":
            self._copies.forgive()
        elif self._stream == "later":
            self._stream = "none"

    # -- the stream -------------------------------------------------------------------------------

    def _heard(self, heard: Heard) -> None:
        self._place = heard.place
        if heard.queued is not None and heard.queued != self._queued:
            self._queued, self._is_moved = heard.queued, True
        self._holes = self._holes if heard.holes is None else heard.holes
        if self._stream not in ("opening", "open"):
            return  # of a stream that is being closed: it is committed, and no more
        self._stream, self._has_frame, self._why = "open", True, ""
        if heard.snapshot:
            self._in_snapshot = heard.snapshot == "begun"
        if heard.is_caught_up:
            self._caught_up()
        if heard.go_away:
            self._sent_away(heard.go_away, heard.reconnect_after_ms / 1_000)

    def _caught_up(self) -> None:
        self._is_live = self._may_fill = True
        self._lost = 0
        self._stream_backoff.reset()
        if not self._queued:
            self._has_asked_token = False  # else the queue has to show that the token is good

    def _sent_away(self, code: str, after_s: float) -> None:
        self._close(0.0)
        self._failed(Fault(code, retry_s=after_s))

    def _ended(self, fault: Fault | None) -> None:
        if self._stream in ("opening", "open"):
            self._failed(fault or Fault("UNREACHABLE"))
        self._stream = "none"
        self._has_frame = self._in_snapshot = self._is_live = False

    def _failed(self, fault: Fault) -> None:
        """What there is to do before the next stream."""
        self._why = fault.code
        if fault.code in SIGN_IN:
            self._need_token(fault.code)
        elif fault.code == "DISPLACED" and self._copies.is_likely:
            self._hold = "displaced"
            self._actions += self._copies.forget()
        elif fault.retry_s is not None and fault.code != "DISPLACED":
            self._pause_s, self._is_said = said_s(fault.retry_s), True
        else:
            self._lost += fault.code in ("LOST", "INVALID")
            self._actions += self._copies.suspect() if fault.code == "DISPLACED" else []
            self._pause_s, self._is_said = self._stream_backoff.next_s(), False

    def _close(self, pause_s: float) -> None:
        """And come back after so long."""
        if self._stream in ("opening", "open"):
            self._actions.append(CloseStream())
            self._stream = "closing"
            self._pause_s, self._is_said = pause_s, False
            self._is_live = False

    def _connect(self) -> None:
        """Opens a stream, closes one, or waits, as things are."""
        is_outdated = self._is_active != self._opened_active and not self._in_snapshot
        if self._hold or is_outdated:
            self._close(0.0)
        if self._hold not in ("", "token later"):
            self._end_pause()
        if self._stream not in ("opening", "open") and self._offered == "a batch":
            self._actions.append(CancelOffer())
            self._offered = "given up"
        if self._hold in ("", "token later") and self._stream == "none":
            self._go_on()

    def _go_on(self) -> None:
        if self._pause_s:
            self._actions.append(WakeAt("stream", self._pause_s))
            self._stream, self._pause_s = "later", None
        elif self._hold == "token later":
            self._ask_token(self._token_code)
        elif self._offered == "nothing":
            place = Place() if self._lost >= LOST_AT_MOST else self._place
            self._actions.append(OpenStream(place.token, place.uuid, not self._is_active))
            self._stream, self._opened_active = "opening", self._is_active

    def _end_pause(self) -> None:
        if self._stream == "later":
            self._actions.append(WakeAt("stream", None))
            self._stream = "none"
        self._pause_s = None

    def _hurry(self) -> None:
        """There is reason to believe that it works now. What the host asked for stands."""
        self._stream_backoff.reset()
        self._queue_backoff.reset()
        if self._hold == "displaced":
            self._hold = ""
        if not self._is_said:
            self._end_pause()
        if self._queue_waits == "guessed":
            self._end_queue_pause()

    # -- the token --------------------------------------------------------------------------------

    def _need_token(self, code: str) -> None:
        """One is asked for once; if that is no better, it takes the user."""
        self._token_code = code
        if self._hold in ("token", "token later", "sign-in"):
            return
        if self._has_asked_token:
            self._hold = "sign-in"
        else:
            self._ask_token(code)

    def _ask_token(self, code: str) -> None:
        self._actions.append(AskToken(code))
        self._hold, self._has_asked_token = "token", True

    def _signed_in(self) -> None:
        if self._hold not in ("", "stopped"):
            self._hold = ""
            self._end_pause()

    def _no_token(self, is_lasting: bool) -> None:
        if self._hold != "token":
            return
        if is_lasting:
            self._hold = "sign-in"
        else:
            self._hold = "token later"
            self._pause_s, self._is_said = self._stream_backoff.next_s(), False

    # -- the queue --------------------------------------------------------------------------------

    def _offer(self) -> None:
        if self._is_live and self._holes and self._may_fill and not self._fills:
            self._actions.append(FillHoles())
            self._fills, self._may_fill = True, False
        is_open = self._stream == "open" and self._has_frame and not self._in_snapshot
        if not is_open or self._offered != "nothing" or self._queue_waits:
            return
        if self._refusal is not None:
            self._actions.append(self._refusal)
        elif not self._queued:
            return
        self._is_moved, self._offered = False, "a batch"
        if self._number or self._has_asked_number:
            self._actions.append(Offer(self._number, self._limit))
        else:
            self._actions.append(AskNumber())

    def _answered(self, left: int, next_number: int) -> None:
        self._offered = "nothing"
        self._queued = left
        self._number = max(self._number, next_number)
        self._has_asked_number = True
        self._has_asked_token = False
        self._limit = min(2 * self._limit, MAX_BATCH_EVENTS)
        self._queue_why = ""
        self._queue_backoff.reset()

    def _not_answered(self, fault: Fault, offered: int) -> None:
        is_given_up, self._offered = self._offered == "given up", "nothing"
        if is_given_up:
            return
        if fault.code not in (*SIGN_IN, "UNREACHABLE", "STORE"):
            self._has_asked_token = False  # the host has looked beyond the token
        match fault.code:
            case "QUEUE_HOLE" if fault.next_number not in (0, self._number):
                self._number = fault.next_number
            case "INVALID" | "TOO_LARGE" if offered > 1:
                self._limit = offered // 2
            case "INVALID" | "TOO_LARGE" if offered == 1:
                self._limit = 1
                if not self._is_moved:  # else it may not be the oldest any more
                    self._refusal = RefuseOldest(fault.code, fault.text)
            case "NO_SESSION" | "TOKEN_EXPIRED" | "DEVICE_REVOKED":
                self._need_token(fault.code)
            case "UNREACHABLE":
                self._limit = max(1, offered // 2) if offered else self._limit
                self._why = fault.code
                self._close(self._stream_backoff.next_s())
            case code:
                self._queue_why = code
                self._put_off(fault)

    def _put_off(self, fault: Fault) -> None:
        if fault.retry_s is None:
            self._queue_waits, pause_s = "guessed", self._queue_backoff.next_s()
        else:
            self._queue_waits, pause_s = "said", said_s(fault.retry_s)
        self._actions.append(WakeAt("queue", pause_s))

    def _end_queue_pause(self) -> None:
        if self._queue_waits:
            self._actions.append(WakeAt("queue", None))
            self._queue_waits = ""

    # -- what the user may want to know -----------------------------------------------------------

    def _tell(self) -> None:
        why = self._token_code if self._hold == "sign-in" else self._why or self._queue_why
        told = Tell(self._status(), why)
        if told != self._told:
            self._actions.append(told)
            self._told = told

    def _status(self) -> Status:
        match self._hold:
            case "stopped" | "displaced":
                return self._hold
            case "sign-in":
                return "needs sign-in"
            case _ if self._stream == "later":
                return "offline"
            case _ if self._stream == "open":
                return "live" if self._is_live else "catching up"
            case _:
                return "connecting"
