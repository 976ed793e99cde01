"""Fixtures of many tests."""

import pytest

from fastdl import _native


@pytest.fixture(params=[isa for isa in _native.runnable_isas() if isa != "avx512_bf16"])
def isa(request):
    """Forces each instruction set that has code of every family."""
    before = _native.isa()
    _native.set_isa(request.param)
    yield request.param
    _native.set_isa(before)
