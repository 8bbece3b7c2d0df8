"""The page that a policy is exported as, in a browser without a window."""

import json

import exported
import gymnasium
import numpy as np
import pytest
from test_exports import case, check

import a2c
from a2c.commands.export import export
from a2c.exports.description import description_of, flat
from a2c.exports.html import page_of

# As texts: objects would be taken over number by number, which takes minutes.
ACT = """(text) => { const [all, masks, carries] = JSON.parse(text); return JSON.stringify(all.map((obs, i) => {
    const { action, outputs, carry } = a2c.policy.act(obs, masks && masks[i], Float32Array.from(carries[i]));
    return [action, Array.from(outputs), Array.from(carry)];
})); }"""


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a description or a file; nothing but that file may be asked for, and nothing said."""
    said, asked = [], []
    context = browser.new_context(viewport={"width": 390, "height": 800})

    def opened(source):
        path = tmp_path / "page.html"
        if not isinstance(source, str):
            source = page_of(source)
        path.write_text(source, encoding="utf-8")
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(tmp_path.as_uri())] == []


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cartpole")
    run = a2c.train("CartPole-v1", total_steps=20_000, final_eval_episodes=0, run_dir=str(folder))
    export(run.policy(), "html", folder / "policy.html")
    return (folder / "policy.html").read_text()


def test_cartpole_is_played_for_500_steps(opened, cartpole):
    page = opened(cartpole)
    page.get_by_role("combobox").select_option("20")
    page.locator(".told.shown").wait_for(timeout=60_000)
    assert page.evaluate("a2c.view.returns[0]") == 500
    assert "Time is up. 500 steps, return 500" in page.inner_text("main")
    # It fits on a phone.
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".told:not(.shown)").wait_for(state="attached", timeout=60_000)
    assert page.evaluate("a2c.view.episode") > 1  # The next one begins by itself.


def test_it_can_be_stopped_stepped_pushed_and_started_anew(opened, cartpole):
    page = opened(cartpole)
    page.get_by_role("button", name="Pause").click()
    at = page.evaluate("a2c.view.step")
    page.wait_for_timeout(200)
    assert page.evaluate("a2c.view.step") == at
    page.get_by_role("button", name="Restart").click()
    page.get_by_role("button", name="One step").click()
    page.get_by_role("button", name="One step").click()
    assert page.evaluate("a2c.view.step") == 2
    assert page.locator(".figures b").all_inner_texts()[:3] == ["2", "2", "2"]
    # Dragging by 80 pixels while it takes a step pulls the pole to the right, by as many metres as these are.
    box = page.locator("canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 80, y)
    action = page.evaluate("a2c.view.action")
    page.get_by_role("button", name="One step").dispatch_event("click")
    page.mouse.up()
    pushed, plain = page.evaluate(
        """([action, metres]) => { const { environment, before } = a2c.view;
        return [environment.push(before, metres, 0), before].map((one) => environment.step(one, action).state[3]); }""",
        [action, 80 * 5.6 / box["width"]],
    )
    assert page.evaluate("a2c.view.state[3]") == pytest.approx(pushed)
    assert pushed > plain + 0.05
    assert page.evaluate("a2c.view.pull") is None


ENVIRONMENTS = {
    "CartPole-v1": lambda rng: rng.uniform(-1, 1, 4) * [2, 2, 0.2, 2],
    "MountainCar-v0": lambda rng: rng.uniform([-1.2, -0.07], [0.6, 0.07]),
    "MountainCarContinuous-v0": lambda rng: rng.uniform([-1.2, -0.07], [0.6, 0.07]),
    "Pendulum-v1": lambda rng: rng.uniform([-5, -8], [5, 8]),
    "Acrobot-v1": lambda rng: rng.uniform(-1, 1, 4) * [np.pi, np.pi, 12, 28],
}


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_environments_of_the_page_move_as_gymnasiums_do(opened, env_id):
    env = gymnasium.make(env_id).unwrapped
    env.reset(seed=0)
    policy = exported.policy_of(env.observation_space, env.action_space, env_id=env_id)
    page = opened(description_of(policy))
    rng = np.random.default_rng(0)
    states = [ENVIRONMENTS[env_id](rng).tolist() for _ in range(300)]
    env.action_space.seed(0)
    actions = [np.atleast_1d(env.action_space.sample()).tolist() for _ in states]
    found = page.evaluate(
        """([states, actions]) => states.map((state, i) => {
            const { environment } = a2c.view, moved = environment.step(state, actions[i]);
            return [environment.observe(moved.state), moved.reward, moved.terminated];
        })""",
        [states, actions],
    )
    for state, action, (obs, reward, terminated) in zip(states, actions, found, strict=True):
        env.state = np.array(state)
        env.reset(seed=0)
        env.state = np.array(state)
        given = np.array(action, np.float32) if isinstance(env.action_space, gymnasium.spaces.Box) else int(action[0])
        expected, expected_reward, expected_terminated, *_ = env.step(given)
        np.testing.assert_allclose(obs, expected, rtol=1e-5, atol=2e-6)
        assert reward == pytest.approx(expected_reward, rel=1e-5, abs=1e-6)
        assert terminated == expected_terminated
    limit = gymnasium.spec(env_id).max_episode_steps
    assert page.evaluate("a2c.view.environment.limit") == limit
    lows, highs = page.evaluate(
        """() => { const all = Array.from({ length: 2000 }, () => a2c.view.environment.reset(Math.random));
        return [Math.min, Math.max].map((best) => all[0].map((_, i) => best(...all.map((state) => state[i])))); }"""
    )
    starts = np.array([_start(env, seed) for seed in range(2000)])
    np.testing.assert_allclose(lows, starts.min(0), atol=0.02 * np.ptp(starts, 0).max())
    np.testing.assert_allclose(highs, starts.max(0), atol=0.02 * np.ptp(starts, 0).max())


def _start(env, seed):
    env.reset(seed=seed)
    return np.array(env.state)


@pytest.mark.parametrize("name", exported.CASES)
def test_the_page_acts_as_the_policy_does(opened, name):
    policy, description, rows, masks, before, *_ = case(name)
    count = 40 if policy.architecture.images else len(rows)
    page = opened(description)
    obs = flat(policy.observation_space, rows[:count])
    given = [obs.tolist(), masks[:count].tolist() if description.num_masks else None, before[:count].tolist()]
    found = json.loads(page.evaluate(ACT, json.dumps(given)))
    action, outputs, carry = (np.array([row[k] for row in found], np.float64) for k in range(3))
    check(name, action, carry.reshape(count, -1), outputs, count)


def test_what_is_observed_is_typed_in(opened):
    policy, description, rows, *_ = case("numbers, choice")
    page = opened(description)
    for row, action in zip(rows[:3], policy.act(rows[:3].round(3).astype(np.float32)), strict=True):
        for field, number in zip(page.locator("input[type=number]").all(), row, strict=True):
            field.fill(f"{number:.3f}")
        assert page.inner_text(".result") == f"action: {action}"
        assert page.locator(".bar.chosen .name").all_inner_texts() == [f"action {action}"]
    page.locator("input[type=number]").first.fill("")
    assert page.inner_text(".wrong") == "observation 0 is not a number"
    page.get_by_role("button", name="Random").click()
    assert page.inner_text(".wrong") == ""
    page.locator("summary").click()
    chosen = page.inner_text(".result")
    page.get_by_role("checkbox").nth(int(chosen.split()[1])).uncheck()
    assert page.inner_text(".result") != chosen


def test_a_page_of_memory_and_of_many_numbers_remembers_and_says_what_is_missing(opened):
    page = opened(case("image, memory, numbers")[1])
    before = page.inner_text(".bar >> nth=0")
    page.get_by_role("button", name="Take this step").click()
    assert "(after 1 steps)" in page.inner_text(".result")
    assert page.inner_text(".bar >> nth=0") != before
    page.get_by_role("button", name="Forget").click()
    assert page.inner_text(".bar >> nth=0") == before
    page.locator("textarea").fill("1 2 x")
    assert page.inner_text(".wrong") == 'eye has "x", which is not a number'
    page.locator("textarea").fill("1, 2, 3")
    assert page.inner_text(".wrong") == "eye has 3 numbers; it must have 1296"


def test_a_name_cannot_break_out_of_the_page(opened):
    name = "</script><script>console.log('out')</script><b>@TITLE@"
    page = opened(case("numbers, choice")[1]._replace(env_id=name))
    assert page.inner_text("h1") == name
    assert page.title() == name
