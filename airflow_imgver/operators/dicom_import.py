"""Importing DICOM files into AWS HealthImaging."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.arguments.literals import json_value
from airflow_imgver.exceptions import UnexpectedAnswerError
from airflow_imgver.gate.settings import Watch
from airflow_imgver.hooks.healthimaging import HealthImagingHook
from airflow_imgver.links.healthimaging import HealthImagingDICOMImportJobLink
from airflow_imgver.operators.acting import ActingOperator
from airflow_imgver.operators.started import Started
from airflow_imgver.sensors.healthimaging import image_sets_for_xcom
from airflow_imgver.services.healthimaging import HEALTHIMAGING
from airflow_imgver.services.import_job import DICOM_IMPORT_JOB
from airflow_imgver.triggers.healthimaging import HealthImagingDICOMImportJobTrigger

_S3_URI = r"s3://[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9]/.+"
# Argument: AWS's pattern, and the same in words.
_RULES = {
    "input_s3_uri": (_S3_URI, "an S3 URI with a bucket and a prefix, for example s3://bucket/studies/1/"),
    "output_s3_uri": (_S3_URI, "an S3 URI with a bucket and a prefix, for example s3://bucket/imports/"),
    "data_access_role_arn": (r"arn:aws(-[^:]+)?:iam::[0-9]{12}:role/.+", "the ARN of an IAM role"),
    "job_name": (r"[A-Za-z0-9._/#-]{1,64}", "1 to 64 letters, digits and the characters ._/#-"),
    "input_owner_account_id": (r"[0-9]{12}", "an AWS account id, 12 digits"),
    "client_token": (r"[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits and the characters ._-"),
}
_OPTIONAL = ("job_name", "input_owner_account_id", "client_token")
_MEMBERS = {
    "input_s3_uri": "inputS3Uri",
    "output_s3_uri": "outputS3Uri",
    "data_access_role_arn": "dataAccessRoleArn",
    "job_name": "jobName",
    "input_owner_account_id": "inputOwnerAccountId",
    "import_configuration": "importConfiguration",
}


class HealthImagingStartDICOMImportJobOperator(ActingOperator[HealthImagingHook]):
    """
    Imports DICOM files from S3 into a data store, and waits for the import job.

    Returns the image sets that the job made or changed, as
    :class:`~airflow_imgver.sensors.healthimaging.HealthImagingDICOMImportJobSensor` does, ready for a gate or
    for ``expand``; without ``wait_for_completion``, what AWS answered: ``jobId``, ``jobStatus``,
    ``datastoreId`` and ``submittedAt``. Further arguments are those of
    :class:`~airflow_imgver.operators.acting.ActingOperator` and of Airflow's ``BaseSensorOperator``.

    .. seealso::
        https://docs.aws.amazon.com/healthimaging/latest/APIReference/API_StartDICOMImportJob.html

    :param datastore_id: the data store, 32 digits and lower-case letters.
    :param input_s3_uri: the prefix in S3 under which the DICOM files are.
    :param output_s3_uri: the prefix in S3 under which AWS writes the results.
    :param data_access_role_arn: the IAM role that HealthImaging takes on to read and write there.
    :param job_name: the name of the job.
    :param input_owner_account_id: the AWS account that owns the bucket with the files.
    :param import_configuration: AWS's ``importConfiguration``, a dictionary.
    :param client_token: the token that makes a second call harmless; None derives it from the task instance.
    :param fail_on_failed_files: fail where the job could not import some files.
    """

    operation = "StartDICOMImportJob"
    takes_token = True
    service = DICOM_IMPORT_JOB
    aws_hook_class = HealthImagingHook
    trigger_class = HealthImagingDICOMImportJobTrigger
    link_class = HealthImagingDICOMImportJobLink
    operator_extra_links = (HealthImagingDICOMImportJobLink(),)
    template_fields = aws_template_fields("datastore_id", *_MEMBERS, "client_token")

    def __init__(
        self,
        *,
        datastore_id: str,
        input_s3_uri: str,
        output_s3_uri: str,
        data_access_role_arn: str,
        job_name: str | None = None,
        input_owner_account_id: str | None = None,
        import_configuration: Mapping[str, Any] | str | None = None,
        client_token: str | None = None,
        fail_on_failed_files: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.datastore_id = datastore_id
        self.input_s3_uri = input_s3_uri
        self.output_s3_uri = output_s3_uri
        self.data_access_role_arn = data_access_role_arn
        self.job_name = job_name
        self.input_owner_account_id = input_owner_account_id
        self.import_configuration = import_configuration
        self.client_token = client_token
        self.fail_on_failed_files = fail_on_failed_files

    def _read(self) -> dict[str, Any]:
        checked = HEALTHIMAGING.check({"datastore_id": self.datastore_id}, only=("datastore_id",))
        for name in _RULES:
            value = getattr(self, name)
            if name not in _OPTIONAL or value not in (None, "", "None"):
                checked[name] = _checked(name, value)
        configuration = json_value(self.import_configuration, "import_configuration")
        return {**checked, **({"import_configuration": configuration} if configuration else {})}

    def _versions(self) -> dict[str, Any]:
        return {"client_token": self._request.get("client_token") or self._record.token}

    def _call(self, versions: Mapping[str, Any]) -> Started:
        members = {_MEMBERS[name]: value for name, value in self._request.items() if name in _MEMBERS}
        answer = self.hook.start_dicom_import_job(self._request["datastore_id"], **versions, **members)
        job_id = answer.get("jobId")
        if not isinstance(job_id, str):
            raise UnexpectedAnswerError("AWS's answer to StartDICOMImportJob has no jobId.")
        return Started({"datastore_id": self._request["datastore_id"], "job_id": job_id}, None, dict(answer))

    def _find(self, versions: Mapping[str, Any]) -> Started | None:
        # The token does it: a second call with it starts no second job.
        return None

    @property
    def watch(self) -> Watch:
        """What the gate watches: the import job."""
        watch = super().watch
        settings = replace(watch.settings, fail_on_failed_files=self.fail_on_failed_files)
        return replace(watch, settings=settings)

    def _result(self, found: Any) -> list[dict[str, Any]]:
        return image_sets_for_xcom(found, self.log)


def _checked(name: str, value: Any) -> str:
    pattern, rule = _RULES[name]
    # A native template makes a number of an account id.
    text = json.dumps(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > 2048 or not re.fullmatch(pattern, text):
        raise ValueError(f"{name} must be {rule}, not {value!r}.")
    return text
