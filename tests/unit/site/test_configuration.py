"""`strongroom.toml`: what it says of the ledger, and each mistake named with the file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from strongroom.core.errors import UsageError
from strongroom.ledger import COSIGNATURE, ED25519, Settings
from strongroom.ledger._notes import SigningKey
from strongroom.site._configuration import CONFIGURATION, Configuration, read_configuration, template

SITE = Path("/sites/mine")
KEYS = [SigningKey(f"witness.example/w{n}", bytes([n]) * 32, COSIGNATURE).verifier for n in range(20)]
LOG_KEY = SigningKey("log.example/a", bytes(32), ED25519).verifier


def read(text: str) -> Configuration:
    return read_configuration(f"version = 1\n{text}".encode(), SITE)


def witness(key: object, url: str = "http://127.0.0.1:1") -> str:
    return f'[[ledger.witness]]\nurl = "{url}"\nkey = "{key}"\n'


def test_what_init_writes_says_what_holds_without_it() -> None:
    assert read_configuration(template(False).encode(), SITE) == read("") == Configuration()
    assert read_configuration(template(True).encode(), SITE).keep_text


@pytest.mark.parametrize("url", ["s3://bucket/prefix", 'file:///a "b"\\c', "memory://ü"])
def test_the_template_quotes_the_storage(url: str) -> None:
    assert read_configuration(template(False, url).encode(), SITE).ledger.storage == url


def test_every_key_that_the_template_shows_is_known_and_can_be_set() -> None:
    """Uncommented, with a real key in place of the example's, the template is a configuration."""
    lines = [line.removeprefix("# ") for line in template(False).splitlines() if "=" in line or "[" in line]
    text = "\n".join(lines).replace("witness.example.com+…", str(KEYS[0]))
    found = read_configuration(text.encode(), SITE).ledger
    assert found.witnesses[0].key == KEYS[0]
    assert (found.quorum, bool(found.copy), bool(found.git), bool(found.storage)) == (1, True, True, True)
    values = tomllib.loads(text)
    store = read_configuration(text.encode(), SITE).store
    assert (store.engine, store.spark_options) == ("spark", {"spark.executor.memory": "8g"})
    vault = read_configuration(text.encode(), SITE).vault
    assert (len(vault.aws_kms), vault.pkcs11_keys) == (1, ("pkcs11:token=hsm;object=models",))
    shown = {
        *values,
        *(
            f"{part}.{key}"
            for part in ("ledger", "policy", "breakglass", "state", "store", "vault", "keyserver", "identity")
            for key in values[part]
        ),
    }
    shown -= {"state", "store", "ledger", "policy", "ledger.witness", "vault", "vault.pkcs11", "keyserver", "identity"}
    shown -= {"identity.issuer", "breakglass"}
    shown |= {f"identity.issuer.{key}" for key in values["identity"]["issuer"][0]}
    more = {key for key in CONFIGURATION if key.startswith("identity.issuer.")}  # an example, not all that there is
    shown |= {f"ledger.witness.{key}" for key in values["ledger"]["witness"][0]}
    shown |= {f"vault.pkcs11.{key}" for key in values["vault"]["pkcs11"]}
    assert shown | more == set(CONFIGURATION)


def test_policies_are_enforced_unless_something_else_is_said() -> None:
    assert read("").policy.mode == "enforce"
    chosen = read("[policy]\nmode = 'shadow'\nhost = 'gpu-1.acme.example'").policy
    assert (chosen.mode, chosen.host) == ("shadow", "gpu-1.acme.example")
    for text in (
        "mode = 'on'",
        "mode = true",
        "host = ''",
        "host = 'a b'",
        "host = 'a@b'",
        "hosts = 'a'",
        "site = ''",
        "site = 1",
        "site = 'a b'",
    ):
        with pytest.raises(UsageError, match=r"policy\."):
            read(f"[policy]\n{text}")


def test_servers_that_share_state_name_the_database_and_the_site() -> None:
    assert (read("").state.url, read("").policy.site) == ("", "")
    text = "[state]\nurl = 'postgresql://me@db/state'\npassword_file = 'keys/p'\n[policy]\nsite = 'acme.example/site'"
    chosen = read(text)
    assert (chosen.state.url, chosen.state.password_file) == ("postgresql://me@db/state", "keys/p")
    assert chosen.policy.site == "acme.example/site"
    for text in ("state = 1", "[state]\nurl = 1", "[state]\nurls = ''", "[state]\npassword_file = 'p'"):
        with pytest.raises(UsageError, match=r"state"):
            read(text)
    with pytest.raises(UsageError, match="holds no password") as refused:
        read("[state]\nurl = 'postgresql://me:secret@db/state'")
    assert "secret" not in str(refused.value)
    assert refused.value.where == "/sites/mine/strongroom.toml, state.url"


def test_the_engine_is_duckdb_unless_another_is_named() -> None:
    assert read("").store.engine == read("[store]\nspark_master = 'local[2]'").store.engine == "duckdb"
    chosen = read("[store]\nengine = 'spark'\nspark_master = 'local-cluster[2,1,1024]'").store
    assert (chosen.engine, chosen.spark_master, chosen.spark_options) == ("spark", "local-cluster[2,1,1024]", {})
    assert read("[store]\nengine = 'spark'").store.spark_master == "local[*]"


def test_all_witnesses_are_wanted_unless_a_quorum_is_given() -> None:
    three = "".join(witness(key) for key in KEYS[:3])
    assert read(three).ledger.quorum == 3
    assert read(f"[ledger]\nquorum = 2\n{three}").ledger.quorum == 2
    assert read(f"[ledger]\nquorum = 0\n{three}").ledger.quorum == 0
    assert read("[ledger]\n").ledger == Settings()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("store = 1", "store must be a table"),
        ("[store]\nengines = 'spark'", "store.engines"),
        ("[store]\nengine = 'Spark'", "store.engine must be one of duckdb, spark"),
        ("[store]\nengine = ['spark']", "store.engine"),
        ("[store]\nspark_master = 'host:7077'", "store.spark_master"),
        ("[store]\nspark_master = 1", "store.spark_master"),
        ("[store]\nspark_options = ['a']", "store.spark_options must be a table"),
        ("[store]\nspark_options = { spark.executor.memory = '8g' }", "'spark' is not quoted"),
        ("[store]\nspark_options = { 'spark.cores.max' = 8 }", "'spark.cores.max' must"),
        ("[store]\nspark_options = { 'executor.memory' = '8g' }", "must begin with 'spark.'"),
        ("ledger = 1", "ledger must be a table"),
        ("[[ledger]]", "ledger must be a table"),
        ("[ledger]\nwitnes = 1", "ledger.witnes"),
        ("[ledger]\ncopy = 1", "ledger.copy"),
        ("[ledger]\ngit = ['a']", "ledger.git"),
        ('[ledger]\ngit = "a\\u0000b"', "ledger.git"),
        ('[ledger]\ncopy = "a\\nb"', "ledger.copy"),
        ("[ledger]\nstorage = true", "ledger.storage"),
        ("[ledger]\nquorum = 1", "quorum"),
        ("[ledger]\nquorum = -1", "quorum"),
        ("[ledger]\nquorum = true\n" + witness(KEYS[0]), "quorum"),
        ("[ledger]\nquorum = '1'\n" + witness(KEYS[0]), "quorum"),
        ("[ledger]\nquorum = 1.0\n" + witness(KEYS[0]), "quorum"),
        ("[ledger]\nwitness = 'a'", "list"),
        ("[ledger]\nwitness = ['a']", "table"),
        ("[ledger.witness]\nurl = 'a'", "list"),
        ("[[ledger.witness]]\nurl = 'http://a'", "url and key"),
        ("[[ledger.witness]]\nkey = 'a'", "url and key"),
        ("[[ledger.witness]]\nurl = 1\nkey = 'a'", "url and key"),
        ("[[ledger.witness]]\nurl = 'http://a'\nkey = 'a'", "verifier key"),
        ("[[ledger.witness]]\nurl = 'http://a'\nkey = 'a'\nname = 'b'", "ledger.witness.name"),
        (witness(LOG_KEY), "not the key of a witness"),
        (witness(str(KEYS[0])[:-4] + "AAA="), "verifier key"),
        (witness(KEYS[0]) * 2, "same key"),
        (witness(KEYS[0]) + witness(KEYS[0], "http://127.0.0.1:2"), "same key"),
        ("".join(witness(key) for key in KEYS[:17]), "at most 16"),
    ],
)
def test_a_mistake_is_named_with_the_file(text: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)
    assert named in str(caught.value)
    assert caught.value.where == "/sites/mine/strongroom.toml"


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b"version = 1\nversion = 1", b"version = 1\na = " + b"[" * 3000, b"version = 1979-05-27"]
)
def test_what_is_no_toml_is_wrong_use(data: bytes) -> None:
    with pytest.raises(UsageError):
        read_configuration(data, SITE)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[vault]\naws_kms = 'arn'", "vault.aws_kms"),
        ("[vault]\naws_kms = ['arn:aws:kms:eu-west-1:1:alias/x']", "vault.aws_kms"),
        ("[vault.pkcs11]\nmodule = 3", "vault.pkcs11.module"),
        ("[vault.pkcs11]\nmodule = 'x'\nkeys = ['pkcs11:token=a;object=b;pin-value=1234']", "vault.pkcs11.keys"),
        ("[vault.pkcs11]\nkeys = ['pkcs11:token=a;object=b']", "vault.pkcs11.module"),
        ("[vault]\nsoftware = 1", "vault.software"),
    ],
)
def test_what_the_vault_cannot_use_is_told(text: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)
    assert named in f"{caught.value}"
    assert "1234" not in f"{caught.value}"


def test_who_is_told_when_glass_is_broken_is_a_program_by_its_path() -> None:
    assert read("").announce == ()
    assert read("[breakglass]\nannounce = ['/usr/bin/notify', '--urgent', '']").announce == (
        "/usr/bin/notify",
        "--urgent",
        "",
    )
    for wrong in ("'/usr/bin/notify'", "['notify']", "['/x', 1]", "['/x\\u0000']", f"{['/x'] * 33}"):
        with pytest.raises(UsageError, match=r"breakglass\.announce"):
            read(f"[breakglass]\nannounce = {wrong}".replace("'/x\\u0000'", '"/x\\u0000"'))
    with pytest.raises(UsageError, match=r"unknown key 'breakglass\.notify'"):
        read("[breakglass]\nnotify = ['/x']")
