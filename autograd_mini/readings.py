"""Numbers read from an array of Values: an array that can be computed with, and not written into.

What is written into a copy is lost without a word; hence what ``.data`` and ``.grad`` give is read-only and
says what to write instead, while ``W.data -= step``, which assigns the result, works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Numbers(np.ndarray[Any, Any]):
    """The numbers of an array of Values, as they were when read: writing into them would change nothing.

    Arithmetic gives ordinary arrays, in place too, and so does ``copy()``.
    """

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.flags.writeable:
            raise TypeError(
                "the array that .data and .grad give is a copy, and what is written into it would be lost: "
                "assign to .data itself (d = W.data.copy(); d[0] = 5; W.data = d), or replace an element: "
                "W[0] = 5"
            )
        super().__setitem__(key, value)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any
    ) -> Any:
        if out and not any(isinstance(x, Numbers) and not x.flags.writeable for x in out):
            options["out"] = tuple(map(_plain, out))  # else ``W.data -= step``, whose result is assigned
        return getattr(ufunc, method)(*map(_plain, inputs), **options)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(kind, Numbers) or kind is np.ndarray for kind in types):
            return NotImplemented  # a matter of Values
        return super().__array_function__(func, types, args, kwargs)

    def __repr__(self) -> str:
        return repr(_plain(self))

    def copy(self, order: Any = "C") -> NDArray[np.float64]:  # type: ignore[override]  # a class above
        """The numbers as an ordinary array, which may be written into."""
        return np.array(self, order=order)

    def __reduce__(self) -> Any:
        return _plain(self).__reduce__()


def handed_out(numbers: NDArray[np.float64]) -> Numbers:
    """The same memory, read-only."""
    read = numbers.view(Numbers)
    read.flags.writeable = False
    return read


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Numbers) else x
