"""What logs name, in the one form in which places are compared (`strongroom.core.places`).

| a log names | its address, and the one that says less |
|---|---|
| `arn:aws:s3:::b/k` | `s3://b/k` |
| `arn:aws:ec2:eu-west-1:1:image/ami-1` | `arn/aws/ec2/eu-west-1/1/image/ami-1`, `arn/*/ec2/*/*/image/ami-1` |
| `//storage.googleapis.com/projects/_/buckets/b/objects/k` | `gs://b/k` |
| `//cloudkms.googleapis.com/projects/p/…` | `gcp/projects/p/…` |
| `/subscriptions/…/storageAccounts/a/blobServices/default/containers/c/blobs/k` | `az://a/c/k` |
| `https://a.blob.core.windows.net/c/k?sv=…` | `az://a/c/k` |
| `/subscriptions/S/resourceGroups/G/…` | `azure/subscriptions/s/resourcegroups/g/…` |
| Kubernetes, cluster `prod`: `ns/pods/p` | `k8s://prod/ns/pods/p`, `k8s://*/ns/pods/p` |
| host `gpu-7`: `/srv/m` | `file://gpu-7/srv/m`, `file://*/srv/m` |
| `registry.example.com/llm/serve:v2` | `oci://registry.example.com/llm/serve/v2` |
| Hugging Face's audit log: `org/repository` | `hf://org/repository` |

What is none of these has no address. A bare path is a repository only where Hugging Face's own log names it: others
write such paths for something else (GKE's audit log: `core/v1/namespaces/ml/pods/p`).

Patterns hold no backslash and replacements no group: DuckDB and Spark write these differently.
"""

from __future__ import annotations

from typing import Any

__all__ = ["address", "wider_address"]

_S3 = "^arn:[^:]*:s3:::"
_GS = "^(//storage[.]googleapis[.]com/)?projects/_/buckets/"
_STORAGE = "^/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft[.]storage/storageaccounts/([^/]+)"
_BLOB = "^https?://([a-z0-9]+)[.](blob|dfs)[.]core[.]windows[.]net(:[0-9]+)?/?"


def address(product: Any, organization: Any, resource: Any) -> Any:
    """The address of what a log names, as an Ibis expression over three columns without nulls; null: it has none."""
    import ibis

    lower = resource.lower()
    return ibis.cases(
        (product == "kubernetes", ibis.literal("k8s://") + organization + "/" + resource),
        (resource.re_search(_S3), ibis.literal("s3://") + resource.re_replace(_S3, "")),
        (resource.startswith("arn:"), resource.replace(":", "/")),
        (resource.re_search(_GS), _bucket(resource)),
        (resource.re_search("^//[a-z0-9-]+[.]googleapis[.]com/"), "gcp" + resource.re_replace("^//[^/]+", "")),
        (lower.re_search(_STORAGE), _blob(lower)),
        (lower.startswith("/subscriptions/"), "azure" + lower),
        (resource.startswith("/"), "file://" + organization + resource),
        (lower.re_search(_BLOB), "az://" + lower.re_extract(_BLOB, 1) + "/" + _path(lower)),
        (resource.re_search("^https?://"), "https://" + resource.re_replace("^https?://|[?#].*$", "")),
        (resource.contains("://"), resource),
        (product.lower().startswith("hugging"), "hf://" + resource),
        (resource.startswith("projects/"), "gcp/" + resource),
        # GKE begins names with an API group, which looks like a registry: `serving.kserve.io/v1beta1/…`.
        ((product != "gcp") & resource.re_search("^[^/]*[.:][^/]*/"), "oci://" + _tagged(resource)),
        else_=ibis.null("string"),
    )


def wider_address(product: Any, resource: Any) -> Any:
    """The same without region and account, cluster, or host; null where there is none."""
    import ibis

    arn = "^arn:[^:]*:([^:]*):[^:]*:[^:]*:(.*)$"
    return ibis.cases(
        (product == "kubernetes", ibis.literal("k8s://*/") + resource),
        (resource.re_search(_S3), ibis.null("string")),
        (
            resource.re_search(arn),
            "arn/*/" + resource.re_extract(arn, 1) + "/*/*/" + resource.re_extract(arn, 2).replace(":", "/"),
        ),
        (resource.lower().startswith("/subscriptions/"), ibis.null("string")),
        (resource.re_search("^/[^/]"), ibis.literal("file://*") + resource),
        else_=ibis.null("string"),
    )


def _bucket(resource: Any) -> Any:
    """A bucket of Google, or an object in one."""
    rest = resource.re_replace(_GS, "")
    key = rest.re_extract("^[^/]+/objects/(.*)$", 1)
    return "gs://" + rest.re_extract("^[^/]+", 0) + (key.length() > 0).ifelse("/" + key, "")


def _blob(lower: Any) -> Any:
    """A storage account, a container or a blob, by its resource id."""
    below = lower.re_replace(_STORAGE, "")
    container = below.re_extract("^/blobservices/default/containers/([^/]+)", 1)
    key = below.re_extract("^/blobservices/default/containers/[^/]+/blobs/(.*)$", 1)
    found = "az://" + lower.re_extract(_STORAGE, 1)
    found += (container.length() > 0).ifelse("/" + container, "")
    return found + (key.length() > 0).ifelse("/" + key, "")


def _path(lower: Any) -> Any:
    return lower.re_replace(_BLOB + "|[?#].*$", "")


def _tagged(resource: Any) -> Any:
    """A repository, and its tag or digest as a part of its own."""
    named = resource.re_extract("^[^@]*", 0)
    tag = named.re_extract("/[^/:]*:([^/:]*)$", 1)
    digest = resource.re_extract("@(.*)$", 1)
    own = (tag.length() > 0).ifelse(tag, digest)
    untagged = (tag.length() > 0).ifelse(named.re_replace(":[^/:]*$", ""), named)
    return untagged + (own.length() > 0).ifelse("/" + own, "")
