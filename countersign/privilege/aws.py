"""IAM: administrators by what a policy allows, and the ways to become one by what it allows together.

What a holder may do is a set of the actions that some rule asks for, kept as the bits of an integer: policies of one
holder add up with `|`, a Deny is taken away with `& ~`, a permissions boundary caps with `&`.
"""

from __future__ import annotations

from functools import lru_cache

from countersign.privilege import LIMITED, UNREAD, Rule, Verdict, given_by

EVERYTHING = "*"
"""Bit of an Allow that covers an action nobody has thought of, in any service."""
ALL_OF_IAM = "iam:*"
"""Bit of an Allow that covers an action of IAM that nobody has thought of."""
BEYOND = "(held beyond the boundary)"
"""Bit of a holder whose policies would give more without the permissions boundary."""
PASSED_TO = ">"
"""`iam:PassRole>lambda`: may pass any role to that service (`iam:PassedToService` is `lambda.amazonaws.com`)."""

_REFERENCE = "Service Authorization Reference"
_PASS = "IAM User Guide, Grant a user permissions to pass a role to an AWS service"

EVERY_ACTION = Rule(
    "aws-every-action", "administrator", "Allows every action on every resource.", "IAM User Guide, AWS managed policies for job functions"
)
EVERY_IAM_ACTION = Rule(
    "aws-every-iam-action",
    "administrator",
    "Allows everything in IAM, so it can attach any policy to anybody, itself included.",
    "IAM User Guide, AWS managed policies for IAM",
)

_OTHERS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "attach-policy", "Can attach or write a policy of any content to users, groups or roles, itself included.", _REFERENCE + ", IAM",
        ("iam:AttachUserPolicy", "iam:AttachGroupPolicy", "iam:AttachRolePolicy", "iam:PutUserPolicy", "iam:PutGroupPolicy", "iam:PutRolePolicy"),
    ),
    (
        "policy-version", "Can rewrite a policy that it holds, or bring back an older and wider version of it.",
        "IAM User Guide, Versioning IAM policies", ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"),
    ),
    ("join-group", "Can join any group, one of administrators among them.", _REFERENCE + ", IAM", ("iam:AddUserToGroup",)),
    (
        "credentials-of-others", "Can make or set the keys and passwords of every user, and log in as an administrator.", _REFERENCE + ", IAM",
        ("iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile"),
    ),
    (
        "trust-policy", "Can rewrite whom a role trusts: a role that trusts a principal by name in its own account asks for nothing more.",
        "IAM User Guide, Update a role trust policy", ("iam:UpdateAssumeRolePolicy",),
    ),
    (
        "saml-provider", "Can put its own certificate into a SAML provider, and sign in as every role that trusts it.",
        _REFERENCE + ", IAM", ("iam:UpdateSAMLProvider",),
    ),
    (
        "lift-boundary", "Is held back by a permissions boundary only, and may take that boundary off.", "IAM User Guide, Permissions boundaries",
        tuple(f"{BEYOND} iam:{verb}{who}PermissionsBoundary" for who in ("User", "Role") for verb in ("Delete", "Put")),
    ),
    ("assume-any-role", "May assume every role that trusts the account.", "IAM User Guide, Grant a user permissions to switch roles", ("sts:AssumeRole",)),
    ("assume-root", "May act as the root user of member accounts.", "IAM User Guide, Centrally manage root access", ("sts:AssumeRoot",)),
    (
        "identity-center", "Can hand out access through IAM Identity Center, administrator in every account included.",
        _REFERENCE + ", IAM Identity Center",
        ("sso:CreateAccountAssignment", "sso:AttachManagedPolicyToPermissionSet", "sso:PutInlinePolicyToPermissionSet",
         "identitystore:CreateGroupMembership"),
    ),
    (
        "delegate-organization", "Can make an account of its choice administrator of an organisation-wide service.",
        _REFERENCE + ", AWS Organizations", ("organizations:RegisterDelegatedAdministrator",),
    ),
    (
        "trust-anchor", "Can replace the certificate authority that roles are handed out by.", _REFERENCE + ", IAM Roles Anywhere",
        ("rolesanywhere:UpdateTrustAnchor", "iam:PassRole>rolesanywhere rolesanywhere:CreateTrustAnchor rolesanywhere:CreateProfile"),
    ),
    (
        "pass-role-ec2", "Can start a machine under any role and log in to it.", _PASS,
        ("iam:PassRole>ec2 ec2:RunInstances", "iam:PassRole>ec2 ec2:RequestSpotInstances", "iam:PassRole>ec2 ec2:AssociateIamInstanceProfile",
         "iam:PassRole>ec2 autoscaling:CreateLaunchConfiguration autoscaling:CreateAutoScalingGroup"),
    ),
    (
        "pass-role-lambda", "Can run code of its own under any role as a Lambda function.", _PASS,
        tuple(f"iam:PassRole>lambda lambda:CreateFunction lambda:{how}" for how in ("InvokeFunction", "AddPermission", "CreateEventSourceMapping",
                                                                                  "CreateFunctionUrlConfig"))
        + ("iam:PassRole>lambda lambda:UpdateFunctionConfiguration lambda:UpdateFunctionCode",),
    ),
    (
        "pass-role-cloudformation", "Can have CloudFormation build anything under any role.", _PASS,
        ("iam:PassRole>cloudformation cloudformation:CreateStack", "iam:PassRole>cloudformation cloudformation:UpdateStack",
         "iam:PassRole>cloudformation cloudformation:CreateStackSet cloudformation:CreateStackInstances",
         "iam:PassRole>cloudformation cloudformation:UpdateStackSet"),
    ),
    (
        "pass-role-containers", "Can run a container of its own under any role.", _PASS,
        tuple(f"iam:PassRole>ecs-tasks ecs:RegisterTaskDefinition ecs:{how}" for how in ("RunTask", "StartTask", "CreateService", "UpdateService"))
        + ("iam:PassRole>ecs-tasks batch:RegisterJobDefinition batch:SubmitJob", "iam:PassRole>tasks.apprunner apprunner:CreateService"),
    ),
    (
        "pass-role-builds", "Can run a build script of its own under any role.", _PASS,
        ("iam:PassRole>codebuild codebuild:CreateProject codebuild:StartBuild", "iam:PassRole>codebuild codebuild:CreateProject codebuild:StartBuildBatch"),
    ),
    (
        "pass-role-data", "Can run code of its own under any role in a data or machine learning service.", _PASS,
        (
            "iam:PassRole>glue glue:CreateDevEndpoint",
            *(f"iam:PassRole>glue glue:{write} glue:{run}" for write in ("CreateJob", "UpdateJob") for run in ("StartJobRun", "CreateTrigger")),
            "iam:PassRole>datapipeline datapipeline:CreatePipeline datapipeline:PutPipelineDefinition datapipeline:ActivatePipeline",
            "iam:PassRole>elasticmapreduce elasticmapreduce:RunJobFlow",
            *(f"iam:PassRole>sagemaker sagemaker:Create{what}" for what in ("NotebookInstance", "TrainingJob", "ProcessingJob")),
            "iam:PassRole>airflow airflow:CreateEnvironment",
            "iam:PassRole>bedrock-agentcore bedrock-agentcore:CreateCodeInterpreter bedrock-agentcore:StartCodeInterpreterSession "
            "bedrock-agentcore:InvokeCodeInterpreter",
        ),
    ),
    (
        "pass-role-automation", "Can have a workflow, schedule or automation call any API under any role.", _PASS,
        ("iam:PassRole>states states:CreateStateMachine states:StartExecution", "iam:PassRole>scheduler scheduler:CreateSchedule",
         "iam:PassRole>ssm ssm:StartAutomationExecution", "iam:PassRole>events events:PutRule events:PutTargets"),
    ),
    (
        "change-functions", "Can put code of its own into every Lambda function, and so act under each one's role.", _REFERENCE + ", AWS Lambda",
        ("lambda:UpdateFunctionCode",),
    ),
    (
        "command-instances", "Can run commands on every machine, and so act under each one's role.",
        "Systems Manager User Guide, Run Command; EC2 Instance Connect",
        ("ssm:SendCommand", "ssm:StartSession", "ec2-instance-connect:SendSSHPublicKey", "ecs:ExecuteCommand",
         "ec2:ModifyInstanceAttribute ec2:StopInstances ec2:StartInstances", "ec2:CreateLaunchTemplateVersion ec2:ModifyLaunchTemplate"),
    ),
    (
        "change-builds", "Can run a build script of its own in every build project, and so act under each one's role.",
        _REFERENCE + ", AWS CodeBuild", ("codebuild:StartBuild", "codebuild:StartBuildBatch"),
    ),
    (
        "change-stacks", "Can change every stack, and so build anything under the role that each one was made with.",
        "CloudFormation User Guide, CloudFormation service role",
        ("cloudformation:UpdateStack", "cloudformation:CreateChangeSet cloudformation:ExecuteChangeSet"),
    ),
    (
        "change-notebooks", "Can enter or change every notebook, development endpoint or code interpreter, and so act under each one's role.",
        _REFERENCE + ", Amazon SageMaker AI, AWS Glue, Amazon Bedrock AgentCore, AWS App Runner",
        ("sagemaker:CreatePresignedNotebookInstanceUrl",
         "sagemaker:CreateNotebookInstanceLifecycleConfig sagemaker:StopNotebookInstance sagemaker:UpdateNotebookInstance sagemaker:StartNotebookInstance",
         "glue:UpdateDevEndpoint", "bedrock-agentcore:StartCodeInterpreterSession bedrock-agentcore:InvokeCodeInterpreter", "apprunner:UpdateService"),
    ),
)  # fmt: skip

_IN_IAM = tuple(way for _, _, _, ways in _OTHERS[:5] for way in ways)
"""Ways to promote oneself by IAM alone: an administrator by wildcard whom Deny has left none of them is none."""

WAYS: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (EVERY_ACTION, tuple(f"{EVERYTHING} {ALL_OF_IAM} {way}" for way in _IN_IAM)),
    (EVERY_IAM_ACTION, tuple(f"{ALL_OF_IAM} {way}" for way in _IN_IAM)),
    *((Rule(f"aws-{name}", "escalation", what, source), ways) for name, what, source, ways in _OTHERS),
)
"""Each rule with the sets of actions (between spaces) any of which is enough; the first rule that applies decides."""

RULES: tuple[Rule, ...] = tuple(rule for rule, _ in WAYS)
ACTIONS: tuple[str, ...] = tuple(dict.fromkeys(word for _, ways in WAYS for way in ways for word in _words(way))) if False else ()
