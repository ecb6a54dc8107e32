"""The one sanitiser: text from prompts, ids, model names, errors and metadata becomes inert in every output format.

All forms first make invisible characters visible (`visible`): control characters, characters that turn the reading
direction, line separators and what is no character at all become escapes such as `\\x1b`. Joiners that scripts and
emoji need are kept.
"""

import html
import json
import re
import unicodedata
from typing import Any

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
_NO_BREAK = "\u2060"
_MARKDOWN_SPECIAL = re.compile(r"[\\`*_\[\]<>#!|~$&]|^[+\-=](?!\d)|^\d+(?=[.)](?:\s|$))")
_MARKDOWN_LINK = re.compile(r"(?<=www)(?=\.)|(?<=:)(?=//)|(?<=@)|(?=@)|(?<=#)(?=\w)|(?<=gh-)(?=\d)", re.IGNORECASE)
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "%": r"\%",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"{\char96}",
    "'": r"{\char39}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "-": "{-}",
    ",": "{,}",
}


def visible(text: str, *, newline: str = "\n") -> str:
    """Replace characters without a shape of their own by escapes; a line end becomes `newline`, a tab a blank."""
    text = re.sub(r"\r\n?|\n", newline, text.replace("\t", " "))
    return "".join(letter if _is_visible(letter) else _escape(letter) for letter in text)


def _is_visible(letter: str) -> bool:
    if " " <= letter <= "~" or letter in _JOINERS or letter == "\n":
        return True
    code = ord(letter)
    no_character = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return not no_character and unicodedata.category(letter) not in _INVISIBLE


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def for_html(text: str) -> str:
    """Text for element content and for quoted attributes of an HTML page."""
    return html.escape(visible(text), quote=True)


def for_svg(text: str) -> str:
    """Text for element content and for quoted attributes of an SVG or any XML file, on one line."""
    return html.escape(visible(text, newline=" "), quote=True)


def for_markdown(text: str) -> str:
    """Text for a paragraph or a table cell in GitHub-flavoured Markdown, on one line.

    Punctuation is escaped; where a bare address, mention or issue number would become a link, an invisible word joiner
    breaks it, since no escape can.
    """
    line = _MARKDOWN_LINK.sub(_NO_BREAK, visible(text, newline=" ").strip())
    return _MARKDOWN_SPECIAL.sub(_markdown_escape, line)


def _markdown_escape(found: re.Match[str]) -> str:
    return found.group() + _NO_BREAK if found.group().isdigit() else "\\" + found.group()


def for_markdown_code(text: str) -> str:
    """Text as a code span in a table cell: identities and signatures that should stay as they are."""
    line = visible(text, newline=" ").replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def for_csv(value: str | float | int | None) -> str | float | int | None:
    """A cell for a CSV writer that quotes: numbers stay numbers, text that a spreadsheet would compute gets a `'`."""
    if not isinstance(value, str):
        return value
    line = visible(value, newline=" ")
    return "'" + line if value.startswith(_FORMULA) or line.lstrip().startswith(_FORMULA) else line


def for_latex(text: str) -> str:
    """Text for a paragraph or a table cell of a LaTeX file read as UTF-8, on one line; ligatures are broken too."""
    return "".join(_LATEX.get(letter, letter) for letter in visible(text, newline=" "))


def for_terminal(text: str) -> str:
    """Text for a terminal. Print it as it is, or wrapped in `rich.text.Text`: it is no rich markup and not for it."""
    return visible(text)


def terminal_line(text: str) -> str:
    """`for_terminal` on one line: whatever space it has becomes single blanks."""
    return for_terminal(" ".join(text.split()))


def for_json(value: Any) -> str:
    """JSON in ASCII that is also inert inside an HTML element and on a terminal.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=True)
    return re.sub("[<>&\x7f]", lambda found: f"\\u{ord(found.group()):04x}", text)
