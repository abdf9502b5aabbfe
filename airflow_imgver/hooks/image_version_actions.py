"""Amazon SageMaker AI: the calls that create and delete images and their versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.services.sagemaker_image import SAGEMAKER_IMAGE


class ImageVersionActions(ImageVersionHook):
    """
    Create and delete image versions.

    Each call is sent once, and never repeated by botocore. A failure whose ``transient`` is set may pass.
    """

    service = SAGEMAKER_IMAGE

    def create_image_version(
        self, image_name: str, *, base_image: str, client_token: str, **members: Any
    ) -> dict[str, Any]:
        """
        Start to create the next version of an image.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateImageVersion.html

        :param image_name: the image, 1 to 63 letters and digits, with single hyphens or dots between them.
        :param base_image: the container image in Amazon ECR.
        :param client_token: a second call with the same token makes no second version.
        :param members: further members of the request, under the API's own names, for example ``Aliases``.
        :return: AWS's answer.
        :raises InvalidIdentityError: the name breaks AWS's pattern.
        :raises AwsCallError: AWS refused or did not answer.
        """
        return self._act(
            "create_image_version", image_name, BaseImage=base_image, ClientToken=client_token, **members
        )

    def delete_image_version(
        self, image_name: str, *, version: int | None = None, alias: str | None = None
    ) -> dict[str, Any]:
        """
        Start to delete a version of an image.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteImageVersion.html

        :param image_name: the image.
        :param version: the version's number.
        :param alias: or an alias of it.
        """
        return self._act("delete_image_version", image_name, Version=version, Alias=alias)

    def describe_image_version(
        self, image_name: str, *, version: int | None = None, alias: str | None = None
    ) -> dict[str, Any]:
        """
        Describe a version of an image.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeImageVersion.html

        :param image_name: the image.
        :param version: the version's number.
        :param alias: or an alias of it; without either, the latest version is described.
        """
        return self._act("describe_image_version", image_name, Version=version, Alias=alias)

    def describe_image(self, image_name: str) -> dict[str, Any]:
        """
        Describe an image.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeImage.html
        """
        return self._act("describe_image", image_name)

    def create_image(
        self,
        image_name: str,
        *,
        role_arn: str,
        display_name: str | None = None,
        description: str | None = None,
        tags: Sequence[Mapping[str, str]] | None = None,
    ) -> dict[str, Any]:
        """
        Start to create an image, which has no version yet.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateImage.html

        :param image_name: the image.
        :param role_arn: the IAM role that SageMaker takes on.
        :param display_name: the name that Studio shows.
        :param description: the description.
        :param tags: AWS's tags, each with ``Key`` and ``Value``.
        """
        return self._act(
            "create_image",
            image_name,
            RoleArn=role_arn,
            DisplayName=display_name,
            Description=description,
            Tags=list(tags) if tags else None,
        )

    def _act(self, method: str, image_name: str, **members: Any) -> dict[str, Any]:
        identity = self.service.check({"image_name": image_name})
        return self.act(
            method, {**self.service.members(identity), **members}, self.service.describe(identity)
        )
