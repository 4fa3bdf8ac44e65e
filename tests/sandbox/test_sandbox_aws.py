import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.aws import CALLER_ACCOUNT, CALLER_KEY, CALLER_USER, SandboxAws


def test_it_refuses_inactive_and_unknown_keys_and_forgets_everything_at_the_end() -> None:
    with SandboxAws() as cloud:
        runner = cloud.account(CALLER_ACCOUNT)
        callers = {
            key: boto3.Session(key, "any", region_name="eu-west-2").client(
                "sts", endpoint_url=cloud.endpoint, config=Config(retries={"total_max_attempts": 1})
            )
            for key in (CALLER_KEY, "AKIAUNKNOWNUNKNOWN00")
        }
        assert f"arn:aws:iam::{CALLER_ACCOUNT}:user/{CALLER_USER}" == callers[CALLER_KEY].get_caller_identity()["Arn"]
        runner.iam.update_access_key(UserName=CALLER_USER, AccessKeyId=CALLER_KEY, Status="Inactive")
        for caller in callers.values():
            with pytest.raises(ClientError, match="InvalidClientTokenId"):
                caller.get_caller_identity()
        runner.iam.create_group(GroupName="left-over")
    with SandboxAws() as again:
        iam = again.account(CALLER_ACCOUNT).iam
        assert ([user["UserName"] for user in iam.list_users()["Users"]], iam.list_groups()["Groups"]) == ([CALLER_USER], [])


def test_a_second_one_in_the_same_process_is_refused() -> None:
    with SandboxAws(), pytest.raises(RuntimeError, match="already runs"), SandboxAws():
        pass
