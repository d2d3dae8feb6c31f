"""The seccomp filter of the repository is the one that its script compiles."""

import ctypes.util

import pytest

from local.seccomp_filter import FILTER, compile_filter


@pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="needs libseccomp")
def test_the_filter_in_the_repository_is_the_compiled_one(tmp_path):
    compile_filter(tmp_path / "seccomp.bpf")
    assert (tmp_path / "seccomp.bpf").read_bytes() == FILTER.read_bytes()
