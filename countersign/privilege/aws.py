"""IAM: administrators by what a policy allows, and the ways to become one by what it allows together.

What a holder may do is a set of the actions that some rule asks for, kept as the bits of an integer: policies of one
holder add up with `|`, a Deny is taken away with `& ~`, a permissions boundary caps with `&`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product

from countersign.privilege import LIMITED, UNREAD, Rule, Verdict, given_by, strongest

EVERYTHING = "*"
"""Bit of an Allow that covers an action nobody has thought of, in any service."""
ALL_OF_IAM = "iam:*"
"""Bit of an Allow that covers an action of IAM that nobody has thought of."""
BEYOND = "(more-beyond-the-boundary)"
"""Bit of a holder whose policies would give more without the permissions boundary."""
PASSED_TO = ">"
"""`iam:PassRole>lambda`: may pass any role to that service (`iam:PassedToService` is `lambda.amazonaws.com`)."""
ON = "@"
"""`ssm:SendCommand@document`: any document, where an action asks for resources of several kinds."""

_IAM_GUIDE = "IAM User Guide, "
_ACTIONS = "Service Authorization Reference, "
_PASSING = "IAM User Guide, Grant a user permissions to pass a role to an AWS service"

EVERY_ACTION = Rule("aws-every-action", "administrator", "Allows every action on every resource.", _IAM_GUIDE + "Policy evaluation logic")
EVERY_IAM_ACTION = Rule(
    "aws-every-iam-action",
    "administrator",
    "Allows everything in IAM, so it can attach any policy to anybody, itself included.",
    _ACTIONS + "AWS Identity and Access Management",
)

_ESCALATIONS: tuple[tuple[str, str, str, str], ...] = (
    (
        "attach-policy",
        "Can attach or write a policy of any content to users, groups or roles, itself included.",
        _ACTIONS + "AWS Identity and Access Management",
        "iam:{Attach,Put}{User,Group,Role}Policy",
    ),
    (
        "policy-version",
        "Can rewrite a policy that it holds, or bring back an older and wider version of it.",
        _IAM_GUIDE + "Versioning IAM policies",
        "iam:CreatePolicyVersion | iam:SetDefaultPolicyVersion",
    ),
    (
        "join-group",
        "Can join any group, one of administrators among them.",
        _ACTIONS + "AWS Identity and Access Management",
        "iam:AddUserToGroup",
    ),
    (
        "credentials-of-others",
        "Can make or set the keys and passwords of every user, and log in as an administrator.",
        _ACTIONS + "AWS Identity and Access Management",
        "iam:CreateAccessKey | iam:{Create,Update}LoginProfile",
    ),
    (
        "trust-policy",
        "Can rewrite whom a role trusts; a role that trusts a principal of its own account by name asks for nothing more.",
        _IAM_GUIDE + "Update a role trust policy",
        "iam:UpdateAssumeRolePolicy",
    ),
    (
        "saml-provider",
        "Can put a certificate of its own into a SAML provider, and sign in as every role that trusts it.",
        _ACTIONS + "AWS Identity and Access Management",
        "iam:UpdateSAMLProvider",
    ),
    (
        "lift-boundary",
        "Is held back by a permissions boundary only, and may take that boundary off.",
        _IAM_GUIDE + "Permissions boundaries for IAM entities",
        f"{BEYOND} iam:{{Delete,Put}}{{User,Role}}PermissionsBoundary",
    ),
    (
        "assume-any-role",
        "May assume every role that trusts the account.",
        _IAM_GUIDE + "Grant a user permissions to switch roles",
        "sts:AssumeRole",
    ),
    (
        "assume-root",
        "May act as the root user of member accounts.",
        _IAM_GUIDE + "Centrally manage root access for member accounts",
        "sts:AssumeRoot",
    ),
    (
        "identity-center",
        "Can hand out access through IAM Identity Center, an administrator's in every account included.",
        _ACTIONS + "AWS IAM Identity Center",
        (
            "sso:CreateAccountAssignment | sso:AttachManagedPolicyToPermissionSet | sso:PutInlinePolicyToPermissionSet"
            " | identitystore:CreateGroupMembership"
        ),
    ),
    (
        "delegate-organization",
        "Can make an account of its choice the administrator of a service that reaches into every account.",
        _ACTIONS + "AWS Organizations",
        "organizations:RegisterDelegatedAdministrator",
    ),
    (
        "trust-anchor",
        "Can replace the certificate authority whose certificates are exchanged for roles.",
        _ACTIONS + "AWS IAM Roles Anywhere",
        "rolesanywhere:UpdateTrustAnchor | iam:PassRole>rolesanywhere rolesanywhere:CreateTrustAnchor rolesanywhere:CreateProfile",
    ),
    (
        "pass-role-machine",
        "Can start a machine under any role and log in to it.",
        _PASSING,
        (
            "iam:PassRole>ec2 ec2:{RunInstances,RequestSpotInstances,AssociateIamInstanceProfile}"
            " | iam:PassRole>ec2 autoscaling:CreateLaunchConfiguration autoscaling:CreateAutoScalingGroup"
        ),
    ),
    (
        "pass-role-function",
        "Can run code of its own under any role as a Lambda function.",
        _PASSING,
        "iam:PassRole>lambda lambda:CreateFunction lambda:{InvokeFunction,AddPermission,CreateEventSourceMapping,CreateFunctionUrlConfig}",
    ),
    (
        "pass-role-stack",
        "Can have CloudFormation build anything under any role.",
        _PASSING,
        (
            "iam:PassRole>cloudformation cloudformation:{CreateStack,UpdateStack,UpdateStackSet}"
            " | iam:PassRole>cloudformation cloudformation:CreateStackSet cloudformation:CreateStackInstances"
        ),
    ),
    (
        "pass-role-container",
        "Can run a container of its own under any role.",
        _PASSING,
        (
            "iam:PassRole>ecs-tasks ecs:RegisterTaskDefinition ecs:{RunTask,StartTask,CreateService,UpdateService}"
            " | iam:PassRole>ecs-tasks batch:RegisterJobDefinition batch:SubmitJob | iam:PassRole>tasks.apprunner apprunner:CreateService"
        ),
    ),
    (
        "pass-role-build",
        "Can run a build script of its own under any role.",
        _PASSING,
        "iam:PassRole>codebuild codebuild:CreateProject codebuild:{StartBuild,StartBuildBatch}",
    ),
    (
        "pass-role-data",
        "Can run code of its own under any role in a data or machine learning service.",
        _PASSING,
        (
            "iam:PassRole>glue glue:CreateDevEndpoint | iam:PassRole>glue glue:{CreateJob,UpdateJob} glue:{StartJobRun,CreateTrigger}"
            " | iam:PassRole>datapipeline datapipeline:CreatePipeline datapipeline:PutPipelineDefinition datapipeline:ActivatePipeline"
            " | iam:PassRole>elasticmapreduce elasticmapreduce:RunJobFlow | iam:PassRole>airflow airflow:CreateEnvironment"
            " | iam:PassRole>sagemaker sagemaker:Create{NotebookInstance,TrainingJob,ProcessingJob}"
            " | iam:PassRole>bedrock-agentcore bedrock-agentcore:CreateCodeInterpreter"
            " bedrock-agentcore:StartCodeInterpreterSession bedrock-agentcore:InvokeCodeInterpreter"
        ),
    ),
    (
        "pass-role-automation",
        "Can have a workflow, schedule, event or automation act under any role.",
        _PASSING,
        (
            "iam:PassRole>states states:CreateStateMachine states:StartExecution | iam:PassRole>scheduler scheduler:CreateSchedule"
            " | iam:PassRole>ssm ssm:StartAutomationExecution | iam:PassRole>events events:PutRule events:PutTargets"
        ),
    ),
    (
        "change-functions",
        "Can put code of its own into every Lambda function, and so act under each one's role.",
        _ACTIONS + "AWS Lambda",
        "lambda:UpdateFunctionCode",
    ),
    (
        "command-machines",
        "Can run commands on every machine or in every container, and so act under each one's role.",
        _ACTIONS + "AWS Systems Manager, Amazon EC2, Amazon EC2 Instance Connect, Amazon ECS",
        (
            "ssm:SendCommand@instance ssm:SendCommand@document | ssm:StartSession | ecs:ExecuteCommand"
            " | ec2-instance-connect:SendSSHPublicKey"
            " | ec2:ModifyInstanceAttribute ec2:StopInstances ec2:StartInstances"
            " | ec2:CreateLaunchTemplateVersion ec2:ModifyLaunchTemplate"
        ),
    ),
    (
        "change-builds",
        "Can run a build script of its own in every build project, and so act under each one's role.",
        _ACTIONS + "AWS CodeBuild",
        "codebuild:{StartBuild,StartBuildBatch}",
    ),
    (
        "change-stacks",
        "Can change every stack, and so build anything under the role that each one was made with.",
        "CloudFormation User Guide, CloudFormation service role",
        "cloudformation:UpdateStack | cloudformation:CreateChangeSet cloudformation:ExecuteChangeSet",
    ),
    (
        "change-workbenches",
        "Can enter or change every notebook, development endpoint, interpreter or web service, and so act under each one's role.",
        _ACTIONS + "Amazon SageMaker AI, AWS Glue, Amazon Bedrock AgentCore, AWS App Runner",
        (
            "sagemaker:CreatePresignedNotebookInstanceUrl | glue:UpdateDevEndpoint | apprunner:UpdateService"
            " | bedrock-agentcore:StartCodeInterpreterSession bedrock-agentcore:InvokeCodeInterpreter"
            " | sagemaker:CreateNotebookInstanceLifecycleConfig sagemaker:StopNotebookInstance"
            " sagemaker:UpdateNotebookInstance sagemaker:StartNotebookInstance"
        ),
    ),
)


def _ways(text: str) -> tuple[str, ...]:
    """Spell out `service:{One,Other}Thing`, way by way."""
    parts = [[part.split(",") for part in re.split(r"[{}]", way.strip())] for way in text.split("|")]
    return tuple("".join(choice) for way in parts for choice in product(*way))


_PROMOTIONS = tuple(way for _, _, _, text in _ESCALATIONS[:5] for way in _ways(text))
"""Ways to promote oneself by IAM alone: an administrator by wildcard whom Deny has left none of them is none."""

WAYS: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (EVERY_ACTION, tuple(f"{EVERYTHING} {ALL_OF_IAM} {way}" for way in _PROMOTIONS)),
    (EVERY_IAM_ACTION, tuple(f"{ALL_OF_IAM} {way}" for way in _PROMOTIONS)),
    *((Rule(f"aws-{name}", "escalation", what, source), _ways(text)) for name, what, source, text in _ESCALATIONS),
)
"""Each rule with the sets of actions (between spaces) any of which is enough; the first rule that applies decides."""
RULES: tuple[Rule, ...] = tuple(rule for rule, _ in WAYS)

BITS: dict[str, int] = {
    word: 1 << place for place, word in enumerate(dict.fromkeys(word for _, ways in WAYS for way in ways for word in way.split(" ")))
}
"""Each action that some rule asks for, as a bit."""
ACTION_OF: dict[str, str] = {word: word.partition(PASSED_TO)[0].partition(ON)[0] for word in BITS if word != BEYOND}
"""The action that a policy names, by the word in `WAYS`."""
ALL = sum(bit for word, bit in BITS.items() if word != BEYOND)
IAM = sum(bit for word, bit in BITS.items() if word.startswith("iam:"))
MANAGED = {"AdministratorAccess": ALL, "IAMFullAccess": IAM}
"""What policies of AWS's own give, by name, so that they are known where their document was not read."""


def bits_of(way: str) -> int:
    """Give the bits of one set of actions, as `WAYS` writes it; raises KeyError for an action that no rule asks for."""
    return sum(BITS[word] for word in way.split(" "))


_MASKS = tuple((given_by(rule), tuple(bits_of(way) for way in ways)) for rule, ways in WAYS)


@lru_cache(maxsize=4096)
def judge(certain: int, possible: int) -> Verdict:
    """Judge a holder by the bits of what it may do, and of what it may do besides, if what was not read or not understood allows it.

    Power None: nothing certain raises it, and something possible does.
    """
    sure = _first(certain)
    return strongest((sure, UNREAD)) if _first(certain | possible) != sure else sure


def _first(held: int) -> Verdict:
    return next((verdict for verdict, enough in _MASKS if any(way & held == way for way in enough)), LIMITED)


def applies() -> dict[str, tuple[str, ...]]:
    """Say by rule id what makes it apply, for docs/privileges.md."""
    but = "unless Deny leaves it no way to promote itself by IAM"
    said = {EVERY_ACTION.id: (f"`*` on `*`, {but}",), EVERY_IAM_ACTION.id: (f"`iam:*` on `*`, {but}",)}
    return {rule.id: said.get(rule.id, tuple(map(_said, ways))) for rule, ways in WAYS}


def _said(way: str) -> str:
    first, *others = map(_word_said, way.split(" "))
    return f"{first} with {' and '.join(others)}" if others else first


def _word_said(word: str) -> str:
    if word == BEYOND:
        return "a boundary that holds more back"
    action, passed, service = word.partition(PASSED_TO)
    action, on, kind = action.partition(ON)
    return f"`{action}` to {service}" if passed else f"`{action}` on every {kind}" if on else f"`{action}`"
