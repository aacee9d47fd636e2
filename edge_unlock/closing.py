"""What has to be closed, as a context manager."""

from types import TracebackType
from typing import Self


class Closing:
    """Makes a context manager of a class that has ``close()``."""

    def close(self) -> None:
        """Hold nothing, release nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
