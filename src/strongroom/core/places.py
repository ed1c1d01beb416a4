"""Where an asset lies: the grammar of places, and the one form in which a place and a log's resource are compared.

A *place* is a scheme and a path. It holds itself and all that lies below it, at borders of the path: `s3://b/p` holds
`p` and `p/x`, and not `p-evil`. Its *pattern* is what it is compared as; `strongroom.detect.assets` brings what logs
name into the same form, and docs/assets.md shows both for every scheme. Patterns are paths whose parts `/` separates,
so that the longest pattern that holds a resource is found by asking for each of its parents. A part `*` stands for
every region, account, cluster or host.

>>> patterns("s3://acme-weights/llama/")
['s3://acme-weights/llama']
>>> patterns("arn:aws:s3:::acme-weights/llama")
['s3://acme-weights/llama']
>>> patterns("gs://acme-weights"), patterns("az://acme/weights/Llama")
(['gs://acme-weights'], ['az://acme/weights/llama'])
>>> patterns("hf://acme/llama"), patterns("hf://datasets/acme/talks")
(['hf://acme/llama'], ['hf://datasets/acme/talks', 'hf://acme/talks'])
>>> patterns("ebs:snap-0123456789abcdef0"), patterns("ami:ami-0123456789abcdef0")
(['arn/*/ec2/*/*/snapshot/snap-0123456789abcdef0'], ['arn/*/ec2/*/*/image/ami-0123456789abcdef0'])
>>> patterns("kms:arn:aws:kms:eu-west-1:111122223333:key/1234")
['arn/aws/kms/eu-west-1/111122223333/key/1234']
>>> patterns("ecr://111122223333.dkr.ecr.eu-west-1.amazonaws.com/llm/serve")
['arn/aws/ecr/eu-west-1/111122223333/repository/llm/serve']
>>> patterns("ecr://*/llm/serve"), patterns("oci://registry.example.com:5000/llm/serve:v2")
(['arn/*/ecr/*/*/repository/llm/serve'], ['oci://registry.example.com:5000/llm/serve/v2'])
>>> patterns("k8s://prod/serving/deployments/llama"), patterns("k8s://*/serving")
(['k8s://prod/serving/deployments/llama', 'k8s:///serving/deployments/llama'], ['k8s://*/serving'])
>>> patterns("arn:aws:sagemaker:eu-west-1:111122223333:model"), patterns("arn:aws:sagemaker:*:*:model/llama")
(['arn/aws/sagemaker/eu-west-1/111122223333/model'], ['arn/*/sagemaker/*/*/model/llama'])
>>> patterns("file:///srv/models"), patterns("file://gpu-7/srv/models")
(['file://*/srv/models'], ['file://gpu-7/srv/models', 'file:///srv/models'])
>>> patterns("gcp:projects/acme/locations/eu/keyRings/r"), patterns("azure:/subscriptions/S/resourceGroups/G")
(['gcp/projects/acme/locations/eu/keyRings/r'], ['azure/subscriptions/s/resourcegroups/g'])
>>> patterns("https://models.example.com/v1")
['https://models.example.com/v1']
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from .errors import UsageError

__all__ = ["MAX_PLACE_BYTES", "MAX_PLACE_PARTS", "SCHEMES", "check_text", "patterns"]

MAX_PLACE_BYTES = 1_200
"""In UTF-8; a key of S3 has at most 1,024."""
MAX_PLACE_PARTS = 32
"""What `/` separates in a place's path."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_REGISTRY = re.compile(r"([0-9]{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|sha(256|512):[0-9a-f]{64,128}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]|\$root|\$web|\$logs")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,96}")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PLURAL = re.compile(r"[a-z][a-z0-9.-]{0,252}")
_MACHINE_ID = {"ebs": re.compile(r"(vol|snap)-[0-9a-f]{1,17}"), "ami": re.compile(r"(ami)-[0-9a-f]{1,17}")}
_MACHINE_KIND = {"vol": "volume", "snap": "snapshot", "ami": "image"}
_HF_KINDS = ("models", "datasets", "spaces")


def check_text(text: str, what: str, limit: int) -> str:
    """Returns `text` if it has at most `limit` bytes and nothing that is hidden or steers. Raises UsageError."""
    if len(text) > limit or len(text.encode(errors="replace")) > limit:
        raise UsageError(f"{what} has more than {limit:,} bytes", next="shorten it")
    if any(unicodedata.category(character) in _HIDDEN for character in text):
        raise UsageError(f"{what} has a control, invisible or unassigned character", next="leave it out")
    return text


def patterns(place: str) -> list[str]:
    """What a place is compared as: first its own pattern, then what it is called by a log that says less.

    Raises UsageError for what is no place.
    """
    check_text(place, "a place", MAX_PLACE_BYTES)
    if place != place.strip():
        raise UsageError(f"'{_short(place)}' begins or ends with a space", next="leave it out")
    name = place.partition(":")[0]
    read = SCHEMES.get(name)
    if read is None or len(place) == len(name):
        raise UsageError(
            f"'{_short(place)}' is no place: it begins with no scheme of ours",
            next=f"begin with one of: {', '.join(SCHEMES)}",
        )
    found = read(place)
    parts = found[0].count("/") + 1
    if parts > MAX_PLACE_PARTS:
        raise UsageError(
            f"'{_short(place)}' has {parts} parts, more than {MAX_PLACE_PARTS}", next="name a prefix of it"
        )
    return found


def _short(place: str) -> str:
    return place if len(place) <= 120 else f"{place[:119]}…"


def _wrong(place: str, why: str, example: str) -> UsageError:
    return UsageError(f"'{_short(place)}' {why}", next=f"write {example}")


def _parts(place: str, path: str, example: str) -> list[str]:
    """A path's parts, without the slash that it may end in. Raises UsageError for one that is empty, `.` or `..`."""
    parts = path.removesuffix("/").split("/")
    for part in parts:
        if part in ("", ".", ".."):
            raise _wrong(place, f"has the part '{part}'" if part else "has an empty part", example)
        if "*" in part:
            raise UsageError(f"'{_short(place)}' has a '*'", next="leave it away: a place holds all that lies below it")
    return parts


def _after(place: str, example: str) -> str:
    """What follows `scheme://`."""
    _, slashes, path = place.partition("://")
    if not slashes or not path:
        raise _wrong(place, "names nothing", example)
    return path


def _bucket(place: str) -> list[str]:
    """`s3://bucket[/prefix]`, `gs://bucket[/prefix]`."""
    scheme, example = place[:2], f"{place[:2]}://bucket/prefix/"
    parts = _parts(place, _after(place, example), example)
    if not _BUCKET.fullmatch(parts[0]):
        raise _wrong(place, "names no bucket", example)
    return [f"{scheme}://{'/'.join(parts)}"]


def _azure_blob(place: str) -> list[str]:
    """`az://account[/container[/prefix]]`. Azure's resource ids have no case, so neither has the pattern."""
    example = "az://account/container/prefix/"
    parts = _parts(place, _after(place, example), example)
    if not _ACCOUNT.fullmatch(parts[0]) or (len(parts) > 1 and not _CONTAINER.fullmatch(parts[1])):
        raise _wrong(place, "names no storage account and container", example)
    return [f"az://{'/'.join(parts)}".lower()]


def _hugging_face(place: str) -> list[str]:
    """`hf://[datasets/|spaces/|models/]org/repository[/path]`. Not every log says which kind a repository is."""
    example = "hf://org/repository, or hf://datasets/org/repository"
    parts = _parts(place, _after(place, example), example)
    kind = parts.pop(0) if parts[0] in _HF_KINDS else "models"
    if len(parts) < 2 or not all(_REPOSITORY.fullmatch(part) for part in parts[:2]):
        raise _wrong(place, "names no repository", example)
    plain = f"hf://{'/'.join(parts)}"
    return [plain] if kind == "models" else [f"hf://{kind}/{'/'.join(parts)}", plain]


def _machine(place: str) -> list[str]:
    """`ebs:vol-…`, `ebs:snap-…`, `ami:ami-…`: the id alone tells which, in any region and account."""
    scheme, _, id = place.partition(":")
    match = _MACHINE_ID[scheme].fullmatch(id)
    if match is None:
        raise _wrong(place, "has no such id", "ebs:vol-…, ebs:snap-… or ami:ami-…, and hexadecimal digits")
    return [f"arn/*/ec2/*/*/{_MACHINE_KIND[match[1]]}/{id}"]


def _elastic_registry(place: str) -> list[str]:
    """`ecr://ACCOUNT.dkr.ecr.REGION.amazonaws.com/repository`; `*` for any registry."""
    example = "ecr://111122223333.dkr.ecr.eu-west-1.amazonaws.com/repository, or ecr://*/repository"
    registry, _, path = _after(place, example).partition("/")
    repository = "/".join(_parts(place, path, example))
    if not re.fullmatch(r"[a-z0-9._/-]+", repository):
        raise _wrong(place, "names no repository; logs name no tag", example)
    if registry == "*":
        return [f"arn/*/ecr/*/*/repository/{repository}"]
    match = _REGISTRY.fullmatch(registry)
    if match is None:
        raise _wrong(place, "names no registry of AWS", example)
    partition = "aws-cn" if match[3] else "aws-us-gov" if match[2].startswith("us-gov-") else "aws"
    return [f"arn/{partition}/ecr/{match[2]}/{match[1]}/repository/{repository}"]


def _registry(place: str) -> list[str]:
    """`oci://registry/repository[:tag]`, or `@sha256:…`; the tag is a part of its own."""
    example = "oci://registry.example.com/repository, perhaps with :tag"
    host, _, path = _after(place, example).partition("/")
    parts = _parts(place, path, example)
    name, at, digest = parts[-1].partition("@")
    name, colon, tag = (name, at, digest) if at else name.partition(":")
    sound = re.fullmatch(r"[a-z0-9._-]+", name) and (not colon or _TAG.fullmatch(tag))
    if not _HOST.fullmatch(host) or not ("." in host or ":" in host) or not sound:
        raise _wrong(place, "names no repository of a registry", example)
    return [f"oci://{'/'.join([host.lower(), *parts[:-1], name, *([tag] if colon else [])])}"]


def _cluster(place: str) -> list[str]:
    """`k8s://cluster/namespace[/kind[/name]]`; `*` for any cluster. A log of a cluster may not say which it is of."""
    example = "k8s://cluster/namespace/deployments/name, or k8s://*/namespace"
    cluster, _, path = _after(place, example).partition("/")
    parts = _parts(place, path, example)
    if len(parts) > 3 or not _NAMESPACE.fullmatch(parts[0]):
        raise _wrong(place, "names no namespace", example)
    if len(parts) > 1 and not _PLURAL.fullmatch(parts[1]):
        raise _wrong(place, "names its kind otherwise than the audit log (pods, deployments, secrets)", example)
    return _of_one("k8s", cluster, parts, place, example)


def _file(place: str) -> list[str]:
    """`file:///path`, on any host, or `file://host/path`."""
    example = "file:///srv/models, or file://host/srv/models"
    host, slash, path = _after(place, example).partition("/")
    if not slash:
        raise _wrong(place, "has no path", example)
    return _of_one("file", host or "*", _parts(place, path, example), place, example)


def _of_one(scheme: str, where: str, parts: list[str], place: str, example: str) -> list[str]:
    path = "/".join(parts)
    if where == "*":
        return [f"{scheme}://*/{path}"]
    if not where or "*" in where or where in (".", ".."):
        raise _wrong(place, f"has '{where[:40]}' before its path", example)
    return [f"{scheme}://{where}/{path}", f"{scheme}:///{path}"]


def _key(place: str) -> list[str]:
    """`kms:` and the ARN of a key or of an alias."""
    arn = place.removeprefix("kms:")
    if not re.fullmatch(r"arn:aws[a-z-]*:kms:[^:]+:[^:]+:(key|alias)/.+", arn):
        raise _wrong(place, "has no ARN of a key", "kms:arn:aws:kms:eu-west-1:111122223333:key/…")
    return _arn(arn)


def _arn(place: str) -> list[str]:
    """An ARN, or its beginning up to the account or beyond; `*` for region and account means any."""
    example = "arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE"
    head = place.split(":", 5)
    rest = head.pop() if len(head) == 6 else ""
    if len(head) < 5 or not head[1].startswith("aws") or not head[2] or not (head[3] or head[4] or rest):
        raise _wrong(place, "is too wide, or no ARN", example)
    if any("/" in part for part in head):
        raise _wrong(place, "has a '/' before its resource", example)
    if head[2] == "s3" and not head[3] and not head[4]:
        return _bucket(f"s3://{rest}")
    if head[3] == head[4] == "*":
        head = ["arn", "*", head[2], "*", "*"]
    elif "*" in "".join(head):
        raise _wrong(place, "has a '*' for one of region and account", "both as '*', or both in full")
    below = _parts(place, rest.removesuffix(":").replace(":", "/"), example) if rest else []
    if head[1] == "*" and not below:
        raise _wrong(place, "is too wide", example)
    return ["/".join([*head, *below])]


def _google(place: str) -> list[str]:
    """`gcp:projects/…`: the name of a resource as Google's logs write it."""
    example = "gcp:projects/PROJECT/locations/LOCATION/keyRings/RING"
    parts = _parts(place, place.removeprefix("gcp:"), example)
    if parts[0] != "projects" or len(parts) < 2 or parts[1] == "_":
        raise _wrong(place, "names no project (buckets: gs://)", example)
    return ["/".join(["gcp", *parts])]


def _azure(place: str) -> list[str]:
    """`azure:/subscriptions/…`: a resource id."""
    example = "azure:/subscriptions/ID/resourceGroups/GROUP/providers/…"
    parts = _parts(place, place.lower().removeprefix("azure:").removeprefix("/"), example)
    if parts[0] != "subscriptions" or len(parts) < 2 or "/storageaccounts/" in place.lower():
        raise _wrong(place, "is no resource id (storage accounts: az://)", example)
    return ["/".join(["azure", *parts])]


def _address(place: str) -> list[str]:
    """`https://host/path`: an endpoint, or a mirror that serves files."""
    example = "https://host/path"
    host, _, path = _after(place, example).partition("/")
    if not _HOST.fullmatch(host) or "?" in path or "#" in path:
        raise _wrong(place, "is no address without user, query and fragment", example)
    return [f"https://{'/'.join([host.lower(), *(_parts(place, path, example) if path else [])])}"]


SCHEMES: dict[str, Callable[[str], list[str]]] = {
    "s3": _bucket,
    "gs": _bucket,
    "az": _azure_blob,
    "hf": _hugging_face,
    "ebs": _machine,
    "ami": _machine,
    "ecr": _elastic_registry,
    "oci": _registry,
    "k8s": _cluster,
    "kms": _key,
    "arn": _arn,
    "gcp": _google,
    "azure": _azure,
    "file": _file,
    "https": _address,
}
"""What a place may begin with, and how the rest is read."""
