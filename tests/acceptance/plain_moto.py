"""Somebody else's AWS: moto as it comes, without our sandbox, seeded with the traps; prints its endpoint, ends with its input."""

import json
import os
import sys
from datetime import datetime, timedelta

import boto3
from moto.iam.models import iam_backends
from moto.server import ThreadedMotoServer

ACCOUNTS = ("111111111111", "222222222222")
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"


def trust(account: str, **condition: object) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole", **condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def seed(endpoint: str, account: str, now: datetime) -> None:
    sts = boto3.client("sts", endpoint_url=endpoint, region_name="eu-west-2")
    role = f"arn:aws:iam::{account}:role/CountersignInventory"
    given = sts.assume_role(RoleArn=role, RoleSessionName="seed", ExternalId="ours")["Credentials"]
    iam = boto3.client(
        "iam", endpoint_url=endpoint, region_name="eu-west-2", aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
    )  # fmt: skip
    ages: dict[str, tuple[int, ...]] = {"old": (200,), "fresh": (1,), "pair": (120, 120), "turned": (300, 100)}
    for name, days in ages.items():
        iam.create_user(UserName=name)
        for age in days:
            made = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
            (key,) = [key for key in iam_backends[account]["aws"].access_keys.values() if key.access_key_id == made]
            key.create_date = (now - timedelta(days=age)).replace(microsecond=0, tzinfo=None)
            if name == "turned" and age == 300:
                iam.update_access_key(UserName=name, AccessKeyId=made, Status="Inactive")
    iam.create_user(UserName="alice")
    iam.create_login_profile(UserName="alice", Password="only-for-a-minute-1A")
    iam.create_role(RoleName="vendor", AssumeRolePolicyDocument=trust("999988887777"))
    iam.create_role(
        RoleName="narrow", AssumeRolePolicyDocument=trust("999988887777", Condition={"StringEquals": {"sts:ExternalId": "agreed"}})
    )


def main() -> None:
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    for account in ACCOUNTS:
        seed(endpoint, account, datetime.fromisoformat(sys.argv[1]))
    print(endpoint, flush=True)  # noqa: T201 - the test reads it
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
