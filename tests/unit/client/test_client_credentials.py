"""A token is for one user and one device: nothing of theirs is sent in another name."""

from __future__ import annotations

import pytest

from postbox.client.core.ids import user_uuid
from postbox.client.credentials import Credentials, claims_of, once_uuid
from postbox.client.errors import AnotherOwner, SignInNeeded
from postbox.client.facts import Owner
from postbox.client.transport.contract import CallFailed
from postbox.clients.identity.tokens import mint, token_key
from postbox.clients.ids import text_of, user_id, uuid_of

OWNER = Owner(user=user_uuid("ann"), device="phone")


def token(user: str = "ann", device: str = "phone") -> str:
    return mint(
        token_key(bytes(32)),
        iss="host",
        user=user,
        device=device,
        iat_ms=0,
        exp_ms=10**12,
        jti=bytes(16),
    )


def test_a_hosts_token_says_whose_it_is_and_what_is_none_says_nothing() -> None:
    claims = claims_of(token("Zoë", "tablet"))
    assert claims is not None
    assert (claims.sub, claims.device) == ("Zoë", "tablet")
    for nonsense in ("", "a.b.c", "a.!!.c", "a.e30.c", "a.eyJzdWIiOjF9.c", "x" * 5_000):
        assert claims_of(nonsense) is None, nonsense


def test_a_user_is_called_as_the_host_calls_it() -> None:
    assert user_uuid("Zoë") == text_of(user_id("Zoë"))
    assert uuid_of(once_uuid("word")) is not None
    assert once_uuid("word") != once_uuid("words")


def test_a_token_of_another_user_or_device_or_none_at_all_leaves_the_one_before() -> None:
    credentials = Credentials(OWNER, token())
    for other, why in ((token("bob"), "bob's"), (token(device="tablet"), "'tablet'")):
        with pytest.raises(AnotherOwner, match=why):
            credentials.put(other)
    with pytest.raises(ValueError, match="no token"):
        credentials.put("secret")
    assert credentials.current() == token()


async def test_a_new_token_comes_from_the_app_or_the_user_has_to_sign_in() -> None:
    with pytest.raises(SignInNeeded, match="sign_in"):
        await Credentials(OWNER, token()).renew()

    async def get() -> str:
        return token()

    credentials = Credentials(OWNER, "", get)
    with pytest.raises(CallFailed, match="NO_SESSION"):
        credentials.current()
    await credentials.renew()
    assert credentials.current() == token()
