"""Creating and deleting versions of images of Amazon SageMaker AI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.arguments.identities import as_list, wanted_version
from airflow_imgver.arguments.literals import bool_value
from airflow_imgver.exceptions import ResourceMissingError, UnexpectedAnswerError, VersionFailedError
from airflow_imgver.hooks.sagemaker_image import SageMakerImageHook
from airflow_imgver.links.sagemaker_image import SageMakerImageLink
from airflow_imgver.operators.acting import ActingOperator
from airflow_imgver.operators.started import NotYet, Started
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE
from airflow_imgver.text import sentence
from airflow_imgver.triggers.sagemaker_image import SageMakerImageVersionTrigger

_MEMBERS = {
    "aliases": "Aliases",
    "vendor_guidance": "VendorGuidance",
    "job_type": "JobType",
    "ml_framework": "MLFramework",
    "programming_lang": "ProgrammingLang",
    "processor": "Processor",
    "horovod": "Horovod",
    "release_notes": "ReleaseNotes",
}


class ImageVersionOperator(ActingOperator[SageMakerImageHook]):
    """The base of the operators that change the versions of an image; arguments are those of its base."""

    service = SAGEMAKER_IMAGE
    aws_hook_class = SageMakerImageHook
    trigger_class = SageMakerImageVersionTrigger
    link_class = SageMakerImageLink
    operator_extra_links = (SageMakerImageLink(),)

    @property
    def _image(self) -> dict[str, str]:
        return {"image_name": self._request["image_name"]}


class SageMakerCreateImageVersionOperator(ImageVersionOperator):
    """
    Creates the next version of an image, and waits until it is built.

    Returns the version's entry, as ``ListImageVersions`` shows it. Further arguments are those of
    :class:`~airflow_imgver.operators.acting.ActingOperator` and of Airflow's ``BaseSensorOperator``.

    .. seealso::
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateImageVersion.html

    :param image_name: the image, 1 to 63 letters and digits, with single hyphens or dots between them.
    :param base_image: the container image in Amazon ECR.
    :param aliases: aliases of the version.
    :param vendor_guidance: ``NOT_PROVIDED``, ``STABLE``, ``TO_BE_ARCHIVED`` or ``ARCHIVED``.
    :param job_type: ``TRAINING``, ``INFERENCE`` or ``NOTEBOOK_KERNEL``.
    :param ml_framework: the machine learning framework, for example ``PyTorch 2.9``.
    :param programming_lang: the programming language, for example ``Python 3.12``.
    :param processor: ``CPU`` or ``GPU``.
    :param horovod: whether it is compatible with Horovod.
    :param release_notes: the release notes.
    :param image_role_arn: create the image with this IAM role where it does not exist yet; None creates none.
    :param client_token: the token that makes a second call harmless; None derives it from the task instance.
    """

    operation = "CreateImageVersion"
    takes_token = True
    template_fields = aws_template_fields(
        "image_name", "base_image", *_MEMBERS, "image_role_arn", "client_token"
    )

    def __init__(
        self,
        *,
        image_name: str,
        base_image: str,
        aliases: Sequence[str] | str | None = None,
        vendor_guidance: str | None = None,
        job_type: str | None = None,
        ml_framework: str | None = None,
        programming_lang: str | None = None,
        processor: str | None = None,
        horovod: bool | str | None = None,
        release_notes: str | None = None,
        image_role_arn: str | None = None,
        client_token: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_name = image_name
        self.base_image = base_image
        self.aliases = aliases
        self.vendor_guidance = vendor_guidance
        self.job_type = job_type
        self.ml_framework = ml_framework
        self.programming_lang = programming_lang
        self.processor = processor
        self.horovod = horovod
        self.release_notes = release_notes
        self.image_role_arn = image_role_arn
        self.client_token = client_token

    def _read(self) -> dict[str, Any]:
        image = self.service.check({"image_name": self.image_name})
        if not isinstance(self.base_image, str) or not 1 <= len(self.base_image) <= 255:
            raise ValueError("base_image must be the address of a container image, 1 to 255 characters.")
        members = {name: getattr(self, name) for name in _MEMBERS}
        members = {name: value for name, value in members.items() if value not in (None, "", "None")}
        if "aliases" in members:
            listed = as_list(members["aliases"], "aliases")
            members["aliases"] = [members["aliases"]] if listed is None else listed
        if "horovod" in members:
            members["horovod"] = bool_value(members["horovod"], "horovod")
        return {
            **image,
            "base_image": self.base_image,
            "image_role_arn": self.image_role_arn or None,
            "client_token": self.client_token or None,
            **{_MEMBERS[name]: value for name, value in members.items()},
        }

    def _versions(self) -> dict[str, Any]:
        if self._request["image_role_arn"] is not None:
            self._need_image(self._request["image_role_arn"])
        return {"client_token": self._request["client_token"] or self._record.token}

    def _need_image(self, role_arn: str) -> None:
        name = self._request["image_name"]
        try:
            image = self.hook.describe_image(name)
        except ResourceMissingError:
            self.hook.create_image(name, role_arn=role_arn)
            raise NotYet(f"The image is being created: image {name}.") from None
        status = image.get("ImageStatus")
        if status == "CREATE_FAILED":
            reason = image.get("FailureReason") or "AWS gave no reason"
            raise VersionFailedError(
                f"CREATE_FAILED: {sentence(str(reason))} Delete the image, and clear this task.",
                about=f"It is the image {name}.",
            )
        if status not in ("CREATED", "UPDATE_FAILED"):
            raise NotYet(f"{status}: image {name}.")

    def _call(self, versions: Mapping[str, Any]) -> Started:
        request = {name: value for name, value in self._request.items() if name != "image_role_arn"}
        arn = self.hook.create_image_version(**{**request, **versions}).get("ImageVersionArn")
        number = str(arn).rpartition("/")[2]
        if not isinstance(arn, str) or not number.isdecimal():
            raise UnexpectedAnswerError("AWS's answer to CreateImageVersion has no ImageVersionArn.")
        return Started(self._image, int(number), {"ImageVersionArn": arn, "Version": int(number)})

    def _find(self, versions: Mapping[str, Any]) -> Started | None:
        # The token does it: a second call with it makes no second version.
        return None


class SageMakerDeleteImageVersionOperator(ImageVersionOperator):
    """
    Deletes a version of an image, and waits until it is gone; returns None.

    Further arguments are those of :class:`~airflow_imgver.operators.acting.ActingOperator` and of Airflow's
    ``BaseSensorOperator``.

    .. seealso::
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteImageVersion.html

    :param image_name: the image, 1 to 63 letters and digits, with single hyphens or dots between them.
    :param version: the version: a number, digits, or its ``ImageVersionArn``.
    :param alias: or an alias of it.
    """

    operation = "DeleteImageVersion"
    waits_until = "deleted"
    template_fields = aws_template_fields("image_name", "version", "alias")

    def __init__(
        self,
        *,
        image_name: str,
        version: int | str | None = None,
        alias: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_name = image_name
        self.version = version
        self.alias = alias

    def _read(self) -> dict[str, Any]:
        image = self.service.check({"image_name": self.image_name})
        version = None
        if self.version not in (None, "", "None"):
            version = wanted_version(self.version, self.service, image["image_name"]).number
        alias = self.alias or None
        if (version is None) == (alias is None):
            raise ValueError("Give the version to delete, or an alias of it, and not both.")
        return {**image, "version": version, "alias": alias}

    def _versions(self) -> dict[str, Any]:
        number = self._request["version"]
        if number is None:
            alias = self._request["alias"]
            number = self.hook.describe_image_version(self._request["image_name"], alias=alias)["Version"]
        return {"version": number}

    def _call(self, versions: Mapping[str, Any]) -> Started:
        done = Started(self._image, int(versions["version"]), {})
        try:
            self.hook.delete_image_version(self._request["image_name"], version=done.version)
        except ResourceMissingError:
            # Nothing is kept of an earlier try: what is gone may be gone because of it.
            if self._record.is_stored or not self._record.is_after_a_try:
                raise
        return done

    def _find(self, versions: Mapping[str, Any]) -> Started | None:
        done = Started(self._image, int(versions["version"]), {})
        try:
            found = self.hook.observe(self._image, done.version)
        except ResourceMissingError:
            return done
        return done if found is None or found.status == "DELETING" else None

    def _result(self, found: Any) -> None:
        return None
