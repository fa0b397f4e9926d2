"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def says(kind: type[Exception], text: str, call: Callable[[], object]) -> Exception:
    """`call` raises exactly this kind with a text that starts like this."""
    with pytest.raises(kind) as error:
        call()
    assert type(error.value) is kind
    assert str(error.value).startswith(text), str(error.value)
    return error.value
