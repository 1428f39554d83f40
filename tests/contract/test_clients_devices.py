"""Devices in the database: listed alike by both engines; and of several processes on one
PostgreSQL, a device that one of them shuts out is out in all of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from postbox.admin.command import Desk
from postbox.admin.devices import LIST_DEVICES, REVOKE_DEVICES, ListDevices, RevokeDevices
from postbox.admin.local import LocalOperator
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Revoke
from postbox.store.open import is_url
from postbox.trust.keyfile import FILE_NAME as KEY_FILE
from support.client_door import Device, Refused, door_at, value_of


async def test_a_device_that_another_process_revokes_loses_its_stream_and_its_token(
    database: str, tmp_path: Path
) -> None:
    async with door_at(tmp_path / "one", store=database) as one:
        (tmp_path / "two").mkdir()
        shutil.copy(tmp_path / "one" / KEY_FILE, tmp_path / "two" / KEY_FILE)
        async with door_at(tmp_path / "two", store=database) as two:
            here = one.device("ann", "phone")
            there = Device(two, "ann", "phone", here.token)
            await here.sync()
            async with there.listening() as stream:
                await stream.until("caughtUp")
                draft = DeviceDraft(one.node.world.new_id(), "ann", "phone", Revoke())
                await one.node.admission.submit(DeviceRules(), [draft])
                frames = await stream.until("goAway")
            assert value_of(frames[-1]).code == "DEVICE_REVOKED"
            for device in (here, there):
                with pytest.raises(Refused) as caught:
                    await device.sync()
                assert caught.value.code == "DEVICE_REVOKED"


async def test_devices_are_listed_and_shut_out_alike_on_both_engines(
    place: str, tmp_path: Path
) -> None:
    store = place if is_url(place) else ""
    async with door_at(tmp_path, store=store) as door:
        for user, name in (("bob", "phone"), ("ann", "tablet"), ("ann", "phone")):
            await door.device(user, name).sync()
        operator = LocalOperator(Desk(door.node))
        await operator.call(REVOKE_DEVICES, RevokeDevices("ann"))
        await operator.call(REVOKE_DEVICES, RevokeDevices("nobody", "phone"))
        listed = await operator.call(LIST_DEVICES, ListDevices())
        assert [(one.user, one.device, one.is_let_in) for one in listed.devices] == [
            ("ann", "*", False),
            ("ann", "phone", False),
            ("ann", "tablet", False),
            ("bob", "phone", True),
            (None, "phone", False),
        ]
        [unused] = (await operator.call(LIST_DEVICES, ListDevices("nobody"))).devices
        assert (unused.user, unused.registered) == (None, None)
