"""The seccomp filter of the repository is the one that its script compiles."""

import ctypes.util
import json

import pytest

from local.seccomp_filter import FILTER, FOR_BUBBLEWRAP, PROFILE, compile_filter

pytestmark = pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="needs libseccomp")


def test_the_filter_in_the_repository_is_the_compiled_one(tmp_path):
    compile_filter(tmp_path / "seccomp.bpf")
    assert (tmp_path / "seccomp.bpf").read_bytes() == FILTER.read_bytes()


def test_the_profile_of_the_container_allows_what_bubblewrap_needs():
    # The list of known calls differs between versions of libseccomp, so the two are not compared whole.
    allowed, refused = json.loads(PROFILE.read_text())["syscalls"]
    assert set(allowed["names"]) >= FOR_BUBBLEWRAP
    assert {"read", "execve", "clone", "clone3", "seccomp"} <= set(allowed["names"])
    assert {"bpf", "keyctl", "init_module", "kexec_load", "userfaultfd"} <= set(refused["names"])
    assert not set(allowed["names"]) & set(refused["names"])
