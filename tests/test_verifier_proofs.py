"""The verifier's proofs against code that we did not write, and the numbers that others print."""

import contextlib
import doctest
import hashlib
from collections.abc import Callable
from random import Random
from types import ModuleType

import pytest
from pymerkle import InmemoryTree, verify_consistency

from tests.bundles import Signer, audit_path, consistency_path, leaf, root_of
from verifier import bundle, decimals, findings, periods, source
from verifier.findings import Malformed
from verifier.merkle import is_consistent, is_included, leaf_hash, roots
from verifier.notes import endorsed_key, parse_checkpoint, parse_key, parse_note, signer

CERTIFICATE_TRANSPARENCY_LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
CERTIFICATE_TRANSPARENCY_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The roots of the trees of the first 1 to 8 leaves, from the reference implementation of Certificate Transparency."""

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""The example of golang.org/x/mod/sumdb/note, where signed notes come from."""


@pytest.mark.parametrize("module", [decimals, findings, periods, bundle, source], ids=lambda module: module.__name__)
def test_the_examples_in_the_docstrings_run(module: ModuleType) -> None:
    """What an auditor reads there is what happens."""
    tried = doctest.testmod(module)
    assert (tried.failed, tried.attempted > 0) == (0, True)


def leaves_of(size: int) -> list[bytes]:
    """Give the hashes of so many leaves."""
    return [leaf_hash(f"event {number}".encode()) for number in range(size)]


def test_roots_are_those_of_certificate_transparency() -> None:
    """The eight leaves that every implementation of RFC 6962 is held against."""
    leaves = [leaf_hash(bytes.fromhex(each)) for each in CERTIFICATE_TRANSPARENCY_LEAVES]
    assert [root.hex() for _, root in roots(leaves, range(1, 9))] == CERTIFICATE_TRANSPARENCY_ROOTS
    assert dict(roots([], {0})) == {0: hashlib.sha256(b"").digest()}


def test_inclusion_paths_of_certificate_transparency() -> None:
    """Audit paths that the reference implementation prints: leaf 0 and 5 of 8, 2 of 3, 1 of 5."""
    leaves = [leaf_hash(bytes.fromhex(each)) for each in CERTIFICATE_TRANSPARENCY_LEAVES]
    known = {
        (0, 8): [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
        (5, 8): [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
        (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
        (1, 5): [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    }
    for (index, size), path in known.items():
        root = bytes.fromhex(CERTIFICATE_TRANSPARENCY_ROOTS[size - 1])
        hashes = [bytes.fromhex(each) for each in path]
        assert is_included(leaves[index], index, size, hashes, root)
        assert not is_included(leaves[index], index, size, hashes[::-1], root) or len(hashes) == 1


def test_consistency_proofs_of_certificate_transparency() -> None:
    """Proofs that the reference implementation prints: 1 to 8, 6 to 8, 2 to 5."""
    known = {
        (1, 8): [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
        (6, 8): [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
        (2, 5): [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    }
    for sizes, path in known.items():
        trees = [(size, bytes.fromhex(CERTIFICATE_TRANSPARENCY_ROOTS[size - 1])) for size in sizes]
        assert is_consistent(trees[0], trees[1], [bytes.fromhex(each) for each in path])


def test_proofs_of_all_sizes_verify_and_no_other_does() -> None:
    """For all sizes to 40, made by the RFC's recursive definition; with a hash too many, too few or changed: not."""
    leaves = leaves_of(40)
    known = dict(roots(leaves, range(41)))
    for size in range(1, 41):
        for index in range(size):
            path = audit_path(index, leaves[:size])
            assert is_included(leaves[index], index, size, path, known[size])
            for wrong in spoiled(path):
                assert not is_included(leaves[index], index, size, wrong, known[size])
            assert not is_included(leaves[index], index + 1, size, path, known[size])
        for old in range(1, size + 1):
            path = consistency_path(old, leaves[:size])
            assert is_consistent((old, known[old]), (size, known[size]), path)
            for wrong in spoiled(path):
                assert not is_consistent((old, known[old]), (size, known[size]), wrong)
            assert not is_consistent((old, leaves[0][::-1]), (size, known[size]), path)
            assert not is_consistent((old, known[old]), (size, leaves[0][::-1]), path)


def spoiled(path: list[bytes]) -> list[list[bytes]]:
    """Give proofs that are nearly this one."""
    wrong = [[*path, bytes(32)], [bytes(32), *path]]
    wrong += [path[:-1], path[1:]] if path else []
    return wrong + [[*path[:at], bytes(32), *path[at + 1 :]] for at in range(len(path))]


def test_proofs_agree_with_another_implementation() -> None:
    """Roots, audit paths and consistency with pymerkle's, for all sizes to 300 and random ones beyond.

    Its audit paths hold the leaf itself too. Its consistency proofs are of a form of their own: what is held against
    ours are the roots that both prove.
    """
    random = Random(6962)  # noqa: S311 - not for secrets
    tree = InmemoryTree(algorithm="sha256")
    leaves = list[bytes]()
    sizes = {*range(1, 301), *random.sample(range(301, 1_500), 20)}
    for number in range(1_500):
        data = f"event {number}".encode()
        tree.append_entry(data)
        leaves.append(leaf(data))
    known = dict(roots(leaves, sizes))
    for size in sizes:
        assert tree.get_root(size) == known[size]
        index = random.randrange(size)
        proof = tree.prove_inclusion(index + 1, size)
        assert is_included(leaves[index], index, size, path_of(proof.path, leaves[index]), known[size])
        assert path_of(proof.path, leaves[index]) == audit_path(index, leaves[:size])
        old = random.randint(1, size)
        path = consistency_path(old, leaves[:size])
        assert is_consistent((old, tree.get_root(old)), (size, known[size]), path)
        verify_consistency(tree.get_root(old), known[size], tree.prove_consistency(old, size), old, size)


def path_of(path: list[bytes], its_leaf: bytes) -> list[bytes]:
    """Give the siblings of a path that begins with the leaf itself, the nearest first."""
    assert its_leaf in path
    return [each for each in path if each != its_leaf]


# ---- signed notes


def test_the_example_of_signed_notes_verifies() -> None:
    """A note and a key that we did not make."""
    key = parse_key(GO_KEY)
    assert key.text() == GO_KEY
    note = parse_note(GO_NOTE.encode())
    assert signer(note, [key]) == key
    assert signer(note, [parse_key(Signer(1).vkey)]) is None
    with pytest.raises(Malformed, match="forged"):
        signer(parse_note(GO_NOTE.replace("problem,", "problem.").encode()), [key])


def test_the_key_of_the_go_checksum_database_is_read() -> None:
    """Another key that we did not make: its key id fits."""
    key = parse_key("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    assert (key.name, key.key_id.hex()) == ("sum.golang.org", "033de0ae")


def test_cosignatures_of_others_are_ignored() -> None:
    """Further lines, of keys that are not asked for, change nothing."""
    text = Signer(1).checkpoint(3, root_of(leaves_of(3)))
    cosigned = text + Signer(2, "witness.example/w").note(text).splitlines()[-1] + "\n"
    checkpoint = parse_checkpoint(cosigned.encode())
    assert (checkpoint.size, checkpoint.root) == (3, root_of(leaves_of(3)))
    key = parse_key(Signer(1).vkey)
    assert signer(checkpoint.note, [parse_key(Signer(5).vkey), key]) == key


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: note[:-1],
        lambda note: note + "\n",
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note.replace("— ", "- "),
        lambda note: note.replace("— ", "—  "),
        lambda note: note.replace("\n", "\r\n"),
        lambda note: note.replace("\n3\n", "\n03\n"),
        lambda note: note.replace("\n3\n", "\n-3\n"),
        lambda note: note.replace("\n3\n", "\n３\n"),
        lambda note: note.replace("\n3\n", "\n3 \n"),
        lambda note: note.replace("\n3\n", f"\n{'9' * 30}\n"),
        lambda note: note.replace("\n3\n", "\n3\nmore\n"),
        lambda note: note.replace("\n3\n", "\n"),
        lambda note: note.replace("=\n\n", "\n\n"),
        lambda note: note.replace("=\n\n", "==\n\n"),
        lambda note: note.replace("\n\n", "\n\n" + "— a AAAAAAAA\n" * 200),
        lambda note: note.replace("\n\n", "\n\n— a+b AAAAAAAA\n"),
        lambda note: note.replace("\n\n", "\n\n— a AAAA\n"),
        lambda _: "",
        lambda _: "\n\n",
        lambda note: note.partition("\n\n")[0],
    ],
)
def test_checkpoints_are_read_strictly(spoil: Callable[[str], str]) -> None:
    """One way of writing each; anything else is not read."""
    note = Signer(1).checkpoint(3, root_of(leaves_of(3)))
    assert parse_checkpoint(note.encode()).size == 3
    with pytest.raises(Malformed):
        parse_checkpoint(spoil(note).encode())


@pytest.mark.parametrize("spoil", range(1, 100))
def test_a_changed_note_is_not_signed(spoil: int) -> None:
    """Any bit of a checkpoint changed: it is not read, or no key signed it."""
    note = Signer(1).checkpoint(1_234_567, root_of(leaves_of(3))).encode()
    random = Random(spoil)  # noqa: S311 - not for secrets
    changed = bytearray(note)
    changed[random.randrange(len(note))] ^= 1 << random.randrange(8)
    with contextlib.suppress(Malformed):
        assert signer(parse_checkpoint(bytes(changed)).note, [parse_key(Signer(1).vkey)]) is None


def test_an_endorsement_names_the_next_key() -> None:
    """It is of this ledger, and signed by a key that is known."""
    first, second = Signer(1), Signer(2)
    text = f"{first.name}\nnext key\n{second.vkey}\n"
    key = parse_key(first.vkey)
    assert endorsed_key(first.note(text).encode(), first.name, [key]) == (second.vkey, key)
    assert endorsed_key(second.note(text).encode(), first.name, [key]) is None
    for other in (text.replace("next key", "last key"), text.replace(first.name, "x", 1), text + "more\n"):
        with pytest.raises(Malformed):
            endorsed_key(first.note(other).encode(), first.name, [key])
