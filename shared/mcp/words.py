"""Split text into the words that the router compares: without endings, and with names replaced by their kind."""

import re
import unicodedata

# A URL, a #channel, a name with an extension, or a word.
_TOKEN = re.compile(r"https?://\S+|www\.\S+|#[\w-]+|[\w-]{1,100}+\.[A-Za-z]{2,5}\b|[^\W_]+(?:'[a-z]+)?")
_FILE = re.compile(r"[\w-]+\.([A-Za-z]{2,5})")
_DOMAINS = frozenset({"com", "org", "net", "dev", "io", "eu", "de", "uk", "fr", "example"})
# Function words, which occur in every kind of question.
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a about all am an and any anyone are as at be been but by can could did do does for from had has have he her his
        how i if in into is it its just me more my no not of on or our please she should so than that the their them
        then there these they this those to too us was we were what when where which who whom whose why will with would
        you your
        """,
    )
)
# Endings to remove, and how many letters must remain.
_ENDINGS = (("'s", 1), ("ies", 3), ("ing", 4), ("ied", 3), ("ed", 4), ("es", 4), ("s", 3))


def without_accents(text: str) -> str:
    """Return a text in its plainest letters: one letter may become many."""
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def words(text: str) -> list[str]:
    """Return the words of a text in order."""
    return [word for token in _TOKEN.findall(text) for word in _kinds(token)]


def _kinds(token: str) -> tuple[str, ...]:
    if token.startswith(("http://", "https://", "www.")):
        return ("<url>",)
    if token.startswith("#"):
        return ("<#number>",) if token[1:].isdigit() else ("<#name>",)
    if named := _FILE.fullmatch(token):
        ending = named[1].lower()
        return ("<url>",) if ending in _DOMAINS else ("<name.>", f"<.{ending}>")
    if token.isdigit():
        return ("<number>",)
    word = token.lower()
    return () if word in _FUNCTION_WORDS else (_stem(word),)


def _stem(word: str) -> str:
    """Remove an English ending. A rough stem is enough, because both sides of a comparison use it."""
    for ending, least in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least and not word.endswith("ss"):
            word = word.removesuffix(ending) + ("y" if ending in {"ies", "ied"} else "")
            break
    return word.removesuffix("e") if len(word) > 4 else word
