"""`strongroom.toml`."""

from __future__ import annotations

import re
import socket
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from ..ledger import COSIGNATURE, Settings, VerifierKey, WitnessAddress, check_name
from ._announce import BREAK_GLASS, read_announce
from ._keyserver import KEYSERVER, IdentitySettings, KeyServerSettings, read_identity, read_keyserver
from ._tables import check_keys, text_of

__all__ = [
    "CONFIGURATION",
    "Configuration",
    "PolicySettings",
    "StateSettings",
    "StoreSettings",
    "VaultSettings",
    "read_configuration",
    "template",
]

CONFIGURATION = {
    "version": "1: the version of this file",
    "keep_text": "true keeps the texts of prompts in the store; false (the default) keeps sketches alone",
    "store.engine": "what queries the store: duckdb (the default), or spark (extra `spark`)",
    "store.spark_master": "where Spark is, as it writes it; local[*], this machine, without it",
    "store.spark_options": "a table of Spark's own configuration, names and values quoted",
    "state.url": "the address of a PostgreSQL database that servers share (extra `postgres`); without it, state.db",
    "state.password_file": "the file whose first line is its password; from the site's directory on",
    "ledger.storage": "the URL of a prefix in an object store where the ledger lies; without it, ledger/ of the site",
    "ledger.witness.url": "a witness's address",
    "ledger.witness.key": "its verifier key",
    "ledger.quorum": "how many of the witnesses must have cosigned; all, without it",
    "ledger.copy": "a directory elsewhere that keeps checkpoints",
    "ledger.git": "a git remote that keeps checkpoints",
    "policy.mode": "enforce (the default), shadow: decide and record, refuse nothing; off: anybody with the files may",
    "policy.host": "what stands behind the @ in the names of this machine's users; this machine's name without it",
    "policy.site": "the name that people who approve sign for; the ledger's origin without it",
    **BREAK_GLASS,
    "vault.aws_kms": "a list of ARNs: the AWS KMS keys that may be asked to open sealed objects (extra `aws`)",
    "vault.pkcs11.module": "the library of a PKCS#11 token (extra `pkcs11`)",
    "vault.pkcs11.keys": "a list of pkcs11: URIs: the token's keys that may be asked to open sealed objects",
    "vault.pkcs11.pin_file": "the file whose first line is the token's PIN; from the site's directory on",
    **KEYSERVER,
}
MAX_WITNESSES = 16
ENGINES = ("duckdb", "spark")
MODES = ("enforce", "shadow", "off")


@dataclass(frozen=True)
class StoreSettings:
    """What queries the store."""

    engine: str = "duckdb"
    spark_master: str = "local[*]"
    spark_options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StateSettings:
    """Where the transactional tables lie."""

    url: str = ""
    password_file: str = ""


def _host() -> str:
    """This machine's name, of characters that a principal's name can have."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:63].strip(".-") or "localhost"


@dataclass(frozen=True)
class PolicySettings:
    """What becomes of a decision, and how this machine's users and the site are called."""

    mode: str = "enforce"
    host: str = field(default_factory=_host)
    site: str = ""


@dataclass(frozen=True)
class VaultSettings:
    """Who beside key files may be asked to open sealed objects."""

    aws_kms: tuple[str, ...] = ()
    pkcs11_module: str = ""
    pkcs11_keys: tuple[str, ...] = ()
    pkcs11_pin_file: str = "keys/pkcs11.pin"


@dataclass(frozen=True)
class Configuration:
    """`strongroom.toml`."""

    keep_text: bool = False
    store: StoreSettings = field(default_factory=StoreSettings)
    state: StateSettings = field(default_factory=StateSettings)
    ledger: Settings = field(default_factory=Settings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    announce: tuple[str, ...] = ()
    """The program that tells people when glass is broken, and its arguments."""
    vault: VaultSettings = field(default_factory=VaultSettings)
    keyserver: KeyServerSettings = field(default_factory=KeyServerSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)


def template(keep_text: bool, storage: str = "") -> str:
    """The file that `init` writes."""
    host = PolicySettings().host
    place = f"storage = {_quoted(storage)}\n" if storage else '# storage = "s3://bucket/prefix"\n'
    return (
        "# Strongroom's configuration; docs/configuration.md describes each key.\n"
        "version = 1\n\n"
        "# Keep the texts of prompts? Without, sketches alone are kept: digests, MinHash, embedding, flags.\n"
        f"keep_text = {'true' if keep_text else 'false'}\n\n"
        "# What searches the store: DuckDB in this process, or Spark where one machine is not enough (docs/scale.md).\n"
        "[store]\n"
        '# engine = "spark"\n'
        '# spark_master = "spark://host:7077"\n'
        '# spark_options = { "spark.executor.memory" = "8g" }\n\n'
        "# Where what changes in transactions lies: state.db here, or PostgreSQL, which several servers share.\n"
        "# [state]\n"
        '# url = "postgresql://strongroom@db.example.com:5432/strongroom"\n'
        '# password_file = "keys/state.password"\n\n'
        "# Who may do what is decided by the site's policies (docs/policy.md): enforce, shadow, or off.\n"
        "[policy]\n"
        'mode = "enforce"\n'
        f"host = {_quoted(host)}\n"
        '# site = "example.com/strongroom"\n\n'
        "# Who is told when somebody breaks glass: a program, which gets one JSON object on stdin (docs/policy.md).\n"
        "# [breakglass]\n"
        '# announce = ["/usr/local/bin/page-owners", "--urgent"]\n\n'
        "# Where the ledger lies, and where its checkpoints go: what makes rewriting it detectable.\n"
        "[ledger]\n"
        f"{place}"
        '# copy = "/mnt/other-host/checkpoints"\n'
        '# git = "ssh://git@example.com/checkpoints.git"\n'
        "# quorum = 1\n"
        "# [[ledger.witness]]\n"
        '# url = "https://witness.example.com"\n'
        '# key = "witness.example.com+…"\n\n'
        "# Who beside the key files in keys/vault may be asked to open sealed objects (docs/vault.md).\n"
        "# [vault]\n"
        '# aws_kms = ["arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"]\n'
        "# [vault.pkcs11]\n"
        '# module = "/usr/lib/softhsm/libsofthsm2.so"\n'
        '# keys = ["pkcs11:token=hsm;object=models"]\n'
        '# pin_file = "keys/pkcs11.pin"\n\n'
        "# The key service: for programs that may not read the keys (docs/keyserver.md).\n"
        "# [keyserver]\n"
        '# socket = "/run/strongroom/keys.sock"\n'
        '# listen = "0.0.0.0:8443"\n'
        '# certificate = "keys/tls.pem"\n'
        '# private_key = "keys/tls.key"\n'
        '# metrics = "127.0.0.1:9464"\n'
        "# [identity.trust_domains]\n"
        '# "acme.example" = "keys/acme.example.pem"\n'
        "# [[identity.issuer]]\n"
        '# issuer = "https://token.ci.example"\n'
        '# audiences = ["strongroom"]\n'
        '# prefix = "ci:"\n'
    )


def read_configuration(text: bytes, path: Path) -> Configuration:
    """Raises UsageError for an unknown key, a wrong type, or another version."""
    where = str(path / "strongroom.toml")
    try:
        values: dict[str, Any] = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the configuration is no TOML: {error}", where=where) from None
    check_keys(values, "", CONFIGURATION, where)
    if values.get("version") != 1 or values["version"] is True:
        raise UsageError(
            f"version is {values.get('version')!r}, this Strongroom knows 1", where=where, next="upgrade Strongroom"
        )
    keep_text = values.get("keep_text", False)
    if not isinstance(keep_text, bool):
        raise UsageError("keep_text must be true or false", where=where)
    return Configuration(
        keep_text=keep_text,
        store=_store(values.get("store", {}), where),
        state=_state(values.get("state", {}), where),
        ledger=_ledger(values.get("ledger", {}), where),
        policy=_policy(values.get("policy", {}), where),
        announce=read_announce(values.get("breakglass", {}), where),
        vault=_vault(values.get("vault", {}), where),
        keyserver=read_keyserver(values.get("keyserver", {}), where),
        identity=read_identity(values.get("identity", {}), where),
    )


def _store(values: Any, where: str) -> StoreSettings:
    check_keys(values, "store.", CONFIGURATION, where)
    known = StoreSettings()
    engine, master = values.get("engine", known.engine), values.get("spark_master", known.spark_master)
    options = values.get("spark_options", {})
    if engine not in ENGINES:
        raise UsageError(f"store.engine must be one of {', '.join(ENGINES)}", where=where)
    if not isinstance(master, str) or not re.fullmatch(r"(?:local|spark:|yarn|k8s:)\S*", master):
        raise UsageError(
            "store.spark_master must be such as 'local[2]', 'spark://host:7077', 'yarn' or 'k8s://…'", where=where
        )
    if not isinstance(options, dict):
        raise UsageError("store.spark_options must be a table", where=where)
    for name, value in options.items():
        if isinstance(value, dict):
            raise UsageError(
                f"store.spark_options: the name '{name}' is not quoted",
                where=where,
                next='write { "spark.executor.memory" = "8g" }',
            )
        if not name.startswith("spark.") or not isinstance(value, str) or not value.isprintable():
            raise UsageError(f"store.spark_options: '{name}' must begin with 'spark.' and be text", where=where)
    return StoreSettings(engine, master, options)


def _state(values: Any, where: str) -> StateSettings:
    if values == {}:
        return StateSettings()
    from ..state import check_url

    check_keys(values, "state.", CONFIGURATION, where)
    url, password_file = (text_of(values, name, "", "state.", where) for name in ("url", "password_file"))
    if password_file and not url:
        raise UsageError("state.password_file needs state.url", where=where)
    try:
        return StateSettings(check_url(url) if url else "", password_file)
    except UsageError as error:
        error.where = f"{where}, state.url"
        raise


def _ledger(values: Any, where: str) -> Settings:
    check_keys(values, "ledger.", CONFIGURATION, where)
    storage, copy, git = (text_of(values, name, "", "ledger.", where) for name in ("storage", "copy", "git"))
    witnesses = values.get("witness", [])
    if not isinstance(witnesses, list) or len(witnesses) > MAX_WITNESSES:
        raise UsageError(f"ledger.witness is a list of at most {MAX_WITNESSES} tables", where=where)
    addresses = tuple(_witness(witness, where) for witness in witnesses)
    if len({address.key.public for address in addresses}) < len(addresses):
        raise UsageError("two witnesses have the same key, which counts once", where=where, next="name each once")
    quorum = values.get("quorum", len(addresses))
    if not isinstance(quorum, int) or isinstance(quorum, bool) or not 0 <= quorum <= len(addresses):
        raise UsageError(f"ledger.quorum must be between 0 and the {len(addresses)} witnesses", where=where)
    return Settings(
        storage=storage,
        witnesses=addresses,
        quorum=quorum,
        copy=copy,
        git=git,
    )


def _policy(values: Any, where: str) -> PolicySettings:
    check_keys(values, "policy.", CONFIGURATION, where)
    known = PolicySettings()
    mode, host = values.get("mode", known.mode), values.get("host", known.host)
    if mode not in MODES:
        raise UsageError(f"policy.mode must be one of {', '.join(MODES)}", where=where)
    if not isinstance(host, str) or not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?", host):
        raise UsageError("policy.host must be a host's name", where=where)
    site = values.get("site", known.site)
    if not isinstance(site, str):
        raise UsageError("policy.site must be text", where=where)
    try:
        return PolicySettings(mode, host, check_name(site) if "site" in values else "")
    except UsageError as error:
        error.where = f"{where}, policy.site"
        raise


def _vault(values: Any, where: str) -> VaultSettings:
    if values == {}:
        return VaultSettings()
    from ..vault import check_arn, parse_pkcs11_uri

    check_keys(values, "vault.", CONFIGURATION, where)
    token = values.get("pkcs11", {})
    check_keys(token, "vault.pkcs11.", CONFIGURATION, where)
    known = VaultSettings()
    module = text_of(token, "module", known.pkcs11_module, "vault.pkcs11.", where)
    pin_file = text_of(token, "pin_file", known.pkcs11_pin_file, "vault.pkcs11.", where)
    arns, uris = values.get("aws_kms", []), token.get("keys", [])
    for name, texts, check in (("aws_kms", arns, check_arn), ("pkcs11.keys", uris, parse_pkcs11_uri)):
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"vault.{name} must be a list of texts", where=where)
        for text in texts:
            try:
                check(text)
            except UsageError as error:
                error.where = f"{where}, vault.{name}"
                raise
    if uris and not module:
        raise UsageError("vault.pkcs11.keys needs vault.pkcs11.module", where=where)
    return VaultSettings(tuple(arns), module, tuple(uris), pin_file)


def _witness(values: Any, where: str) -> WitnessAddress:
    check_keys(values, "ledger.witness.", CONFIGURATION, where)
    url, key = values.get("url"), values.get("key")
    if not isinstance(url, str) or not isinstance(key, str):
        raise UsageError("a witness needs url and key", where=where)
    try:
        parsed = VerifierKey.parse(key)
    except UsageError as error:
        error.where = where
        raise
    if parsed.type != COSIGNATURE:
        raise UsageError("ledger.witness.key is not the key of a witness", where=where)
    return WitnessAddress(url, parsed)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
