"""Events that are lost, doubled, late, out of order or spelled otherwise, for tests of those who receive."""

from __future__ import annotations

from typing import Any

import pytest
from clinic import Clinic
from emulator_clients import client_of
from receiver import Receiver, names

from airflow_imgver.emulator import events, mock_image_versions, serve

ROLE = "arn:aws:iam::123456789012:role/studio"
BASE_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/studio/analysis:1"


def create_images(url: str | None, count: int) -> None:
    """Make so many changes, two for each image."""
    sagemaker = client_of("sagemaker", url)
    for number in range(count // 2):
        sagemaker.create_image(ImageName=f"image-{number}", RoleArn=ROLE)


def fates(count: int, **options: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The events that arrive of so many changes, and the counts."""
    with mock_image_versions(events=options):
        receiver = Receiver()
        create_images(None, count)
        arrived = receiver.received()
        return arrived, events()["counts"]


class TestAShare:
    def test_of_all_loses_every_event(self) -> None:
        arrived, counts = fates(10, lost=1)
        assert arrived == []
        assert (counts["lost"], counts["delivered"]) == (10, 0)

    @pytest.mark.parametrize("fate", ["lost", "doubled"])
    def test_of_a_half_meets_about_half_of_the_events(self, fate: str) -> None:
        arrived, counts = fates(60, **{fate: 0.5})
        assert 15 < counts[fate] < 45
        assert len(arrived) == counts["delivered"] == 60 + counts[fate] * (1 if fate == "doubled" else -1)

    def test_meets_the_same_events_with_the_same_seed(self) -> None:
        def kept(seed: int) -> list[tuple[str, str]]:
            arrived, _ = fates(30, lost=0.5, seed=seed)
            return [(each["detail"]["ImageName"], each["detail"]["ImageStatus"]) for each in arrived]

        assert kept(1) == kept(1) != kept(2)

    def test_doubles_an_event_with_its_id(self) -> None:
        arrived, _ = fates(2, doubled=1)
        assert names(arrived) == ["Creating", "Creating", "Created", "Created"]
        assert arrived[0] == arrived[1]
        assert arrived[1]["id"] != arrived[2]["id"]

    def test_lets_an_event_arrive_after_the_one_that_follows(self) -> None:
        arrived, counts = fates(60, out_of_order=0.3)
        order = [int(each["detail"]["ImageName"].partition("-")[2]) for each in arrived]
        shown = [(number, name) for number, name in zip(order, names(arrived), strict=True)]
        assert counts["out_of_order"] > 5
        assert len(set(shown)) == len(shown) >= 60 - counts["out_of_order"]
        assert shown != sorted(shown, key=lambda each: (each[0], each[1] == "Created"))


class TestALateEvent:
    def test_arrives_after_its_seconds_without_any_request(self) -> None:
        with mock_image_versions(events={"delayed": 1, "delay_seconds": 0.3}):
            receiver = Receiver()
            create_images(None, 2)
            assert receiver.received() == []
            arrived = receiver.wait_for(lambda arrived: len(arrived) == 2)
            assert names(arrived) == ["Creating", "Created"]
            assert events()["counts"]["delayed"] == 2

    def test_that_nothing_follows_is_not_held_for_ever(self) -> None:
        with mock_image_versions(events={"out_of_order": 1}):
            receiver = Receiver()
            create_images(None, 2)
            assert sorted(names(receiver.wait_for(lambda arrived: len(arrived) == 2))) == [
                "Created",
                "Creating",
            ]


class TestTheForm:
    def sent(self, form: str) -> list[dict[str, Any]]:
        with mock_image_versions(events={"form": form}):
            ours, receiver = Clinic(), Receiver()
            ours.import_image_sets(20)
            client_of("sagemaker").create_image(ImageName="analysis", RoleArn=ROLE)
            client_of("sagemaker").create_image_version(ImageName="analysis", BaseImage=BASE_IMAGE)
            return [event["detail"] for event in receiver.received()]

    def test_of_the_guide_has_imageset_in_lower_case(self) -> None:
        details = self.sent("guide")
        image_set = next(detail for detail in details if "imageSetState" in detail)
        assert {"imagesetId", "imageSetVersion", "isPrimary"} <= set(image_set)
        assert "imageSetId" not in image_set
        assert (details[-1]["ImageVersionStatus"], repr(details[-1]["Version"])) == ("Created", "1.0")

    def test_of_the_schema_has_no_version_of_an_image_set(self) -> None:
        details = self.sent("schema")
        image_set = next(detail for detail in details if "imageSetState" in detail)
        assert "imageSetId" in image_set
        assert not {"imagesetId", "imageSetVersion", "isPrimary"} & set(image_set)
        assert (details[-1]["ImageVersionStatus"], repr(details[-1]["Version"])) == ("CREATED", "1")

    def test_may_be_mixed(self) -> None:
        image_sets = [detail for detail in self.sent("mixed") if "imageSetState" in detail]
        assert len(image_sets) == 20
        assert 0 < sum("imagesetId" in detail for detail in image_sets) < 20


def test_options_that_cannot_be_carried_out_start_nothing() -> None:
    with pytest.raises(ValueError, match="lost is 3"), serve(events={"lost": 3}):
        pass
    with pytest.raises(ValueError, match="'lose' is unknown"), mock_image_versions(events={"lose": 1}):
        pass
