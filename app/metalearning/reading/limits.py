"""What a file may hold, checked while decoding because headers, footers and extensions lie."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from app.errors import TooLargeDatasetError

_SMALLER = "Send a sample of the rows, or fewer columns."


@dataclass(frozen=True)
class ReadingLimits:
    """The most that is read of each kind; one more is refused."""

    decoded_bytes: int = 1 << 30
    # Compressed files may grow by this factor; small ones by more, as long as the result stays below the floor.
    ratio: int = 500
    ratio_floor_bytes: int = 16 << 20
    members: int = 20_000
    rows: int = 5_000_000
    columns: int = 10_000
    cell_bytes: int = 100_000
    first_line_bytes: int = 2 << 20

    def check_rows(self, rows: int) -> None:
        """Raises: TooLargeDatasetError."""
        if rows > self.rows:
            raise TooLargeDatasetError(f"The table has more than {self.rows:,} rows.", _SMALLER)

    def check_columns(self, columns: int) -> None:
        """Raises: TooLargeDatasetError."""
        if columns > self.columns:
            raise TooLargeDatasetError(f"The table has more than {self.columns:,} columns.", _SMALLER)

    def check_size(self, size: int) -> None:
        """Raises: TooLargeDatasetError."""
        if size > self.decoded_bytes:
            raise TooLargeDatasetError(
                f"The table takes more than {self.decoded_bytes:,} bytes when decoded.", _SMALLER
            )

    def check_first_line(self, size: int) -> None:
        """Raises: TooLargeDatasetError."""
        if size > self.first_line_bytes:
            raise TooLargeDatasetError(
                f"The first line is longer than {self.first_line_bytes:,} bytes.",
                "Send fewer columns, with shorter names; end lines by a newline.",
            )

    def check_growth(self, decoded: int, compressed: int) -> None:
        """Bytes out of bytes in. Raises: TooLargeDatasetError."""
        self.check_size(decoded)
        if decoded > max(self.ratio_floor_bytes, self.ratio * compressed):
            raise TooLargeDatasetError(
                f"The file decompresses to more than {self.ratio:,} times its size.",
                "Send the file without compression, or a sample of the rows.",
            )

    def check_cells(self, column: pa.Array | pa.ChunkedArray, name: str) -> None:
        """Whether every string is short enough. Raises: TooLargeDatasetError."""
        if not is_bytes(column.type):
            return
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > self.cell_bytes:
            raise TooLargeDatasetError(
                f"A cell of column {name[:100]!r} is longer than {self.cell_bytes:,} bytes.",
                "Leave out columns of long texts.",
            )


def is_bytes(kind: pa.DataType) -> bool:
    """Whether values are strings or bytes of varying length."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )
