"""An index that shows changes late, as AWS's may."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import DATASTORE, IMAGE_SET, client_of, image_set_entry, wait_for

from airflow_imgver.emulator import mock_image_versions, serve

OTHER = "0" * 32
LAG = 0.4
STATE = {
    "healthimaging": {DATASTORE: {each: [image_set_entry(1, imageSetId=each)] for each in (IMAGE_SET, OTHER)}}
}


def changed_since(client: Any, since: datetime) -> list[str]:
    between = [{"updatedAt": since}, {"updatedAt": datetime.now(UTC) + timedelta(days=1)}]
    answer = client.search_image_sets(
        datastoreId=DATASTORE, searchCriteria={"filters": [{"operator": "BETWEEN", "values": between}]}
    )
    return [each["imageSetId"] for each in answer["imageSetsMetadataSummaries"]]


def update(client: Any) -> None:
    client.update_image_set_metadata(
        datastoreId=DATASTORE,
        imageSetId=IMAGE_SET,
        latestVersionId="1",
        updateImageSetMetadataUpdates={"revertToVersionId": "1"},
    )


def test_a_change_shows_in_a_search_after_the_lag_and_in_a_listing_at_once() -> None:
    with mock_image_versions(state=STATE, index_lag=LAG):
        client = client_of("medical-imaging")
        # The index has what the state began with, too.
        wait_for(lambda: len(changed_since(client, datetime(2023, 1, 1, tzinfo=UTC))) == 2)
        since = datetime.now(UTC) - timedelta(seconds=5)
        update(client)
        begun = time.monotonic()
        listed = client.list_image_set_versions(datastoreId=DATASTORE, imageSetId=IMAGE_SET)
        assert [each["versionId"] for each in listed["imageSetPropertiesList"]] == ["2", "1"]
        assert changed_since(client, since) == []
        wait_for(lambda: changed_since(client, since) == [IMAGE_SET])
        assert time.monotonic() - begun >= LAG


def test_the_next_embedded_aws_has_no_lag() -> None:
    with mock_image_versions(index_lag=3600):
        pass
    with mock_image_versions(state=STATE):
        client = client_of("medical-imaging")
        since = datetime.now(UTC) - timedelta(seconds=5)
        update(client)
        assert changed_since(client, since) == [IMAGE_SET]


def test_a_negative_lag_is_refused() -> None:
    with pytest.raises(ValueError, match="index_lag is -1; it must not be negative"), serve(index_lag=-1):
        pass
