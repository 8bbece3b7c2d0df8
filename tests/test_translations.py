"""Chinese pages say what the English ones say: the same sections, code, links, pictures and numbers, in Chinese."""

import io
import re
import shlex
import tokenize
from collections import Counter

import pytest
from pages import (
    CHINESE,
    ROOT,
    SAME_TO_RUN,
    Block,
    blocks,
    codes,
    levels,
    links,
    paragraphs,
    pictures,
    runs_like,
    source,
    tables,
)

IN_CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"\b(?:the|is|are|and|of|on|to|with|that|for)\b", re.IGNORECASE)
"""Words without which there is hardly a sentence."""
QUOTED = re.compile(r"`[^`]*`|\]\([^)]*\)|“[^”]*”|\*[^*]*\*")
"""What is said as the program says it: code, links, and its messages, in quotation marks or italics."""
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
COMMENT = {"c": r"/\*.*?\*/|//[^\n]*", "toml": r"#[^\n]*"}
COMMAND = re.compile(r"(?:a2c|make|pip|python -m) |--\w")
TO_10 = {str(number) for number in range(11)}
"""What English says in words ("five seeds", "both"), and Chinese often in digits."""

every_translation = pytest.mark.parametrize(
    ("english", "chinese"), CHINESE.items(), ids=lambda page: str(page.relative_to(ROOT))
)


def words(block):
    """The code of a block without its comments; of Python, tokens."""
    if block.language == "python":
        left_out = (tokenize.COMMENT, tokenize.NL)
        tokens = tokenize.generate_tokens(io.StringIO(block.text).readline)
        return [(tokenize.tok_name[one.type], one.string) for one in tokens if one.type not in left_out]
    if block.language == "sh":
        return [shlex.split(line, comments=True) for line in block.text.replace("\\\n", " ").splitlines()]
    if block.language == "text" and block.check != "output":  # such as a drawing with words in it
        return NUMBER.findall(block.text)
    return re.sub(COMMENT.get(block.language, r"(?!)"), "", block.text, flags=re.DOTALL).split()


def is_same_code(english, chinese):
    """Whether two blocks differ in nothing but comments, and strings that are Chinese in one of them."""
    one, other = words(english), words(chinese)
    return (
        english[1:2] + english[3:] == chinese[1:2] + chinese[3:]
        and len(one) == len(other)
        and all(
            a == b or ("STRING" in a[0] and a[0] == b[0] and IN_CHINESE.search(b[1]))
            for a, b in zip(one, other, strict=True)
        )
    )


def target(link):
    """Where a link or a picture is, whatever the language: pages without the anchors that their headings have."""
    path, _, anchor = re.sub(r"\.zh(-CN)?(?=\.)", "", link).partition("#")
    return path if path.endswith(".md") or not path else f"{path}#{anchor}"


def numbers(texts):
    return Counter(number for text in texts for number in NUMBER.findall(re.sub(r"\]\([^)]*\)", "]", text)))


@every_translation
def test_it_has_the_same_sections(english, chinese):
    assert levels(chinese) == levels(english)


@every_translation
def test_it_has_the_same_code_but_for_comments(english, chinese):
    ours, theirs = blocks(english), blocks(chinese)
    assert len(theirs) == len(ours)
    for one, other in zip(ours, theirs, strict=True):
        assert is_same_code(one, other), f"{chinese.name}:{other.line}, of {english.name}:{one.line}\n{other.text}"


@every_translation
def test_it_names_the_same_commands_and_flags_within_lines(english, chinese):
    ours, theirs = ({code.text for code in codes(page) if COMMAND.match(code.text)} for page in (english, chinese))
    assert theirs == ours


@every_translation
def test_it_has_the_same_pictures_and_links(english, chinese):
    assert [target(one) for one in pictures(chinese)] == [target(one) for one in pictures(english)]
    here = {english.name, chinese.name}  # Each README links to the other.
    ours, theirs = ([target(link.text) for link in links(page) if link.text not in here] for page in (english, chinese))
    assert Counter(theirs) == Counter(ours)


@every_translation
def test_its_links_lead_to_chinese_pages_where_there_are_any(english, chinese):
    for line, link in links(chinese):
        path = (chinese.parent / link.partition("#")[0]).resolve()
        assert path not in CHINESE or path == english, f"{chinese.name}:{line}: {link}"


@every_translation
def test_its_tables_have_the_same_shape_and_the_same_numbers_in_every_row(english, chinese):
    ours, theirs = tables(english), tables(chinese)
    assert [[len(row) for row in table] for table in theirs] == [[len(row) for row in table] for table in ours]
    for table, other in zip(ours, theirs, strict=True):
        for row, translated in zip(table, other, strict=True):
            different = (numbers(row) - numbers(translated)) + (numbers(translated) - numbers(row))
            assert set(different) <= TO_10, f"{row}\n{translated}"


@every_translation
def test_its_numbers_are_those_of_the_english_page(english, chinese):
    ours, theirs = (set(numbers(text.text for text in paragraphs(page))) for page in (english, chinese))
    assert theirs - ours <= TO_10
    assert ours - theirs <= TO_10


@every_translation
def test_no_line_breaks_within_a_paragraph_as_a_reader_would_see_a_space_there(english, chinese):
    for line, text in paragraphs(chinese):
        assert "\n" not in text, f"{chinese.name}:{line}: {text[:40]}"


@every_translation
def test_nothing_is_left_in_english(english, chinese):
    for line, text in paragraphs(chinese):
        assert not ENGLISH.search(QUOTED.sub("", text)), f"{chinese.name}:{line}: {text}"


def test_the_readmes_link_to_each_other_in_their_first_lines():
    assert source(ROOT / "README.md").splitlines()[0] == "English | [中文](README.zh-CN.md)"
    assert source(ROOT / "README.zh-CN.md").splitlines()[0] == "[English](README.md) | 中文"


@pytest.mark.parametrize(
    ("language", "english", "chinese"),
    [
        ("sh", "a2c train CartPole-v1 --seeds 5", "a2c train CartPole-v1 --seeds 6  # 五个种子"),
        ("python", "act(1)  # one", "act(2)  # 一"),
        ("python", "print('a')", "print('b')"),
        ("toml", "gamma = 0.9  # a tenth", "gamma = 0.8  # 十分之一"),
        ("c", "return 1; /* one */", "return 2; /* 一 */"),
    ],
)
def test_code_that_differs_is_seen(language, english, chinese):
    assert not is_same_code(Block(1, language, english, ""), Block(1, language, chinese, ""))


def test_comments_and_strings_may_be_translated():
    english = Block(1, "python", 'def f():\n    """One."""\n    return "all"  # why\n', "")
    chinese = Block(9, "python", 'def f():\n    """一。"""\n    # 为什么\n    return "全部"\n', "")
    assert is_same_code(english, chinese)


def test_what_is_not_run_would_do_the_same_as_what_is():
    walk, tutorial = ROOT / "docs" / "walk.md", ROOT / "docs" / "tutorial.md"
    assert CHINESE[walk] in SAME_TO_RUN
    assert CHINESE[tutorial] not in SAME_TO_RUN  # It prints Chinese.


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ("# in a checkout", "# 在源码目录里", True),
        ('"""Keep the water', '"""让水箱', True),
        ("# the pump: off", "# 水泵：关", True),
        ("self.minute == 100", "self.minute == 101", False),
        ("check: file tank.py", "check: file tanks.py", False),
        ("--gamma 0.5", "--gamma 0.6", False),
        ("from tank_policy import act", "from tank import act", False),
        ("'0.2 0.05\\n1.8 0.05\\n'", '"0.2 0.05\\n1.8 0.05\\n"', False),
        ("tank_policy -lm", "tank_policy", False),
    ],
)
def test_two_pages_do_the_same_if_they_differ_in_comments_alone(tmp_path, before, after, is_same):
    walk, other = ROOT / "docs" / "walk.md", tmp_path / "walk.md"
    assert before in source(walk)
    other.write_text(source(walk).replace(before, after), encoding="utf-8")
    assert runs_like(walk, other) == is_same
