"""The versions of SageMaker model packages: a service that the package itself does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_imgver.hooks.base import ImageVersionHook
from airflow_imgver.links.console import ConsoleLink
from airflow_imgver.operators.base import ListVersionsOperator
from airflow_imgver.operators.report import TEMPLATED, VersionReportOperator
from airflow_imgver.options import Option
from airflow_imgver.sensors.base import ImageVersionSensor
from airflow_imgver.services.description import (
    Column,
    Commands,
    ConsolePage,
    IdentityField,
    ListCall,
    Service,
)
from airflow_imgver.triggers.base import ImageVersionTrigger
from airflow_imgver.versions import EntryFields, Phase

MODEL_PACKAGE = Service(
    name="Amazon SageMaker AI model packages",
    docs="https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry.html",
    client_type="sagemaker",
    thing="model package group",
    identity=(
        IdentityField(
            name="model_package_group_name",
            member="ModelPackageGroupName",
            pattern=r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
            rule="1 to 63 letters and digits, with hyphens between them",
            thing="model package group",
        ),
    ),
    about="model package group {model_package_group_name}",
    listing=ListCall(
        operation="ListModelPackages",
        method="list_model_packages",
        result_key="ModelPackageSummaryList",
        token="NextToken",
        page_size="MaxResults",
        largest_page=100,
    ),
    finding=ListCall(
        operation="ListModelPackageGroups",
        method="list_model_package_groups",
        result_key="ModelPackageGroupSummaryList",
        token="NextToken",
        page_size="MaxResults",
        largest_page=100,
    ),
    found_name="ModelPackageGroupName",
    fields=EntryFields(
        number="ModelPackageVersion",
        status="ModelPackageStatus",
        changed=("CreationTime",),
        phases={
            "Completed": Phase.READY,
            "Pending": Phase.BUSY,
            "InProgress": Phase.BUSY,
            "Deleting": Phase.BUSY,
            "Failed": Phase.FAILED,
        },
    ),
    missing_codes=frozenset({"ResourceNotFound"}),
    requests_per_second=Option(
        "model_package_requests_per_second",
        2.0,
        "How many ListModelPackages requests a second each process may send.",
    ),
    console=ConsolePage(
        label="Amazon SageMaker AI model package group",
        key="sagemaker_model_package_group",
        path="/sagemaker/home?region={region_name}#/model-packages/{model_package_group_name}",
    ),
    columns=(
        Column(name="ModelPackageGroupName", type="text"),
        Column(name="ModelPackageVersion", type="number"),
        Column(name="ModelPackageStatus", type="text"),
        Column(name="ModelApprovalStatus", type="text"),
        Column(name="CreationTime", type="time"),
    ),
    commands=Commands(list="list-model-packages", wait="wait-model-package"),
    hook="model_packages.ModelPackageHook",
    sensor="model_packages.ModelPackageSensor",
    link="model_packages.ModelPackageGroupLink",
    report="model_packages.ModelPackageReportOperator",
)


class ModelPackageHook(ImageVersionHook):
    """List and poll the versions of model packages."""

    service = MODEL_PACKAGE


class ModelPackageTrigger(ImageVersionTrigger):
    """Polls a version until the gate opens."""

    service = MODEL_PACKAGE

    def __init__(self, *, model_package_group_name: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_package_group_name = model_package_group_name


class ModelPackageGroupLink(ConsoleLink, service=MODEL_PACKAGE):
    """Link to a model package group in the AWS console."""


class ModelPackageSensor(ImageVersionSensor[ModelPackageHook]):
    """Waits until a version is no longer busy."""

    service = MODEL_PACKAGE
    aws_hook_class = ModelPackageHook
    trigger_class = ModelPackageTrigger
    link_class = ModelPackageGroupLink
    operator_extra_links = (ModelPackageGroupLink(),)
    template_fields = aws_template_fields("model_package_group_name", "version")

    def __init__(self, *, model_package_group_name: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_package_group_name = model_package_group_name


class ListModelPackagesOperator(ListVersionsOperator[ModelPackageHook]):
    """Lists versions and returns them."""

    service = MODEL_PACKAGE
    aws_hook_class = ModelPackageHook
    link_class = ModelPackageGroupLink
    operator_extra_links = (ModelPackageGroupLink(),)
    template_fields = aws_template_fields("model_package_group_name", "query", "max_items")

    def __init__(self, *, model_package_group_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_package_group_name = model_package_group_name


class ModelPackageReportOperator(VersionReportOperator[ModelPackageHook]):
    """Reports the versions of all model package groups."""

    service = MODEL_PACKAGE
    aws_hook_class = ModelPackageHook
    template_fields = aws_template_fields(*TEMPLATED)
