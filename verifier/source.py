"""Where a bundle's files are: a folder, or a zip archive; read with care, as both come from somebody else.

Nothing is unpacked or written. Symbolic links, pipes and devices are not opened, names that leave the folder are
refused, and so is what would be absurdly large.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from verifier.findings import Malformed, shown

FILES_MAX = 10_000
FILE_BYTES_MAX = 16 * 2**30
SMALL_BYTES_MAX = 64 * 2**20
"""Of a file that is read whole, and of a line."""
CHUNK_BYTES = 2**20
EXPANSION_MAX = 200
"""A compressed file that grows more than so many times, and beyond SMALL_BYTES_MAX, is a bomb."""

UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What reading a damaged file or archive raises."""


class Source(Protocol):
    """The files of a bundle. Shape: `sizes` by name; `problems` are what is there and can't be a file of a bundle."""

    sizes: dict[str, int]
    problems: list[Malformed]

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading."""
        ...


class FolderSource:
    """A bundle in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sizes = dict[str, int]()
        self.problems = list[Malformed]()
        for parent, folders, files in os.walk(folder):
            for name in sorted([*folders, *files]):
                self._add(Path(parent, name), is_folder=name in folders)
            if len(self.sizes) > FILES_MAX:
                raise Malformed(f"it has more than {FILES_MAX} files")

    def _add(self, path: Path, *, is_folder: bool) -> None:
        name = path.relative_to(self._folder).as_posix()
        found = path.lstat()
        if stat.S_ISREG(found.st_mode):
            self.sizes[name] = found.st_size
        elif not is_folder or stat.S_ISLNK(found.st_mode):
            self.problems.append(Malformed("it is a symbolic link, or no file: put the file itself there", shown(name)))

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading, as long as it is one."""
        descriptor = os.open(self._folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        return os.fdopen(descriptor, "rb")


class ZipSource:
    """A bundle in a zip archive."""

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except UNREADABLE as error:
            raise Malformed(f"it is neither a folder nor a readable zip archive: {shown(str(error))}") from error
        self.sizes = dict[str, int]()
        self.problems = list[Malformed]()
        members = self._archive.infolist()
        if len(members) > FILES_MAX:
            raise Malformed(f"it has more than {FILES_MAX} files")
        for member in members:
            self._add(member)

    def _add(self, member: zipfile.ZipInfo) -> None:
        name, problem = member.filename, None
        if member.is_dir():
            return
        if not is_inside(name):
            problem = "its name leaves the folder"
        elif name in self.sizes:
            problem = "it is in the archive twice"
        elif stat.S_ISLNK(member.external_attr >> 16):
            problem = "it is a symbolic link"
        elif member.flag_bits & 1:
            problem = "it is encrypted"
        elif member.file_size > max(SMALL_BYTES_MAX, EXPANSION_MAX * member.compress_size):
            problem = f"it would grow from {member.compress_size} to {member.file_size} bytes: that is a zip bomb"
        if problem:
            self.problems.append(Malformed(problem, shown(name)))
        else:
            self.sizes[name] = member.file_size

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading."""
        return self._archive.open(name)


def open_source(path: Path) -> Source:
    """Open a bundle. Errors: Malformed."""
    try:
        if not path.is_dir() and not path.is_file():
            raise Malformed("it is neither a folder nor a file")
        return FolderSource(path) if path.is_dir() else ZipSource(path)
    except OSError as error:
        raise Malformed(f"it can't be read: {error.strerror or error}") from error


def is_inside(name: str) -> bool:
    """Say whether a name is of a file in the folder, in its one plain writing.

    >>> is_inside("views/now/view.json"), is_inside("../key"), is_inside("/etc/passwd"), is_inside("a//b")
    (True, False, False, False)
    """
    path = PurePosixPath(name)
    plain = path.as_posix() == name and not path.is_absolute() and name.isprintable()
    return plain and bool(path.name) and ".." not in path.parts and "\\" not in name and ":" not in name


def chunks(source: Source, name: str) -> Iterator[bytes]:
    """Read a file piece by piece. Errors: Malformed."""
    if source.sizes.get(name, 0) > FILE_BYTES_MAX:
        raise Malformed(f"it is larger than {FILE_BYTES_MAX} bytes, which no bundle needs", name)
    try:
        with source.open(name) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except KeyError:
        raise Malformed("it is missing", name) from None
    except UNREADABLE as error:
        raise Malformed(f"it can't be read: {shown(str(error))}", name) from error


def read_small(source: Source, name: str) -> bytes:
    """Read a file whole. Errors: Malformed."""
    if name not in source.sizes:
        raise Malformed("it is missing", name)
    if source.sizes[name] > SMALL_BYTES_MAX:
        raise Malformed(f"it is larger than {SMALL_BYTES_MAX} bytes, which no bundle needs", name)
    return b"".join(chunks(source, name))


def lines(source: Source, name: str) -> Iterator[tuple[int, bytes]]:
    """Read a file line by line, numbered from 1, without the line ends. Errors: Malformed."""
    if name not in source.sizes:
        raise Malformed("it is missing", name)
    number, rest = 0, b""
    for chunk in chunks(source, name):
        *ended, rest = (rest + chunk).split(b"\n")
        for line in ended:
            number += 1
            yield number, line
        if len(rest) > SMALL_BYTES_MAX:
            raise Malformed(f"the line is longer than {SMALL_BYTES_MAX} bytes", f"{name}:{number + 1}")
    if rest:
        raise Malformed("the last line does not end: the file was cut short", f"{name}:{number + 1}")
