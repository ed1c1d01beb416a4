"""The catalogue of actions: what CloudTrail writes for each, shapes as in public records and AWS's documentation."""

from __future__ import annotations

from strongroom.simulate._cloud_records import Action

_BUCKET_HOST = "%(bucket)s.s3.%(region)s.amazonaws.com"
_BUCKET_ARN = ("AWS::S3::Bucket", "arn:aws:s3:::%(bucket)s")
_OBJECT_ARN = ("AWS::S3::Object", "arn:aws:s3:::%(bucket)s/%(key)s")
_KEY_ARN = ("AWS::KMS::Key", "%(kms)s")
_S3_EXTRA = (
    '{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":%(bytes_in)s,'
    '"AuthenticationMethod":"AuthHeader","bytesTransferredOut":%(bytes)s}'
)


def _s3(
    name: str,
    request: str = "",
    *,
    key: bool = False,
    incoming: bool = False,
    data: bool = False,
    owner: str = "%(account)s",
) -> Action:
    """An action on a bucket, or on an object in one."""
    asked = f'"bucketName":"%(bucket)s","Host":"{_BUCKET_HOST}"' + (',"key":"%(key)s"' if key else "")
    extra = _S3_EXTRA.replace("%(bytes_in)s", "%(bytes_in)s" if incoming else "0")
    if not data:
        extra = extra.replace("%(bytes)s", "552")
    return Action(
        "s3", name, f"{{{asked}{',' + request if request else ''}}}", extra=extra, data=data, owner=owner,
        host=_BUCKET_HOST, resources=(_OBJECT_ARN, _BUCKET_ARN) if key else (_BUCKET_ARN,),
    )  # fmt: skip


def _ec2(name: str, request: str, resource: str = "", response: str = '{"_return":true}') -> Action:
    path = f"arn:aws:ec2:%(region)s:%(account)s:{resource}" if resource else ""
    return Action("ec2", name, request, response=response, resource=path)


def _iam(name: str, request: str, resource: str = "", response: str = "null") -> Action:
    path = f"arn:aws:iam::%(account)s:{resource}" if resource else ""
    return Action("iam", name, request, response=response, resource=path, host="iam.amazonaws.com")


def _plain(service: str, *names: str) -> tuple[Action, ...]:
    return tuple(Action(service, name, "null") for name in names)


GET_OBJECT = _s3("GetObject", key=True, data=True)
HEAD_OBJECT = _s3("HeadObject", key=True, data=True)
PUT_OBJECT = _s3("PutObject", '"x-amz-server-side-encryption":"aws:kms"', key=True, incoming=True, data=True)
DELETE_OBJECT = _s3("DeleteObject", key=True, data=True)
LIST_OBJECTS = _s3("ListObjects", '"list-type":"2","prefix":"%(prefix)s","encoding-type":"url"', data=True)
COPY_OBJECT = _s3("CopyObject", '"x-amz-copy-source":"%(source)s"', key=True, data=True, owner="%(owner)s")
BUCKET_READS = tuple(
    _s3(name)
    for name in ("GetBucketPolicy", "GetBucketAcl", "GetBucketLocation", "GetBucketEncryption", "GetBucketVersioning",
                 "GetBucketLogging", "GetBucketPublicAccessBlock", "GetBucketReplication", "GetBucketTagging",
                 "GetBucketPolicyStatus")
)  # fmt: skip
GET_BUCKET_POLICY, GET_BUCKET_ACL, GET_BUCKET_LOCATION = BUCKET_READS[:3]
LIST_BUCKETS = Action("s3", "ListBuckets", '{"Host":"s3.%(region)s.amazonaws.com"}')
PUT_BUCKET_POLICY = _s3("PutBucketPolicy", '"bucketPolicy":%(document)s,"policy":""')
PUT_PUBLIC_ACCESS_BLOCK = _s3(
    "PutBucketPublicAccessBlock",
    '"publicAccessBlock":"","PublicAccessBlockConfiguration":{"BlockPublicAcls":%(block)s,"IgnorePublicAcls":%(block)s,'
    '"BlockPublicPolicy":%(block)s,"RestrictPublicBuckets":%(block)s}',
)
PUT_BUCKET_REPLICATION = _s3(
    "PutBucketReplication",
    '"replication":"","ReplicationConfiguration":{"Role":"%(role)s","Rule":{"ID":"%(rule)s","Status":"Enabled",'
    '"Filter":{"Prefix":"%(prefix)s"},"Destination":{"Bucket":"arn:aws:s3:::%(target)s","Account":"%(other)s"}}}',
)
PUT_LIFECYCLE = _s3("PutBucketLifecycle")

DECRYPT = Action(
    "kms", "Decrypt",
    '{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::%(bucket)s/%(key)s"}}',
    resources=(_KEY_ARN,), resource="%(kms)s",
)  # fmt: skip
DECRYPT_BLOB = Action(
    "kms", "Decrypt", '{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"asset":"%(context)s"}}',
    resources=(_KEY_ARN,),
)  # fmt: skip
GENERATE_DATA_KEY = Action(
    "kms", "GenerateDataKey",
    '{"keyId":"%(kms)s","keySpec":"AES_256","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::%(bucket)s/%(key)s"}}',
    resources=(_KEY_ARN,),
)  # fmt: skip
ROTATE_KEY = Action(
    "kms", "RotateKey", "null", resources=(_KEY_ARN,), event_type="AwsServiceEvent",
)  # fmt: skip
DESCRIBE_KEY = Action("kms", "DescribeKey", '{"keyId":"%(kms)s"}', resources=(_KEY_ARN,))
PUT_KEY_POLICY = Action(
    "kms", "PutKeyPolicy", '{"keyId":"%(kms)s","policyName":"default","policy":"%(policy)s"}', resources=(_KEY_ARN,)
)

GET_CALLER_IDENTITY = Action("sts", "GetCallerIdentity", "null")
_ASSUMED = (
    '{"credentials":{"accessKeyId":"%(new_key)s","expiration":"%(expires)s"},"assumedRoleUser":{"assumedRoleId":'
    '"%(role_id)s:%(session)s","arn":"arn:aws:sts::%(account)s:assumed-role/%(role_name)s/%(session)s"}}'
)
_ASSUME = '{"roleArn":"%(role)s","roleSessionName":"%(session)s","durationSeconds":%(seconds)s}'
_ROLE_ARN = (("AWS::IAM::Role", "%(role)s"),)
ASSUME_ROLE = Action("sts", "AssumeRole", _ASSUME, response=_ASSUMED, resources=_ROLE_ARN)
ASSUME_ROLE_SAML = Action("sts", "AssumeRoleWithSAML", _ASSUME, response=_ASSUMED, resources=_ROLE_ARN)
ASSUME_ROLE_WEB = Action("sts", "AssumeRoleWithWebIdentity", _ASSUME, response=_ASSUMED, resources=_ROLE_ARN)
_SIGN_IN = '{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":"%s"}'
CONSOLE_LOGIN, WRONG_PASSWORD = (
    Action(
        "signin", "ConsoleLogin", "null", response=f'{{"ConsoleLogin":"{answer}"}}', event_type="AwsConsoleSignIn",
        extra=_SIGN_IN % mfa, message=message, host="signin.aws.amazon.com",
    )
    for answer, mfa, message in (("Success", "Yes", ""), ("Failure", "No", "Failed authentication"))
)  # fmt: skip

CREATE_ACCESS_KEY = _iam(
    "CreateAccessKey", '{"userName":"%(user)s"}', "user/%(user)s",
    '{"accessKey":{"accessKeyId":"%(new_key)s","status":"Active","userName":"%(user)s"}}',
)  # fmt: skip
UPDATE_ACCESS_KEY = _iam(
    "UpdateAccessKey", '{"accessKeyId":"%(old_key)s","status":"Inactive","userName":"%(user)s"}', "user/%(user)s"
)
DELETE_ACCESS_KEY = _iam("DeleteAccessKey", '{"userName":"%(user)s","accessKeyId":"%(old_key)s"}', "user/%(user)s")
LIST_ACCESS_KEYS = _iam("ListAccessKeys", '{"userName":"%(user)s"}', "user/%(user)s")
CREATE_USER = _iam("CreateUser", '{"userName":"%(user)s"}', "user/%(user)s")
CREATE_LOGIN_PROFILE = _iam(
    "CreateLoginProfile", '{"userName":"%(user)s","passwordResetRequired":true}', "user/%(user)s"
)
ADD_USER_TO_GROUP = _iam("AddUserToGroup", '{"groupName":"%(group)s","userName":"%(user)s"}', "user/%(user)s")
ATTACH_USER_POLICY = _iam("AttachUserPolicy", '{"userName":"%(user)s","policyArn":"%(policy)s"}', "user/%(user)s")
PUT_ROLE_POLICY = _iam(
    "PutRolePolicy", '{"roleName":"%(role_name)s","policyName":"access","policyDocument":"%(policy)s"}',
    "role/%(role_name)s",
)  # fmt: skip
CREATE_ROLE = _iam(
    "CreateRole", '{"roleName":"%(role_name)s","assumeRolePolicyDocument":"%(policy)s"}', "role/%(role_name)s"
)
IAM_READS = _plain(
    "iam", "ListUsers", "ListRoles", "ListGroups", "ListPolicies", "GetAccountSummary", "ListMFADevices",
    "GetAccountPasswordPolicy", "GetAccountAuthorizationDetails", "GenerateCredentialReport", "GetCredentialReport",
)  # fmt: skip
EC2_READS = _plain(
    "ec2", "DescribeInstances", "DescribeVolumes", "DescribeSnapshots", "DescribeImages", "DescribeSecurityGroups",
    "DescribeVpcs", "DescribeSubnets", "DescribeRouteTables", "DescribeRegions", "DescribeKeyPairs",
    "DescribeNetworkInterfaces", "DescribeAddresses",
)  # fmt: skip
OTHER_READS = (
    *_plain("sagemaker", "ListTrainingJobs", "ListModels", "ListEndpoints", "ListNotebookInstances"),
    *_plain("ecr", "DescribeRepositories"),
    *_plain("kms", "ListKeys", "ListAliases"),
    *_plain("cloudtrail", "DescribeTrails", "LookupEvents", "GetTrailStatus", "GetEventSelectors"),
    *_plain("secretsmanager", "ListSecrets"),
    *_plain("organizations", "DescribeOrganization", "ListAccounts"),
    *_plain("logs", "DescribeLogGroups", "FilterLogEvents"),
    *_plain("lambda", "ListFunctions20150331"),
    *_plain("rds", "DescribeDBInstances"),
)
DESCRIBE_INSTANCES, DESCRIBE_VOLUMES, DESCRIBE_SNAPSHOTS, DESCRIBE_IMAGES = EC2_READS[:4]
LIST_USERS, LIST_ROLES = IAM_READS[:2]
ALL_READS = (*IAM_READS, *EC2_READS, *OTHER_READS, LIST_BUCKETS)
LOOKS = (LIST_BUCKETS, DESCRIBE_INSTANCES, *OTHER_READS[:7], OTHER_READS[15], OTHER_READS[16])
"""What people look at in daily work."""

_SNAPSHOT = "snapshot/%(snapshot)s"
CREATE_SNAPSHOT = _ec2(
    "CreateSnapshot", '{"volumeId":"%(volume)s","description":"%(note)s"}', "volume/%(volume)s",
    '{"snapshotId":"%(snapshot)s","volumeId":"%(volume)s","status":"pending","encrypted":true}',
)  # fmt: skip
COPY_SNAPSHOT = _ec2(
    "CopySnapshot", '{"sourceRegion":"%(from_region)s","sourceSnapshotId":"%(snapshot)s","encrypted":true}', "",
    '{"snapshotId":"%(copy)s"}',
)  # fmt: skip
SHARE_SNAPSHOT = _ec2(
    "ModifySnapshotAttribute",
    '{"snapshotId":"%(snapshot)s","createVolumePermission":{"add":{"items":[{"userId":"%(other)s"}]}},'
    '"attributeType":"CREATE_VOLUME_PERMISSION"}',
    _SNAPSHOT,
)
DELETE_SNAPSHOT = _ec2("DeleteSnapshot", '{"snapshotId":"%(snapshot)s"}', _SNAPSHOT)
CREATE_IMAGE = _ec2(
    "CreateImage", '{"instanceId":"%(instance)s","name":"%(note)s"}', "instance/%(instance)s",
    '{"imageId":"%(image)s"}',
)  # fmt: skip
SHARE_IMAGE = _ec2(
    "ModifyImageAttribute",
    '{"imageId":"%(image)s","launchPermission":{"add":{"items":[{"userId":"%(other)s"}]}},'
    '"attributeType":"launchPermission"}',
    "image/%(image)s",
)
OPEN_PORT = _ec2(
    "AuthorizeSecurityGroupIngress",
    '{"groupId":"%(group)s","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":%(port)s,"toPort":%(port)s,'
    '"ipRanges":{"items":[{"cidrIp":"%(cidr)s"}]}}]}}',
)
CLOSE_PORT = _ec2("RevokeSecurityGroupIngress", '{"groupId":"%(group)s"}')
RUN_INSTANCES = _ec2("RunInstances", '{"instanceType":"%(type)s","minCount":1,"maxCount":1}', "", "null")
REBOOT = _ec2("RebootInstances", '{"instancesSet":{"items":[{"instanceId":"%(instance)s"}]}}')

STOP_LOGGING, START_LOGGING, UPDATE_TRAIL, DELETE_TRAIL = (
    Action("cloudtrail", name, '{"name":"%(trail)s"}')
    for name in ("StopLogging", "StartLogging", "UpdateTrail", "DeleteTrail")
)
PUT_EVENT_SELECTORS = Action(
    "cloudtrail", "PutEventSelectors",
    '{"trailName":"%(trail)s","eventSelectors":[{"readWriteType":"%(which)s","includeManagementEvents":true,'
    '"dataResources":%(resources)s}]}',
)  # fmt: skip

_JOB = "arn:aws:sagemaker:%(region)s:%(account)s:training-job/%(job)s"
CREATE_TRAINING_JOB = Action(
    "sagemaker", "CreateTrainingJob",
    '{"trainingJobName":"%(job)s","roleArn":"%(role)s","resourceConfig":{"instanceType":"ml.p5.48xlarge",'
    '"instanceCount":%(count)s}}',
    response=f'{{"trainingJobArn":"{_JOB}"}}', resource=_JOB, host="api.sagemaker.%(region)s.amazonaws.com",
)  # fmt: skip
DESCRIBE_TRAINING_JOB = Action("sagemaker", "DescribeTrainingJob", '{"trainingJobName":"%(job)s"}', resource=_JOB)
_NOTEBOOK = "arn:aws:sagemaker:%(region)s:%(account)s:notebook-instance/%(notebook)s"
NOTEBOOK_URL = Action(
    "sagemaker", "CreatePresignedNotebookInstanceUrl", '{"notebookInstanceName":"%(notebook)s"}', resource=_NOTEBOOK
)
UPDATE_ENDPOINT = Action("sagemaker", "UpdateEndpoint", '{"endpointName":"%(served)s"}')
_REPOSITORY = "arn:aws:ecr:%(region)s:%(account)s:repository/%(repository)s"


def _ecr(name: str, request: str = "") -> Action:
    asked = f'{{"registryId":"%(account)s","repositoryName":"%(repository)s"{request}}}'
    return Action("ecr", name, asked, resources=(("AWS::ECR::Repository", _REPOSITORY),))


ECR_TOKEN = Action("ecr", "GetAuthorizationToken", "null")
ECR_PULL = tuple(_ecr(name) for name in ("BatchGetImage", "GetDownloadUrlForLayer"))
ECR_PUSH = tuple(
    _ecr(name)
    for name in ("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload",
                 "PutImage")
)  # fmt: skip
SESSION_START = Action(
    "ssm", "StartSession", '{"target":"%(instance)s"}',
    resource="arn:aws:ec2:%(region)s:%(account)s:instance/%(instance)s",
)  # fmt: skip
HEARTBEAT = Action(
    "ssm", "UpdateInstanceInformation", '{"instanceId":"%(instance)s","agentVersion":"3.3.1611.0"}',
    resource="arn:aws:ec2:%(region)s:%(account)s:instance/%(instance)s",
)  # fmt: skip
GET_SECRET = Action(
    "secretsmanager", "GetSecretValue", '{"secretId":"%(secret)s"}',
    resource="arn:aws:secretsmanager:%(region)s:%(account)s:secret:%(secret)s",
)  # fmt: skip
