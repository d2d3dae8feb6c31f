import hashlib

from shared import digests


def test_a_digest_is_the_sha256_of_the_text_in_utf_8():
    assert digests.of_text("cgk_é") == hashlib.sha256("cgk_é".encode()).hexdigest()


def test_a_text_that_is_no_unicode_has_a_digest_too():
    assert digests.of_text("\udcff") != digests.of_text("\ud800")


def test_only_equal_secrets_are_equal():
    assert digests.are_equal("\udcffx", "\udcffx")
    assert not digests.are_equal("x", "X")
    assert not digests.are_equal("x", "")
