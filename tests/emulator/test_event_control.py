"""Options of events that are switched while the embedded AWS runs."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_clients import client_of
from receiver import Receiver, names

from airflow_imgver.emulator import events, set_events

ROLE = "arn:aws:iam::123456789012:role/studio"


def create_image(url: str, name: str = "analysis") -> None:
    client_of("sagemaker", url).create_image(ImageName=name, RoleArn=ROLE)


class TestTheControl:
    def test_switches_options_while_the_server_runs(self, emulator_url: str, control: Any) -> None:
        receiver = Receiver(emulator_url)
        status, report = control("PUT", "events", {"lost": 1, "form": "schema"})
        assert (status, report["options"]["lost"], report["options"]["form"]) == (200, 1, "schema")
        create_image(emulator_url)
        assert receiver.received() == []
        assert control("GET", "events")[1]["counts"]["lost"] == 2
        assert control("DELETE", "events") == (200, {})
        create_image(emulator_url, "other")
        assert names(receiver.received()) == ["Creating", "Created"]
        assert control("GET", "events")[1]["counts"]["delivered"] == 2

    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            ({"lose": 1}, "'lose' is unknown; the options of events are lost, doubled"),
            ({"lost": 2}, "lost is 2; it must be a share from 0 to 1"),
            ({"doubled": "half"}, "doubled is 'half'"),
            ({"delayed": True}, "delayed is True"),
            ({"delay_seconds": 0}, "delay_seconds is 0; it must be more than 0"),
            ({"form": "wrong"}, "form is 'wrong'; it must be one of guide, schema, mixed"),
            ({"seed": 0.5}, "seed is 0.5; it must be an integer"),
            ([1], "it must be a JSON object"),
            (b"{", "not JSON"),
            (b"[" * 100_000, "not JSON"),
        ],
    )
    def test_refuses_what_cannot_be_carried_out(self, control: Any, document: Any, reason: str) -> None:
        status, answer = control("PUT", "events", document)
        assert status == 400
        assert reason in answer["message"]
        assert control("GET", "events")[1]["options"]["lost"] == 0

    def test_is_a_call_inside_the_process(self, emulator_url: str) -> None:
        receiver = Receiver(emulator_url)
        set_events(doubled=1)
        create_image(emulator_url)
        assert len(receiver.received()) == 4
        with pytest.raises(ValueError, match="lost is -1"):
            set_events(lost=-1)
        assert events()["options"]["doubled"] == 1
