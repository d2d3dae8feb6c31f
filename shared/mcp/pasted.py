"""What a query wants done with a text that is pasted into it: "Shorten this to two sentences: …"."""

import re

# A beginning that wants a text worked on, up to the colon or the end of its line, and then the text.
_WORK = re.compile(
    r"""\W*(?:(?:please|pls|can\ you|could\ you|bitte|kannst\ du|svp|por\ favor|per\ favore)\W+)*(?:
    shorten|summari[sz]e|translate|correct|rewrite|rephrase|paraphrase|proofread|polish|simplify|improve|edit|reword
    |(?:fix|check)\ (?:the|my)\ (?:grammar|spelling|punctuation|typos)
    |(?:put|say|turn|make|write)\ (?:this|it|that|the\ following)\b
    |(?:what(?:'s|\ is)|how\ is)\ the\ (?:tone|mood|gist|main\ point)
    |k.rze|.bersetz|korrigier|fasse?\b|formulier|verbesser|traduis|traduire|traduisez|corrige|r.sume|raccourcis
    |reformule|traduce|traduc[ií]|acorta|resum[ea]|reescrib|riassumi|correggi|accorcia|riscrivi|traduz|encurt|corrij
    |reescrev|vertaal|vat\b|verbeter|herschrijf
    )[^:\n]{0,90}(?::\s|\n)(?=\s*\S.{20})""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def wish(query: str) -> str:
    """Return a query without the pasted text that it wants worked on, whose words say nothing about the wish."""
    found = _WORK.match(query)
    return found[0] if found else query
