"""What all kinds of credentials share: one error, whose words say nothing of the credential."""

from __future__ import annotations

from typing import get_args

import pytest

from strongroom.core.errors import RefusedError
from strongroom.identity import REASONS, Identified, NotIdentified, Reason
from strongroom.identity._identified import principal_name


def test_every_reason_has_its_words_and_is_a_slug() -> None:
    assert set(REASONS) == set(get_args(Reason))
    assert all(reason.replace("-", "").isalpha() and reason.islower() for reason in REASONS)


def test_it_is_refused_with_exit_4_and_says_the_slug_alone() -> None:
    error = NotIdentified("audience", method="jwt")
    assert isinstance(error, RefusedError)
    assert (error.exit_code, error.reason, error.method) == (4, "audience", "jwt")
    assert error.as_dict() == {
        "error": {
            "code": "not-identified",
            "message": "the credential is not accepted: audience",
            "where": "",
            "next": "",
        }
    }


@pytest.mark.parametrize("name", ["", "a b", "*", "!root", "a,b", "a?", "a//b", "a/../b", "é", "a" * 256, "a\n"])
def test_a_name_that_no_principal_can_have_is_refused_without_being_quoted(name: str) -> None:
    with pytest.raises(NotIdentified) as refused:
        principal_name(name, "jwt")
    assert str(refused.value) == "the credential is not accepted: principal"
    assert refused.value.__cause__ is None


def test_who_was_identified_cannot_be_changed_afterwards() -> None:
    who = Identified(principal="ada@acme.example", method="ssh", credential="SHA256:x")
    with pytest.raises(AttributeError):
        who.principal = "root"  # type: ignore[misc]
