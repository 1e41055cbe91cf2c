"""Signed notes and keys: the forms of C2SP and golang.org/x/mod/sumdb/note, read strictly."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.notes import (
    NoteError,
    SigningKey,
    VerifierKey,
    checkpoint_text,
    read_checkpoint,
    read_note,
    read_signing_key,
    read_verifier_key,
)

GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""The example of that package's documentation."""
KEY = SigningKey("ledger.example/sales", bytes(range(32)))
NOTE = KEY.sign(checkpoint_text(KEY.name, 42, bytes(32)))


def test_the_note_of_the_reference_implementation_is_read_and_written() -> None:
    """Its key gives its verifier key, and signing its text gives its note, byte by byte."""
    key = read_signing_key(GO_PRIVATE)
    assert str(key.verifier) == GO_VERIFIER
    assert str(key) == GO_PRIVATE
    note = read_note(GO_NOTE)
    assert note.is_signed_by(read_verifier_key(GO_VERIFIER))
    assert key.sign(note.text) == GO_NOTE


def test_a_checkpoint_is_three_lines() -> None:
    note = read_note(NOTE)
    assert note.text == f"ledger.example/sales\n42\n{base64.b64encode(bytes(32)).decode()}\n"
    assert read_checkpoint(note.text) == ("ledger.example/sales", 42, bytes(32))
    assert note.is_signed_by(KEY.verifier)


def test_a_signature_of_another_text_does_not_hold() -> None:
    with pytest.raises(NoteError, match="not of this text"):
        read_note(NOTE.replace("\n42\n", "\n43\n")).is_signed_by(KEY.verifier)


def test_another_key_of_the_same_name_has_not_signed() -> None:
    assert not read_note(NOTE).is_signed_by(SigningKey(KEY.name, bytes(32)).verifier)


def test_a_witness_signs_its_time_and_the_text() -> None:
    """C2SP tlog-cosignature, version 1."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    witness = VerifierKey("witness.example", private.public_key().public_bytes_raw(), is_witness=True)
    text = read_note(NOTE).text
    signature = private.sign(f"cosignature/v1\ntime 1700000000\n{text}".encode())
    line = base64.b64encode(witness.id + (1700000000).to_bytes(8, "big") + signature).decode()
    cosigned = read_note(f"{NOTE}— witness.example {line}\n")
    assert cosigned.is_signed_by(witness)
    assert cosigned.is_signed_by(KEY.verifier)
    assert read_verifier_key(str(witness)) == witness
    later = base64.b64encode(witness.id + (1700000001).to_bytes(8, "big") + signature).decode()
    with pytest.raises(NoteError, match="not of this text"):
        read_note(f"{NOTE}— witness.example {later}\n").is_signed_by(witness)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        "text\n",
        "text\n\nno signature\n",
        NOTE.rstrip("\n"),
        NOTE + "\n",
        NOTE.replace("— ", "- "),
        NOTE.replace(" ", "  "),
        NOTE[:-4] + "\n",
        f"text\n\n— {KEY.name} AAAA\n",
        f"text\n\n— {KEY.name} ****\n",
        "text\n\n— a+b AAAAAAAA\n",
    ],
)
def test_what_is_not_a_note_is_refused(note: str) -> None:
    try:
        signed = read_note(note).is_signed_by(KEY.verifier)
    except NoteError:
        signed = False
    assert not signed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n",
        "a\n1\n",
        "a\n01\nAAAA\n",
        "a\n-1\nAAAA\n",
        "a\n1\nAAAA\n",
        "a\n1\nnot base64\n",
        f"a\n{'9' * 99}\nAAAA\n",
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        read_checkpoint(text)


@given(
    st.text(max_size=60)
    | st.sampled_from([GO_VERIFIER, GO_PRIVATE, str(KEY)]).flatmap(
        lambda key: st.integers(0, len(key) - 1).map(lambda at: key[:at] + "x" + key[at + 1 :])
    )
)
def test_a_key_is_read_as_it_is_written_or_refused(text: str) -> None:
    for read in (read_verifier_key, read_signing_key):
        try:
            key = read(text)
        except NoteError:
            continue
        assert str(key) == text.strip()


def test_a_signing_key_does_not_show_itself() -> None:
    assert repr(KEY) == "SigningKey('ledger.example/sales')"


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\nbreak", "nul\x00"])
def test_a_key_has_a_name_that_a_note_can_hold(name: str) -> None:
    with pytest.raises(NoteError):
        SigningKey.generate(name)
