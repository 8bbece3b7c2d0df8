r"""A hook of the documentation site: formulas become MathML when it is built.

A page then needs neither script nor network for them. `pymdownx.arithmatex` finds $...$ and $$...$$ outside code, and
leaves them as \(...\) and \[...\].
"""

from __future__ import annotations

import html
import re
from typing import Any
from xml.etree import ElementTree

from latex2mathml.converter import convert_to_element

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>'
    r"(?P<mark>[.,;:?!)，。；：、？！）]*)",
    re.DOTALL,
)
_WITH_LIMITS = {"&#x02211;", "&#x0220F;"}
"""The signs of sums and products."""
_LINE_ABOVE = "&#x02015;"
_BRACKET = "&#x00028;"


def on_page_content(content: str, **_: Any) -> str:
    """The page with each formula as MathML, and in one piece with the mark behind it: no line begins with a comma.

    Raises:
        ValueError: A formula has a command that the converter does not know.
    """
    return _FORMULA.sub(_mathml, content)


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match["tag"] == "div" else "inline"
    latex = html.unescape(match["latex"]).strip().replace("{aligned}", "{align*}")  # GitHub knows both, it knows one
    formula = convert_to_element(latex, display=display)
    for element in list(formula.iter()):
        if (element.text or "").startswith("\\") or element.text == "&":
            raise ValueError(f"{element.text} in the formula {latex} is unknown to latex2mathml")
        _mend(element, display)
    written = ElementTree.tostring(formula, encoding="unicode").replace("&amp;", "&")  # its text is entities
    return f'<{match["tag"]} class="formula">{written}{match["mark"]}</{match["tag"]}>'


def _mend(element: ElementTree.Element, display: str) -> None:
    """Mends what the converter does not do as TeX does."""
    if element.tag == "mo" and (element.text or "").isalpha():
        element.tag = "mi"  # a function by \operatorname
    children = list(element)
    if display == "block" and element.tag in ("msub", "msubsup") and children[0].text in _WITH_LIMITS:
        element.tag = {"msub": "munder", "msubsup": "munderover"}[element.tag]  # within \left( and \right), too
    if element.tag == "mover" and children[1].text == _LINE_ABOVE:  # which no font stretches over a formula
        element.tag = "mrow"
        element.set("style", "border-top: 0.06em solid; padding-top: 0.12em")
        element.remove(children[1])
    if element.tag == "mrow":
        for index in range(len(children) - 1, 0, -1):
            before, after = children[index - 1 : index + 1]
            if (_is_word(before) and after.text != _BRACKET) or (_is_word(after) and before.tag != "mo"):
                element.insert(index, ElementTree.Element("mspace", width="0.167em"))


def _is_word(element: ElementTree.Element) -> bool:
    """Whether it is log, exp, min: names of functions stand apart from what is beside them."""
    return element.tag == "mi" and element.text is not None and element.text.isalpha() and len(element.text) > 1
