"""Text that is not blank, as JavaScript sees it."""

from typing import Annotated

from pydantic import AfterValidator, StrictStr

# The characters that JavaScript's trim() removes: WhiteSpace and LineTerminator of ECMA-262.
_JS_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


def _not_blank(text: str) -> str:
    if not text.strip(_JS_SPACE):
        raise ValueError("should not be blank")
    return text


NotBlank = Annotated[StrictStr, AfterValidator(_not_blank)]
