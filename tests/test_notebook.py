"""Runs and policies show themselves in a notebook."""

from html.parser import HTMLParser

import pytest

import a2c
from a2c import notebook
from a2c.commands.plot import draw
from a2c.run.folder import Run


class Words(HTMLParser):
    """The text of a page, and the tags that were opened and not closed."""

    def __init__(self, page):
        super().__init__()
        self.words, self.open, self.sources = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.sources.append(dict(attributes)["src"])
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def shown(thing):
    page = Words(thing._repr_html_())
    assert page.open == []
    return page


def test_a_run_says_how_far_it_is_and_what_it_reached(quick):
    run = a2c.train("CartPole-v1", **quick | {"final_eval_episodes": 3})
    page = shown(run)
    assert page.words[0] == "CartPole-v1, seed 0"
    said = dict(zip(page.words[1::2], page.words[2::2], strict=True))
    assert said["steps"] == "256 of 256"
    assert said["best policy"].endswith("over 3 greedy episodes")
    assert said["ended"] == "yes"
    assert page.sources == []
    draw([run], run.path / "curve.png")
    (source,) = shown(run).sources
    assert source.startswith("data:image/png;base64,iVBORw0KGgo")


def test_a_run_that_is_left_says_what_goes_on_with_it(quick):
    training = a2c.Training("CartPole-v1", **quick | {"log_every_steps": 64})
    for _ in training:
        break
    words = shown(training.run).words
    assert f"no; {training.run.command('resume')} goes on" in words
    assert "64 of 256" in words


@pytest.mark.parametrize("damage", ["summary.json", "metrics.jsonl", "curve.png"])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"evaluation": 3}', b"\xff"])
def test_a_damaged_run_shows_what_there_is(quick, damage, content):
    run = a2c.train("CartPole-v1", **quick)
    (run.path / damage).write_bytes(content)
    assert shown(Run(run.path)).words[0] == "CartPole-v1, seed 0"


def test_a_policy_says_what_it_sees_and_does(quick):
    policy = a2c.train("CartPole-v1", **quick | {"hidden_sizes": (8, 4)}).policy("final")
    words = shown(policy).words
    assert words[0] == "A policy for CartPole-v1"
    assert "Discrete(2)" in words
    assert "8 x 4, tanh" in words
    # Actor and critic: 4 inputs, 8 and 4 units, 2 and 1 outputs, biases.
    assert f"{2 * (4 * 8 + 8 + 8 * 4 + 4) + 4 * 2 + 2 + 4 * 1 + 1}" in words


def test_what_strangers_wrote_is_text():
    page = Words(notebook.table("<script>alert(1)</script>", {"<b>": "<img src=x>"}))
    assert page.words == ["<script>alert(1)</script>", "<b>", "<img src=x>"]
    assert page.sources == []
