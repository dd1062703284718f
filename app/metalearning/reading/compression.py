"""Undo gzip or zstd, counting what comes out: a small file cannot fill the memory, a broken one is not shortened."""

import io
import zlib
from collections.abc import Iterator

import pyarrow as pa

from app.errors import UnreadableFileError
from app.metalearning.reading.limits import ReadingLimits
from app.metalearning.reading.rawtable import first_line

_CHUNK = 1 << 16
_MARKS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_AGAIN = "Compress and send the file again."


def decompress(content: bytes, limits: ReadingLimits) -> tuple[bytes, str | None]:
    """The content without compression, and which one it had.

    Raises: UnreadableFileError, TooLargeDatasetError.
    """
    compression = _compression(content)
    if compression is None:
        limits.check_size(len(content))
        return content, None
    decoded = io.BytesIO()
    try:
        for chunk in _gunzip(content, limits) if compression == "gzip" else _unzstd(content):
            decoded.write(chunk)
            limits.check_growth(decoded.tell(), len(content))
    except (zlib.error, OSError) as error:
        if "runcated" in str(error):
            raise UnreadableFileError(f"The {compression} file ends too early.", _AGAIN) from error
        raise UnreadableFileError(
            f"The {compression} file is damaged: {first_line(error)}.", _AGAIN
        ) from error
    result = decoded.getvalue()
    if _compression(result) is not None:
        raise UnreadableFileError("The file was compressed twice.", "Compress it once.")
    return result, compression


def _compression(content: bytes) -> str | None:
    return next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)


def _gunzip(content: bytes, limits: ReadingLimits) -> Iterator[bytes]:
    """Chunks of all members, which may follow one another, with zeros in between."""
    position, members = 0, 0
    while position < len(content):
        members += 1
        if members > limits.members:
            raise UnreadableFileError(
                f"The gzip file has more than {limits.members:,} members.", "Compress it as one."
            )
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if position >= len(content):
                raise zlib.error("truncated")
            fed = content[position : position + _CHUNK]
            position += len(fed)
            while fed and not member.eof:
                yield member.decompress(fed, 16 * _CHUNK)
                fed = member.unconsumed_tail
        position -= len(member.unused_data)
        while content[position : position + 1] == b"\x00":
            position += 1


def _unzstd(content: bytes) -> Iterator[bytes]:
    """Chunks of all frames; pyarrow refuses a frame that is cut short and bytes that are no frame."""
    with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
        while chunk := stream.read(16 * _CHUNK):
            yield chunk
