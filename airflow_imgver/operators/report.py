"""Reports of version histories: the base of the services' report operators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from threading import Event
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator

from airflow_imgver.arguments.identities import as_list, checked_names
from airflow_imgver.arguments.literals import bool_value, verify_value
from airflow_imgver.arguments.times import duration_value, time_value
from airflow_imgver.exceptions import UnreadableError
from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.links.report import VersionReportLink
from airflow_imgver.reports.collect import Collection, History
from airflow_imgver.reports.contents import Contents
from airflow_imgver.reports.earlier import LARGEST_BYTES, Earlier, names_in, subject_of
from airflow_imgver.reports.files import Files, publish_text
from airflow_imgver.reports.found import Candidate, Found
from airflow_imgver.reports.outputs import Output, outputs_of, summary_of
from airflow_imgver.reports.progress import Progress
from airflow_imgver.reports.rows import Scope
from airflow_imgver.reports.summary import summary
from airflow_imgver.services.description import Service
from airflow_imgver.text import one_line

if TYPE_CHECKING:
    from airflow.sdk import Context

HookT = TypeVar("HookT", bound=ImageVersionHook)

TEMPLATED = (
    "updated_after",
    "updated_before",
    "stuck_after",
    "fail_on_unreadable",
    "csv_bom",
    "outputs",
    "summary_file",
)
"""The templated fields that every report has."""


class Reported(NamedTuple):
    """
    A report that is written.

    :param contents: its contents.
    :param paths: its files.
    :param summary: the summary for XCom.
    """

    contents: Contents
    paths: list[str]
    summary: dict[str, Any]


class VersionReportOperator(AwsBaseOperator[HookT]):
    """
    Reports versions that changed, failed or are stuck, and superseded versions.

    Returns a summary: counts, the first failures, and the paths of the report. Every argument is templated.

    :param outputs: one file or several: paths or URLs of any storage that Airflow knows, that end in
        ``.html`` (a page), ``.csv``, ``.jsonl`` or ``.parquet`` (a row for each version). A file of that name
        is replaced when the whole report is complete.
    :param updated_after: a change at this time or later is news; a datetime or an ISO 8601 text, in UTC
        unless it has an offset; None for all of the past.
    :param updated_before: and before then; likewise, None for up to now.
    :param stuck_after: a busy version that has not changed for longer is stuck: a timedelta, seconds, or an
        ISO 8601 duration.
    :param fail_on_unreadable: fail, after writing the report, where an image set or image could not be read.
        Where none could be read the task fails in any case, and writes nothing.
    :param csv_bom: begin CSV files with a byte order mark, by which Excel recognizes UTF-8.
    :param summary_file: a path or URL that ends in ``.json``, with which the next report compares: what
        needed attention in this report and in the earlier ones, by id. None is beside the page; without a
        page there is no such file.
    :param aws_conn_id: the Airflow connection for AWS; None takes boto3's own credentials. Also for outputs
        on ``s3://`` that name no connection of their own.
    :param region_name: the AWS region; None takes the connection's or boto3's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle; also for S3.
    :param botocore_config: botocore's client configuration, also for S3, see
        https://botocore.amazonaws.com/v1/documentation/api/latest/reference/config.html
    """

    operator_extra_links = (VersionReportLink(),)
    service: ClassVar[Service]
    # Made for each run: an event cannot be copied, as Airflow copies tasks.
    _stop: Event | None = None

    def __init__(
        self,
        *,
        outputs: Sequence[str],
        updated_after: datetime | str | None = None,
        updated_before: datetime | str | None = None,
        stuck_after: timedelta | float | str = timedelta(hours=1),
        fail_on_unreadable: bool | str = False,
        csv_bom: bool | str = False,
        summary_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs = outputs
        self.updated_after = updated_after
        self.updated_before = updated_before
        self.stuck_after = stuck_after
        self.fail_on_unreadable = fail_on_unreadable
        self.csv_bom = csv_bom
        self.summary_file = summary_file

    def _where(self) -> str:
        """Return the scope in words; checks it before any request."""
        return f"all {self.service.things}"

    def _candidates(self, scope: Scope) -> Iterable[Candidate]:
        """Find the image sets or images to list; with an interval, their versions decide which belong."""
        everything = scope.after is None and scope.before is None
        return (Candidate(name, certain=everything) for name in self._find())

    def _is_search(self) -> bool:
        """Whether the report finds its image sets or images; False where the author names them."""
        return True

    def _find(self) -> Iterator[str]:
        """Find all of the service's image sets or images."""
        return self.hook.find({}, self._where())

    def _identify(self, name: str) -> dict[str, str]:
        """Make the hook's identity of a candidate's name."""
        *outer, key = self.service.identity_names
        return {**{field: getattr(self, field) for field in outer}, key: name}

    def _checked_names(self, value: Any, field: str) -> list[str]:
        """Read the ids or names that the author gave; checks them before any request."""
        return checked_names(value, field, lambda name: self.service.check(self._identify(name)))

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Report.

        :return: the summary.
        :raises ValueError: an argument cannot be valid; before any request.
        :raises InvalidOutputError: an output cannot be written; before any request about versions.
        :raises UnreadableError: nothing could be read; or not all, and ``fail_on_unreadable`` is set.
        :raises AwsCallError: AWS refused the search, or stopped answering.
        """
        fail_on_unreadable = bool_value(self.fail_on_unreadable, "fail_on_unreadable")
        contents, paths, summed_up = self.report(context)
        if contents.unreadable_count and fail_on_unreadable:
            if self.do_xcom_push:
                # For a callback or a task after this failure.
                context["ti"].xcom_push(key="return_value", value=summed_up)
            raise self._unreadable(contents, f"The report on the others is in {', '.join(paths)}.")
        return summed_up

    def report(self, context: Context | None = None, progress: Progress | None = None) -> Reported:
        """
        Write the report; a task and a command do it in the same way.

        :param context: the context of the task; None outside a task.
        :param progress: counts what is listed; by default it logs.
        """
        self._stop = stop = Event()
        given = as_list(self.outputs, "outputs")
        scope = self._scope()
        csv_bom = bool_value(self.csv_bom, "csv_bom")
        connection = {**self._hook_parameters, "verify": verify_value(self.verify)}
        outputs = outputs_of([str(self.outputs)] if given is None else given, connection)
        file = summary_of(self.summary_file, outputs, connection)
        candidates = self._candidates(scope)
        run = None if context is None else context.get("run_id")
        earlier = self._earlier(file, subject_of(self.service, scope))
        names = self._needed_attention(earlier, scope, run)
        if context is not None:
            self._persist_link(context, scope, outputs)
        contents = Contents(self.service, scope)
        progress = progress or Progress(self.log, self.service.things)
        found = Found(chain(candidates, (Candidate(name, certain=False) for name in sorted(names))))
        self.log.info("Reporting on %s, changes of %s", scope.where, scope.interval)
        with Files(outputs, self.service, csv_bom=csv_bom) as files:
            for one in Collection(self.hook, scope, found, self._identify, progress, stop, earlier=names):
                if isinstance(one, History):
                    files.add(one.rows)
                    contents.add(one.rows)
                else:
                    contents.add_unreadable(one.name, one.reason)
                    self.log.warning("Not readable: %s", one.reason)
            if progress.unreadable and progress.unreadable == progress.done:
                raise self._unreadable(contents, "No file was written.")
            since = earlier.since(contents, run)
            paths = files.publish(contents, since)
        if file is not None:
            self._keep(earlier.including(contents, run), file)
        summed_up = summary(contents, paths, since)
        self.log.info("Reported on %s: %s", scope.where, _in_words(contents, paths))
        return Reported(contents, paths, summed_up)

    def _earlier(self, file: Output | None, subject: str) -> Earlier:
        """Read the reports before this one; a file that cannot be read makes this one the first."""
        try:
            content = None if file is None else file.read(LARGEST_BYTES)
            return Earlier(subject) if content is None else Earlier.read(content.decode(), subject)
        except Exception as error:  # noqa: BLE001  # a storage's library raises its own
            reason = one_line(
                str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            )
            self.log.warning("No comparison with an earlier report, %s cannot be used: %s.", file, reason)
            return Earlier(subject)

    def _keep(self, text: str, file: Output) -> None:
        """Write the summary beside the report, which is complete without it."""
        try:
            publish_text(text, file)
        except Exception as error:  # noqa: BLE001  # a storage's library raises its own
            self.log.warning(
                "%s could not be written, so the next report has nothing to compare with: %s.",
                file,
                one_line(f"{type(error).__name__}: {error}"),
            )

    def _needed_attention(self, earlier: Earlier, scope: Scope, run: str | None) -> frozenset[str]:
        """Return what to list again, because a search of the interval does not find it."""
        if scope.after is None or not self._is_search():
            return frozenset()
        return names_in(earlier.last_before(scope, run), self.service)

    def on_kill(self) -> None:
        """End the threads; Airflow calls this when it stops the task, and lets `execute` go on."""
        if self._stop is not None:
            self._stop.set()

    def _scope(self) -> Scope:
        where = self._where()
        after = time_value(self.updated_after, "updated_after")
        before = time_value(self.updated_before, "updated_before")
        if after is not None and before is not None and after >= before:
            raise ValueError(
                f"updated_after must be earlier than updated_before, and {after.isoformat()} is not "
                f"earlier than {before.isoformat()}."
                + (" The Dag's schedule has an interval without length." if after == before else "")
            )
        stuck_after = duration_value(self.stuck_after, "stuck_after")
        with self.hook.named_errors(where):
            region, partition = self.hook.conn_region_name, self.hook.conn_partition
        outer = {name: getattr(self, name) for name in self.service.identity_names[:-1]}
        return Scope(where, region, after, before, stuck_after, datetime.now(UTC), partition, identity=outer)

    def _persist_link(self, context: Context, scope: Scope, outputs: Sequence[Output]) -> None:
        in_s3 = [output for output in outputs if output.is_in_s3]
        if in_s3:
            page = next((output for output in in_s3 if output.suffix == ".html"), in_s3[0])
            bucket, key = page.bucket_and_key
            VersionReportLink.persist(
                context=context,
                operator=self,
                region_name=scope.region,
                aws_partition=scope.partition,
                bucket=bucket,
                key=key,
            )

    def _unreadable(self, contents: Contents, rest: str) -> UnreadableError:
        return UnreadableError(
            f"{contents.unreadable_count} of {contents.unreadable_count + contents.read} "
            f"{self.service.things} could not be read. The first: {contents.unreadable[0].reason} {rest}"
        )


def _in_words(contents: Contents, paths: Sequence[str]) -> str:
    """Sum up for the log, without AWS's texts."""
    parts = [f"{contents.rows:,} versions of {contents.read:,} {contents.service.things}"]
    parts += [f"{found.count:,} {attention}" for attention, found in contents.findings.items() if found.count]
    if contents.failed.followed:
        parts.append(f"{contents.failed.followed:,} of the failed ones with a later good version")
    if contents.unreadable_count:
        parts.append(f"{contents.unreadable_count:,} {contents.service.things} not readable")
    return f"{', '.join(parts)}; in {', '.join(paths)}"
