"""Who calls: which tokens let a device in, for how long, and what one caller may cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from postbox.clients.identity.callers import (
    REQUESTS_OF_DEVICE,
    STRANGERS_PER_MINUTE,
    Caller,
    NotKnown,
    TooOften,
)
from postbox.clients.identity.devices import FORGET_MS, SEEN_EVERY_MS, devices_of
from postbox.clients.identity.issuers import FRESH_S, KEEP_S, MAX_WAITING, PAUSE_S
from postbox.clients.identity.tokens import first_iat_ms
from postbox.clients.ids import device_id, user_id
from postbox.clients.rules.devices import EVERY, SKEW_MS
from postbox.clients.tables import ACCOUNT, Device
from postbox.errors import Fault
from postbox.world import World
from support.client_identity import Desk, Login, issuer_key, now_ms, open_desk, own_token
from support.simulate import MemoryDisk, Simulation, simulate
from support.simulated import simulated

ANN = user_id("ann")
DAY_S = 86_400


async def refused(desk: Desk, token: str, device: str | None = None) -> NotKnown:
    with pytest.raises(NotKnown) as caught:
        await desk.known(token, device)
    return caught.value


async def registered(desk: Desk, user: str = "ann") -> list[Device]:
    return await desk.kernel.runner.read(lambda reader: devices_of(reader, user_id(user)))


# -- which tokens let a device in ----------------------------------------------------------------


@simulated
async def test_the_first_good_token_registers_the_device_and_its_user(world: World) -> None:
    async with open_desk(world) as desk:
        token = own_token(world)
        began_ms = now_ms(world)
        caller = await desk.known(token)
        assert caller == Caller(
            "ann", ANN, "phone", device_id(ANN, "phone"), began_ms + DAY_S * 1000, began_ms
        )
        [device] = await registered(desk)
        assert (device.name, device.id) == ("phone", caller.device_id)
        accounts = await desk.kernel.runner.read(lambda reader: reader.rows(ACCOUNT, [(ANN,)]))
        assert accounts[ANN,] is not None
        assert await desk.known(token) == caller
        assert desk.kernel.tail.head == 1, "the second call writes nothing"


@simulated
async def test_devices_that_sign_in_at_once_are_registered_once(world: World) -> None:
    async with open_desk(world) as desk, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(desk.known, own_token(world))
    async with open_desk(world) as desk:
        assert len(await registered(desk)) == 1


@simulated
async def test_another_users_token_is_another_device(world: World) -> None:
    async with open_desk(world) as desk:
        ours = await desk.known(own_token(world))
        theirs = await desk.known(own_token(world, "bob"))
        assert ours.device == theirs.device
        assert ours.device_id != theirs.device_id
        await desk.revoke("bob")
        assert desk.callers.why_over(ours) is None
        assert desk.callers.why_over(theirs) == "DEVICE_REVOKED"


@simulated
async def test_a_call_without_a_good_token_says_what_to_do(world: World) -> None:
    async with open_desk(world) as desk:
        for header in (None, "", "Bearer", "Bearer ", "Basic YTpi", own_token(world)):
            with pytest.raises(NotKnown, match="the request has no token") as caught:
                await desk.callers.known(header, "93.184.1.9")
            assert caught.value.code == "NO_SESSION"
        other = await refused(desk, own_token(world, seed=b"x" * 32))
        assert "made by another node: make one here, postbox token mint" in str(other)
        strange = await refused(desk, Login(world).token())
        assert "no other issuer is named (clients.issuer)" in str(strange)
        assert (await desk.callers.known(f"bearer  {own_token(world)}", None)).user == "ann"


@simulated
async def test_a_token_signed_with_another_key_under_our_keys_name_is_refused(world: World) -> None:
    async with open_desk(world) as desk:
        header, claims, _ = own_token(world).split(".")
        signature = own_token(world, "bob").rpartition(".")[2]
        assert (await refused(desk, f"{header}.{claims}.{signature}")).code == "NO_SESSION"
        assert await registered(desk) == []


@simulated
async def test_a_token_ends_when_it_says_though_it_is_remembered(world: World) -> None:
    async with open_desk(world) as desk:
        token = own_token(world)
        caller = await desk.known(token)
        await trio.sleep((caller.expires_ms - now_ms(world)) / 1000 - 1)
        await desk.known(token)
        await trio.sleep(1.1)
        assert desk.callers.why_over(caller) == "TOKEN_EXPIRED"
        assert (await refused(desk, token)).code == "TOKEN_EXPIRED"


@simulated
async def test_the_requests_header_names_the_device_if_the_token_does_not(world: World) -> None:
    login = Login(world)
    async with open_desk(world, login) as desk:
        token = login.token(device="")
        assert (await desk.known(token, "tablet")).device == "tablet"
        assert (await desk.known(token, "watch")).device == "watch"
        assert "it names no device" in str(await refused(desk, token))
        assert "cannot be a device's name" in str(await refused(desk, token, "a b"))
        assert "cannot be a device's name" in str(await refused(desk, token, "\udc80"))
        named = login.token()
        assert (await desk.known(named, "phone")).device == "phone"
        assert "is for the device phone" in str(await refused(desk, named, "tablet"))


# -- revocation ----------------------------------------------------------------------------------


@simulated
async def test_a_revoked_device_is_out_at_once_and_in_again_with_a_new_token(world: World) -> None:
    async with open_desk(world) as desk:
        token = own_token(world)
        caller = await desk.known(token)
        told: list[bytes] = []
        desk.devices.listen(told.append)
        await trio.sleep(1)
        await desk.revoke()
        revoked_ms = (await registered(desk))[0].revoked_ms
        assert told == [caller.device_id]
        assert desk.callers.why_over(caller) == "DEVICE_REVOKED"
        error = await refused(desk, token)
        assert (error.code, "sign in again" in str(error)) == ("DEVICE_REVOKED", True)
        new = own_token(world, iat_ms=first_iat_ms(now_ms(world), revoked_ms))
        again = await desk.known(new)
        assert again.device_id == caller.device_id
        assert desk.callers.why_over(again) is None
        assert desk.callers.why_over(caller) == "DEVICE_REVOKED"
        assert (await refused(desk, token)).code == "DEVICE_REVOKED"


@simulated
async def test_a_token_of_a_clock_that_is_ahead_does_not_outlive_its_revocation(
    world: World,
) -> None:
    login = Login(world)
    async with open_desk(world, login) as desk:
        ahead_s = world.clock.now_ns() / 1e9 + SKEW_MS / 1000 - 1
        token = login.token(iat=ahead_s)
        await desk.known(token)
        await desk.revoke()
        assert (await refused(desk, token)).code == "DEVICE_REVOKED"
        await trio.sleep(SKEW_MS / 1000)
        assert (await refused(desk, token)).code == "DEVICE_REVOKED"
        await desk.known(login.token())


@simulated
async def test_what_never_signed_in_can_be_revoked(world: World) -> None:
    async with open_desk(world) as desk:
        token = own_token(world)
        await desk.revoke()
        assert (await refused(desk, token)).code == "DEVICE_REVOKED"
        accounts = await desk.kernel.runner.read(lambda reader: reader.rows(ACCOUNT, [(ANN,)]))
        assert accounts[ANN,] is None


@simulated
async def test_a_user_that_is_shut_out_signs_in_with_no_other_device_either(world: World) -> None:
    """A token that names no device could be sent with any name."""
    login = Login(world)
    async with open_desk(world, login) as desk:
        token = login.token(device="")
        await desk.known(token, "phone")
        await desk.revoke(device=EVERY)
        await desk.revoke()
        for name in ("phone", "tablet"):
            assert (await refused(desk, token, name)).code == "DEVICE_REVOKED"
        assert (await refused(desk, own_token(world, device="watch"))).code == "DEVICE_REVOKED"
        assert [device.name for device in await registered(desk)] == [EVERY, "phone"]
        assert (await refused(desk, token, EVERY)).code == "NO_SESSION"
        await trio.sleep(SKEW_MS / 1000)
        assert (await desk.known(login.token(device=""), "tablet")).device == "tablet"


@simulated
async def test_a_device_that_signs_in_while_its_user_is_shut_out_is_out(world: World) -> None:
    for number in range(10):
        user = f"ann{number}"
        token = own_token(world, user)
        async with open_desk(world) as desk:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_try, desk, token)
                nursery.start_soon(_shut_out, desk, user)
            assert (await refused(desk, token)).code == "DEVICE_REVOKED"


async def _shut_out(desk: Desk, user: str) -> None:
    """As the operator's command does."""
    await desk.revoke(user, EVERY)
    for device in await registered(desk, user):
        await desk.revoke(user, device.name)


@simulated
async def test_a_revocation_that_comes_while_a_device_is_looked_up_counts(world: World) -> None:
    """The look-up may have seen the rows of before."""
    for number in range(20):
        name = f"phone{number}"
        token = own_token(world, device=name)
        async with open_desk(world) as desk:
            await desk.known(token)
        async with open_desk(world) as desk:  # which has nothing at hand
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_try, desk, token)
                nursery.start_soon(desk.revoke, "ann", name)
            assert (await refused(desk, token)).code == "DEVICE_REVOKED"


async def _try(desk: Desk, token: str) -> None:
    with suppress(NotKnown):
        await desk.known(token)


# -- how many devices ----------------------------------------------------------------------------


@simulated
async def test_one_device_too_many_is_refused_and_a_revoked_one_makes_room(world: World) -> None:
    async with open_desk(world, max_devices=2) as desk:
        for name in ("phone", "tablet"):
            await desk.known(own_token(world, device=name))
        error = await refused(desk, own_token(world, device="watch"))
        assert error.code == "NO_SESSION"
        assert "ann has 2 devices" in str(error)
        assert "postbox devices revoke ann DEVICE" in str(error)
        await desk.known(own_token(world, "bob", "watch"))
        await trio.sleep(1)
        await desk.revoke()
        await desk.known(own_token(world, device="watch"))
        assert len(await registered(desk)) == 3, "what was revoked is not forgotten"


def test_a_device_that_was_long_away_makes_room() -> None:
    simulate(1, _long_away, limit_s=2 * FORGET_MS / 1000)


async def _long_away(simulation: Simulation) -> None:
    world = simulation.node(MemoryDisk()).world
    async with open_desk(world, max_devices=2) as desk:
        for name in ("phone", "tablet"):
            await desk.known(own_token(world, device=name))
        await trio.sleep(FORGET_MS / 1000 - DAY_S)
        await desk.known(own_token(world, device="tablet"))
        await refused(desk, own_token(world, device="watch"))
        await trio.sleep(2 * DAY_S)
        await desk.known(own_token(world, device="watch"))
        assert [device.name for device in await registered(desk)] == ["tablet", "watch"]
        await refused(desk, own_token(world, device="phone"))


@simulated
async def test_when_a_device_was_seen_is_written_down_once_an_hour(world: World) -> None:
    async with open_desk(world) as desk:
        token = own_token(world)
        await desk.known(token)
        first = (await registered(desk))[0].seen_ms
        await trio.sleep(SEEN_EVERY_MS / 1000 / 2)
        await desk.known(token)
        assert (await registered(desk))[0].seen_ms == first
        await trio.sleep(SEEN_EVERY_MS / 1000)
        await desk.known(token)
        assert (await registered(desk))[0].seen_ms > first + SEEN_EVERY_MS
        assert desk.kernel.tail.head == 1, "it is no entry"


# -- an issuer and its keys ----------------------------------------------------------------------


@simulated
async def test_an_issuers_token_is_for_this_host_and_from_this_issuer(world: World) -> None:
    login = Login(world)
    async with open_desk(world, login) as desk:
        assert (await desk.known(login.token())).user == "ann"
        assert (await desk.known(login.token(aud=["mail", "chat"]))).user == "ann"
        for iss in ("https://login.example/", "https://evil.example", ""):
            assert "which is not the issuer" in str(await refused(desk, login.token(iss=iss)))
        for aud in ("mail", "chat2", [], ["mail"], ""):
            assert "made for others" in str(await refused(desk, login.token(aud=aud)))
        forged = login.token(key=issuer_key("forger"))
        assert "signature is not by the key k1" in str(await refused(desk, forged))
        assert login.asked == 1


@simulated
async def test_a_new_key_of_the_issuer_is_fetched_when_a_token_names_it(world: World) -> None:
    login = Login(world)
    async with open_desk(world, login) as desk:
        await desk.known(login.token())
        await trio.sleep(PAUSE_S)
        login.keys["k2"] = issuer_key("k2")
        assert (await desk.known(login.token("k2"))).user == "ann"
        assert login.asked == 2


@simulated
async def test_ten_thousand_forged_tokens_cause_one_fetch_a_minute(world: World) -> None:
    login = Login(world)
    async with open_desk(world, login, counts_as=str) as desk:
        await desk.known(login.token())
        good = login.token()
        outcomes: set[str] = set()
        began_s = trio.current_time()
        forged = [login.token(f"forged{number}") for number in range(7)]
        for number in range(10_000):
            try:
                await desk.known(forged[number % 7], address=f"93.184.{number % 5}.1")
            except (NotKnown, TooOften) as error:
                outcomes.add(str(error))
            await trio.sleep(0 if number % 50 else 0.9)
        minutes = (trio.current_time() - began_s) / 60
        assert minutes > 3
        assert login.asked <= 1 + minutes + 1
        assert login.asked >= minutes - 1
        assert len(outcomes) == 3, "unknown; asked for a moment ago; too many"
        await desk.known(good, address="93.184.9.1")


@simulated
async def test_who_asks_at_once_waits_for_one_fetch_and_who_hangs_up_stops_nothing(
    world: World,
) -> None:
    login = Login(world, takes_s=2.0)
    async with open_desk(world, login) as desk:
        outcomes: list[str] = []

        async def ask() -> None:
            outcomes.append((await desk.known(login.token())).user)

        async with trio.open_nursery() as nursery:
            with trio.move_on_after(1):
                await desk.known(login.token())
            for _ in range(10):
                nursery.start_soon(ask)
        assert outcomes == ["ann"] * 10
        assert login.asked == 1


@simulated
async def test_so_many_wait_for_keys_and_no_more(world: World) -> None:
    login = Login(world, takes_s=4.0)
    async with open_desk(world, login) as desk:
        waiting = [login.token() for _ in range(2)] * (MAX_WAITING // 2)
        async with trio.open_nursery() as nursery:
            for token in waiting:
                nursery.start_soon(desk.known, token)
            await trio.sleep(1)
            with pytest.raises(TooOften, match="too many wait"):
                await desk.known(login.token())
        await desk.known(login.token())
        assert login.asked == 1
        await trio.sleep(PAUSE_S)
        login.keys["k2"] = issuer_key("k2")
        assert (await desk.known(login.token("k2"))).user == "ann", "the places are free again"


@simulated
async def test_while_the_issuer_does_not_answer_known_keys_count_for_a_day(world: World) -> None:
    login = Login(world)
    async with open_desk(world, login) as desk:
        token = login.token(exp=now_ms(world) / 1000 + 10 * DAY_S)
        await desk.known(token)
        login.fault = Fault("it is down")
        await trio.sleep(KEEP_S - FRESH_S)
        await desk.known(token)
        await trio.sleep(2 * FRESH_S)
        with pytest.raises(TooOften, match="could not be fetched") as caught:
            await desk.known(token)
        assert 0 < caught.value.retry_s <= PAUSE_S
        login.fault = None
        await trio.sleep(PAUSE_S)
        await desk.known(token)


@simulated
async def test_a_key_that_the_issuer_takes_back_ends_what_it_signed(world: World) -> None:
    """Of tokens that were verified with it, too."""
    login = Login(world)
    async with open_desk(world, login) as desk:
        token = login.token()
        caller = await desk.known(token)
        assert desk.callers.why_over(caller) is None
        login.keys = {"k2": issuer_key("k2")}
        await trio.sleep(FRESH_S + 1)
        assert desk.callers.why_over(caller) == "TOKEN_EXPIRED"
        assert "no Ed25519 key with its kid" in str(await _said(desk.known, token))
        login.keys["k1"] = issuer_key("another key under the old name")
        await trio.sleep(FRESH_S + 1)
        assert "not by the key k1" in str(await _said(desk.known, token))


async def _said(known: Callable[[str], Awaitable[Caller]], token: str) -> Exception:
    """Once it may be asked for."""
    while True:
        try:
            return AssertionError(f"{await known(token)} was let in")
        except NotKnown as error:
            return error
        except TooOften as error:
            await trio.sleep(error.retry_s)


@simulated
async def test_an_issuer_that_publishes_nonsense_keeps_its_former_keys(world: World) -> None:
    login = Login(world)
    async with open_desk(world, login) as desk:
        await desk.known(login.token())
        assert desk.issuer is not None
        login.published = lambda: b"<html>sign in first</html>"  # type: ignore[method-assign]
        await trio.sleep(2 * FRESH_S)
        assert login.asked >= 2
        await desk.known(login.token())


# -- what one caller may cost --------------------------------------------------------------------


@simulated
async def test_after_a_flood_of_bad_tokens_nothing_new_from_an_address_is_looked_at(
    world: World,
) -> None:
    async with open_desk(world) as desk:
        good = own_token(world)
        await desk.known(good)
        header, claims, _ = own_token(world).split(".")
        forged = f"{header}.{claims}.{good.rpartition('.')[2]}"
        codes = [await _code(desk, forged) for _ in range(2 * STRANGERS_PER_MINUTE)]
        assert codes == ["NO_SESSION"] * STRANGERS_PER_MINUTE + [""] * STRANGERS_PER_MINUTE
        tablet = own_token(world, device="tablet")
        with pytest.raises(TooOften, match="too many requests from this address") as caught:
            await desk.known(tablet)
        assert caught.value.retry_s > 0
        assert (await desk.known(good)).device == "phone", "who is known already is"
        assert (await desk.known(tablet, address="93.184.1.10")).device == "tablet"
        await trio.sleep(1)
        assert (await desk.known(own_token(world, device="watch"))).device == "watch"


async def _code(desk: Desk, token: str) -> str:
    """Empty: it was not looked at."""
    try:
        await desk.known(token)
    except NotKnown as error:
        return error.code
    except TooOften:
        return ""
    return "let in"


@simulated
async def test_events_are_counted_a_device_and_refused_before_anything_is_taken(
    world: World,
) -> None:
    async with open_desk(world, events_per_second=10, burst=100) as desk:
        phone = await desk.known(own_token(world))
        tablet = await desk.known(own_token(world, device="tablet"))
        desk.callers.spend(phone, 60)
        with pytest.raises(TooOften) as caught:
            desk.callers.spend(phone, 60)
        assert caught.value.retry_s == pytest.approx(2.0)
        desk.callers.spend(phone, 40)
        desk.callers.spend(tablet, 100)
        await trio.sleep(2.01)
        desk.callers.spend(phone, 20)
        desk.callers.spent(tablet.key, 50)  # in another process
        with pytest.raises(TooOften):
            desk.callers.spend(tablet, 1)


@simulated
async def test_a_batch_of_more_than_the_bucket_holds_goes_when_it_is_full_and_is_paid_off(
    world: World,
) -> None:
    """Else the queue of a device would be stuck for ever behind it."""
    async with open_desk(world, events_per_second=10, burst=100) as desk:
        phone = await desk.known(own_token(world))
        desk.callers.spend(phone, 900)
        with pytest.raises(TooOften) as caught:
            desk.callers.spend(phone, 1)
        assert caught.value.retry_s == pytest.approx(80.1)
        await trio.sleep(caught.value.retry_s + 0.01)
        desk.callers.spend(phone, 1)


@simulated
async def test_a_device_has_so_many_requests_under_way(world: World) -> None:
    async with open_desk(world) as desk:
        phone = await desk.known(own_token(world))
        tablet = await desk.known(own_token(world, device="tablet"))
        held = [desk.callers.one(phone) for _ in range(REQUESTS_OF_DEVICE)]
        for one in held:
            one.__enter__()
        with pytest.raises(TooOften), desk.callers.one(phone):
            pass
        with desk.callers.one(tablet), desk.callers.one(phone, is_stream=True):
            pass
        held[0].__exit__(None, None, None)
        with desk.callers.one(phone):
            pass
