"""The one list of hostile strings: text that tries to become markup, a command, a formula, a path, a terminal code."""

PAYLOADS: dict[str, str] = {
    "script": "<script>alert(1)</script>",
    "close-script": "</script></style></title></textarea><script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)" autofocus onfocus=\'alert(1)\' x="',
    "image": "<img src=x onerror=alert(1)>",
    "svg": "<svg onload=alert(1)><foreignObject><iframe src=javascript:alert(1)></iframe></svg>",
    "entity": "&lt;script&gt;alert(1)&#x3c;/script&#62;",
    "comment": "--><!-- ]]> <![CDATA[ <b>bold</b> ?> <?xml ?>",
    "template": "{{ 7 * 7 }} {% for x in () %} ${7*7} #{7*7} {# #}",
    "javascript-url": "javascript:alert(document.cookie)//https://example.org/?a=b&c=d",
    "markdown-link": "[click](https://example.org) ![x](https://example.org/x.png) <https://example.org> ![][1]",
    "markdown-bare-link": "see www.example.org or https://example.org or mail a.person@example.org, @somebody #12 GH-7",
    "markdown-block": "a | b\n\n# heading\n\n---\n- item\n> quote\n```\ncode `tick` *bold* __under__ ~~gone~~ \\",
    "formula": '=HYPERLINK("https://example.org","click")',
    "formula-command": "@SUM(1+1)*cmd|' /C calc'!A0",
    "formula-plus": "+1+1",
    "formula-minus": "-2+3",
    "formula-tab": "\t=1+1\r=1+1",
    "latex-command": "\\input{/etc/passwd} \\write18{id} \\immediate\\openout1=x $x_1^2$ 50% {a} & b # ~",
    "latex-carets": "^^5cinput{x} ^^M^^00 ^^^^005c",
    "latex-bracket": "[10cm] *[1] ?`!` --- ,, << >> \"quoted\" | 'x'",
    "ansi": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;https://example.org\x1b\\link \x9b31m \x08\x7f\0",
    "rich-markup": "[bold red]alarm[/] [link=https://example.org]x[/link] [/] [@click=app.bell]y[/] :bomb:",
    "bidi": "abc\u202egnp.exe\u202c \u2066x\u2069 \u200f\u061c \u200b\ufeff\u2028\u2029 \U000e0041",
    "wide": "猫が鳴く 👩‍👩‍👧 e\u0301\u0323 \u0bb9\u0bca ﷽ Ａ１",
    "not-a-character": "\ufffe\uffff\U0001ffff",
    "long": "x" * 5_000,
    "path": "../../etc/passwd",
    "sql": "'; DROP TABLE runs; --",
    "format": "%s%n%x {0.__class__} {system}",
}
"""Name and text, at least one for each way in which a format can be left."""

NAMES: tuple[str, ...] = (
    "", ".", "..", "../x", "../../etc/passwd", "a/b", "a\\b", "..\\x", "/etc/passwd", "C:\\x", "C:x", "\\\\host\\share",
    "~", "~root", "nul\0byte", "new\nline", "car\rriage", "tab\tstop", "bell\x07", "\x85", "CON", "con.mp4", "Aux",
    "COM1", "lpt9.txt", "x" * 300, "猫" * 70, "trailing.", "trailing ", " leading", "-rf", ".hidden", "a:stream", "a*b",
    "a?b", 'a"b', "a<b", "a>b", "a|b", "abc\u202egnp", "zero\u200bwidth", "\ud800", "\ufffe", "e\u0301",
)  # fmt: skip
"""Ids that must not become file names."""

TWINS: tuple[tuple[str, str], ...] = (
    ("Clip", "clip"),
    ("straße", "STRASSE"),
    ("\u00e9t\u00e9", "e\u0301te\u0301"),
    ("\ufb01le", "file"),
    ("Ａ", "a"),
    ("\u212b", "\u00e5"),
    ("\u03c3", "\u03c2"),
)
"""Pairs that one file system or another takes for the same name."""
