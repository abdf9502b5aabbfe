"""The hook of a command: an Airflow connection, which the command line overrides."""

from __future__ import annotations

import argparse
from typing import Any, TypeVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from botocore import UNSIGNED
from botocore.config import Config

from airflow_imgver.cli.running import UsageError
from airflow_imgver.hooks.base import ImageVersionHook

VersionHookT = TypeVar("VersionHookT", bound=ImageVersionHook)
HookT = TypeVar("HookT", bound=AwsGenericHook[Any])


def hook_of(hook_class: type[VersionHookT], args: argparse.Namespace) -> VersionHookT:
    """Return the service's hook with the connection of the command line."""
    return overridden(hook_class(aws_conn_id=args.aws_conn_id or None), args)


def overridden(hook: HookT, args: argparse.Namespace) -> HookT:
    """
    Resolve a hook's connection, and override it with the command line's options.

    They override the resolved connection, because a ``config`` given to a hook would replace the connection's
    own ``config_kwargs`` as a whole.
    """
    resolved: Any = hook.conn_config
    if args.region:
        resolved.region_name = args.region
    if args.endpoint_url:
        if "://" not in args.endpoint_url:
            raise UsageError(
                f"--endpoint-url must begin with http:// or https://, unlike {args.endpoint_url!r}."
            )
        own = {**resolved.get_service_config(hook.client_type), "endpoint_url": args.endpoint_url}
        resolved.service_config = {**resolved.service_config, hook.client_type: own}
    if args.ca_bundle:
        resolved.verify = args.ca_bundle
    if args.no_verify_ssl:
        resolved.verify = False
    if args.no_sign_request:
        # A role would be assumed with the keys, although the later requests are not signed.
        resolved.aws_access_key_id = resolved.aws_secret_access_key = resolved.aws_session_token = None
        resolved.role_arn = resolved.assume_role_method = resolved.profile_name = None
    if settings := _settings(args):
        given = resolved.botocore_config or Config()
        resolved.botocore_config = given.merge(Config(**settings))
    return hook


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    # None means "no limit" to botocore; 0 does to the AWS CLI.
    if args.cli_read_timeout is not None:
        settings["read_timeout"] = args.cli_read_timeout or None
    if args.cli_connect_timeout is not None:
        settings["connect_timeout"] = args.cli_connect_timeout or None
    if args.no_sign_request:
        settings["signature_version"] = UNSIGNED
    return settings
