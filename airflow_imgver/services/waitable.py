"""
The description of a thing of AWS's that a gate can wait for: its identity, its statuses, how to poll it.

Two kinds are derived from it: :class:`~airflow_imgver.services.description.Service`, whose things have
versions, and :class:`Job`, which has one status. Gates, triggers, sensors and the wait commands know only
this base, so that all wait in the same way. It imports neither Airflow nor boto3, because Airflow loads the
commands and the metadata at every start.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_imgver.exceptions import InvalidIdentityError
from airflow_imgver.text import one_line
from airflow_imgver.versions import VERSION_FAILURE, EntryFields, Failure

if TYPE_CHECKING:
    from airflow_imgver.hooks.base import ImageVersionHook
    from airflow_imgver.sensors.base import GateSensor


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityField:
    """
    One field of what identifies an image set or image.

    :param name: the argument of hooks, operators and sensors, for example ``image_name``.
    :param member: the member of the API's request, for example ``ImageName``.
    :param pattern: AWS's pattern for the value.
    :param rule: the pattern in words, for errors and help texts.
    :param thing: what the field names, for help texts.
    :param example: a value, for the examples in help texts; without one they show a placeholder.
    """

    name: str
    member: str
    pattern: str
    rule: str
    thing: str
    example: str = ""

    @property
    def option(self) -> str:
        """The option of a command, for example ``--image-name``."""
        return option_of(self.name)

    def check(self, value: Any) -> str:
        """
        Check a value.

        :raises InvalidIdentityError: it breaks the pattern.
        """
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(text, str) and re.fullmatch(self.pattern, text):
            return text
        shown = one_line(value)[:100] if isinstance(value, str) else value
        lost = ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            lost = (
                " A native template made a number of it, and digits were lost. Leave out "
                "render_template_as_native_obj, or pass the value from a task instead of a template."
            )
        raise InvalidIdentityError(f"{self.name} must be {self.rule}, not {shown!r}.{lost}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionArn:
    """
    The ARN of a version.

    :param member: the member of an entry that holds it.
    :param pattern: AWS's pattern, with the groups ``region``, ``name`` and ``version``.
    """

    member: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePage:
    """
    The page of an image set or image in the AWS console.

    :param label: the text of the link in Airflow's UI.
    :param key: the XCom key of the link.
    :param path: the address behind the console's host; the fields of an identity in braces.
    """

    label: str
    key: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """
    The names of the commands, for example ``list-image-versions``.

    :param list: the command that lists versions; None for what has none.
    :param wait: the command that waits.
    """

    list: str | None = None
    wait: str


class Poll(NamedTuple):
    """
    The poll of a gate.

    :param operation: the API operation, for example ``ListImageVersions``.
    :param method: the hook's method, which takes an identity and a version and returns a status.
    """

    operation: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waitable:
    """
    What a gate can wait for.

    :param name: the service's name, for example ``AWS HealthImaging``.
    :param docs: the address of the service's documentation.
    :param client_type: boto3's name of the service.
    :param thing: what is waited for, for example ``image set``; the plural adds an s.
    :param identity: the fields that identify it, the one that distinguishes it from its neighbours last.
    :param about: how messages name it, with the fields of the identity in braces.
    :param fields: how to read an entry, and the phase of each status.
    :param failure: the error of a failed one, and its advice.
    :param first_version: the number of the first version.
    :param made_version: the member with the version in what an import returns; None where nothing imports it.
    :param arn: the ARN of a version; None where a version has none.
    :param changed_by: the hook's method that finds what has changed since a time, page by page; it takes the
        identity without its last field, and the time. None where the service has no such search.
    :param console: the page in the AWS console.
    :param commands: the names of the commands.
    :param hook: the path of the hook's class.
    :param sensor: the path of the sensor's class.
    :param link: the path of the console link's class.
    """

    name: str
    docs: str
    client_type: str
    thing: str
    identity: tuple[IdentityField, ...]
    about: str
    fields: EntryFields
    failure: Failure = VERSION_FAILURE
    first_version: int = 0
    made_version: str | None = None
    arn: VersionArn | None = None
    changed_by: str | None = None
    console: ConsolePage
    commands: Commands
    hook: str
    sensor: str
    link: str

    @property
    def poll(self) -> Poll:
        """How a gate polls it."""
        raise NotImplementedError

    @property
    def has_versions(self) -> bool:
        """Whether a gate can watch one version of it."""
        return self.fields.number is not None

    @property
    def things(self) -> str:
        """The plural of ``thing``."""
        return f"{self.thing}s"

    @property
    def identity_names(self) -> tuple[str, ...]:
        """The names of the identity's fields."""
        return tuple(field.name for field in self.identity)

    @property
    def key(self) -> IdentityField:
        """The field that distinguishes it from its neighbours; a gate takes a list of its values."""
        return self.identity[-1]

    def check(self, identity: Mapping[str, Any], only: Collection[str] | None = None) -> dict[str, str]:
        """
        Check an identity against AWS's own patterns, which botocore does not.

        :param identity: field to value, for example ``{"image_name": ...}``. A native template turns an id of
            digits into a number; a whole number that is the id without loss counts as the id.
        :param only: the fields to check; None for all.
        :return: the identity.
        :raises InvalidIdentityError: a field breaks its pattern; names the field, the rule and the value.
        """
        checked = dict(identity)
        for field in self.identity:
            if only is None or field.name in only:
                checked[field.name] = field.check(identity[field.name])
        return checked

    def describe(self, identity: Mapping[str, str]) -> str:
        """Return how messages name an identity, for example ``image set ... in data store ...``."""
        return self.about.format(**identity)

    def hook_class(self) -> type[ImageVersionHook]:
        """Import the hook's class."""
        return imported(self.hook)  # type: ignore[no-any-return]  # by its path

    def sensor_class(self) -> type[GateSensor[Any]]:
        """Import the sensor's class."""
        return imported(self.sensor)  # type: ignore[no-any-return]  # by its path


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Waitable):
    """
    A job, which has one status and no versions.

    :param polled_by: how a gate polls it.
    """

    polled_by: Poll

    @property
    def poll(self) -> Poll:
        """How a gate polls it."""
        return self.polled_by


def imported(path: str) -> Any:
    """Import a class by its path."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def option_of(name: str) -> str:
    """Return the option of a command for an argument: ``--image-name`` for ``image_name``."""
    return f"--{name.replace('_', '-')}"
