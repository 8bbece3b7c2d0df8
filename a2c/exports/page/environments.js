"use strict";
// Gymnasium's classic control: dynamics as in gymnasium/envs/classic_control, and how they are drawn.
//
// Each: fps, limit (steps of an episode), wraps (numbers of the state that are angles in [-pi, pi]), reset(random), and
//   step(state, action) -> {state, reward, terminated}      observe(state) -> numbers
//   push(state, x, y, at) -> state     the state after a pull of the mouse by (x, y) metres that began at `at`
//   draw(pen, state, action)           in metres, y upwards

const clip = (x, low, high) => Math.min(Math.max(x, low), high);
const within = (random, low, high) => low + (high - low) * random();

const CARTPOLE = {
  fps: 50,
  limit: 500,
  wraps: [],
  view: { width: 5.6, height: 2.1, bottom: -0.55 },
  about: "Keep the pole upright and the cart on the track, by pushes to the left or to the right. Each step counts 1.",
  seen: ["cart position", "cart velocity", "pole angle", "pole velocity"],
  ranges: [2.4, 3, 0.21, 3],
  done: ["push left", "push right"],
  ended: "The pole fell, or the cart left the track.",
  reset: (random) => Array.from({ length: 4 }, () => within(random, -0.05, 0.05)),
  observe: (state) => state,
  step([x, v, angle, turn], [action]) {
    const force = action === 1 ? 10 : -10, cos = Math.cos(angle), sin = Math.sin(angle);
    const thrust = (force + 0.05 * turn * turn * sin) / 1.1;
    const turning = (9.8 * sin - cos * thrust) / (0.5 * (4 / 3 - (0.1 * cos * cos) / 1.1));
    const acceleration = thrust - (0.05 * turning * cos) / 1.1;
    const state = [x + 0.02 * v, v + 0.02 * acceleration, angle + 0.02 * turn, turn + 0.02 * turning];
    const terminated = Math.abs(state[0]) > 2.4 || Math.abs(state[2]) > (12 * 2 * Math.PI) / 360;
    return { state, reward: 1, terminated };
  },
  push: ([x, v, angle, turn], dx) => [x, v, angle, turn + clip(dx, -1.5, 1.5) * 0.06],
  draw(pen, [x, , angle], action) {
    pen.line([[-2.8, 0], [2.8, 0]], "faint", 0.025);
    for (const end of [-2.4, 2.4]) pen.line([[end, -0.12], [end, 0.12]], "faint", 0.025);
    pen.box(x - 0.36, -0.16, 0.72, 0.32, 0.06, "ink");
    for (const wheel of [-0.2, 0.2]) pen.disc(x + wheel, -0.2, 0.085, "ink", "paper");
    pen.line([[x, 0.08], [x + Math.sin(angle), 0.08 + Math.cos(angle)]], "accent", 0.11);
    pen.disc(x, 0.08, 0.05, "paper");
    if (action) {
      const way = action[0] === 1 ? 1 : -1;
      pen.arrow([x + way * 0.46, 0], [x + way * 0.76, 0], "second");
    }
  },
};

const hill = (x) => Math.sin(3 * x) * 0.45 + 0.55;
const MOUNTAIN_CAR = {
  fps: 30,
  limit: 200,
  wraps: [],
  view: { width: 1.8, height: 1.35, bottom: 0, left: -1.2 },
  about: "The engine is too weak to drive straight up: swing to and fro to reach the flag. Each step costs 1.",
  seen: ["position", "velocity"],
  ranges: [1.2, 0.07],
  done: ["drive left", "coast", "drive right"],
  ended: "At the flag.",
  goal: 0.5,
  reset: (random) => [within(random, -0.6, -0.4), 0],
  observe: (state) => state,
  step(state, [action]) {
    const moved = drive(state, (action - 1) * 0.001);
    return { state: moved, reward: -1, terminated: moved[0] >= 0.5 && moved[1] >= 0 };
  },
  push: ([x, v], dx) => [x, clip(v + clip(dx, -0.5, 0.5) * 0.006, -0.07, 0.07)],
  draw(pen, [x], action) {
    const slope = (at) => Math.atan(Math.cos(3 * at) * 1.35);
    const points = Array.from({ length: 101 }, (_, i) => [-1.2 + i * 0.018, hill(-1.2 + i * 0.018)]);
    pen.area(points, 0, "ground");
    pen.line(points, "faint", 0.012);
    pen.line([[this.goal, hill(this.goal)], [this.goal, hill(this.goal) + 0.2]], "ink", 0.01);
    pen.area([[this.goal, hill(this.goal) + 0.2], [this.goal + 0.1, hill(this.goal) + 0.165], [this.goal, hill(this.goal) + 0.13]], null, "second");
    pen.at(x, hill(x), slope(x), () => {
      pen.box(-0.095, 0.03, 0.19, 0.055, 0.02, "accent");
      pen.box(-0.055, 0.06, 0.1, 0.065, 0.025, "accent");
      for (const wheel of [-0.055, 0.055]) pen.disc(wheel, 0.03, 0.028, "ink", "paper");
      const force = action ? this.force(action) : 0;
      if (Math.abs(force) > 0.02) pen.arrow([Math.sign(force) * 0.13, 0.06], [Math.sign(force) * (0.13 + 0.12 * Math.abs(force)), 0.06], "second");
    });
  },
  force: ([action]) => action - 1,
};

function drive([x, v], thrust) {
  let speed = clip(v + thrust - 0.0025 * Math.cos(3 * x), -0.07, 0.07);
  const position = clip(x + speed, -1.2, 0.6);
  if (position === -1.2 && speed < 0) speed = 0;
  return [position, speed];
}

const MOUNTAIN_CAR_CONTINUOUS = {
  ...MOUNTAIN_CAR,
  limit: 999,
  about: "The engine is too weak to drive straight up: swing to and fro to reach the flag. It counts 100, fuel costs.",
  done: ["force"],
  goal: 0.45,
  step(state, [action]) {
    const moved = drive(state, clip(action, -1, 1) * 0.0015), terminated = moved[0] >= 0.45 && moved[1] >= 0;
    return { state: moved, reward: (terminated ? 100 : 0) - action * action * 0.1, terminated };
  },
  force: ([action]) => action,
};

const wrap = (angle) => angle - 2 * Math.PI * Math.round(angle / (2 * Math.PI));
const PENDULUM = {
  fps: 20,
  limit: 200,
  wraps: [],
  view: { width: 3.4, height: 2.5, bottom: -1.25 },
  about: "Swing the pendulum up, and hold it there, by a motor too weak to lift it. Each step costs by the angle.",
  seen: ["cos angle", "sin angle", "angular velocity"],
  ranges: [1, 1, 8],
  done: ["torque"],
  ended: "",
  reset: (random) => [within(random, -Math.PI, Math.PI), within(random, -1, 1)],
  observe: ([angle, turn]) => [Math.cos(angle), Math.sin(angle), turn],
  step([angle, turn], [action]) {
    const torque = clip(action, -2, 2);
    const cost = wrap(angle) ** 2 + 0.1 * turn ** 2 + 0.001 * torque ** 2;
    const speed = clip(turn + (15 * Math.sin(angle) + 3 * torque) * 0.05, -8, 8);
    return { state: [angle + speed * 0.05, speed], reward: -cost, terminated: false };
  },
  push([angle, turn], dx, dy) {
    // Upright is 0, and angles grow to the left.
    return [angle, clip(turn - (dx * Math.cos(angle) + dy * Math.sin(angle)) * 0.6, -8, 8)];
  },
  draw(pen, [angle], action) {
    pen.ring(0, 0, 1, "faint", 0.012);
    pen.line([[0, 0], [-Math.sin(angle), Math.cos(angle)]], "accent", 0.16);
    pen.disc(0, 0, 0.05, "ink");
    if (action && Math.abs(action[0]) > 0.02) pen.turn(0, 0, 0.34, Math.PI / 2 + angle, action[0] * 0.6, "second");
  },
};

function accelerations([a, b, u, v], torque) {
  const cos = Math.cos(b), sin = Math.sin(b);
  const d1 = 0.25 + (1 + 0.25 + cos) + 2, d2 = 0.25 + 0.5 * cos + 1;
  const phi2 = 0.5 * 9.8 * Math.cos(a + b - Math.PI / 2);
  const phi1 = -0.5 * v * v * sin - v * u * sin + 1.5 * 9.8 * Math.cos(a - Math.PI / 2) + phi2;
  const second = (torque + (d2 / d1) * phi1 - 0.5 * u * u * sin - phi2) / (0.25 + 1 - (d2 * d2) / d1);
  return [u, v, -(d2 * second + phi1) / d1, second];
}

const ACROBOT = {
  fps: 15,
  limit: 500,
  wraps: [0, 1],
  view: { width: 5.2, height: 4.4, bottom: -2.15 },
  about: "Swing the free end above the line, by a motor between the two links. Each step until then costs 1.",
  seen: ["cos angle 1", "sin angle 1", "cos angle 2", "sin angle 2", "velocity 1", "velocity 2"],
  ranges: [1, 1, 1, 1, 4 * Math.PI, 9 * Math.PI],
  done: ["torque \u22121", "none", "torque +1"],
  ended: "Above the line.",
  reset: (random) => Array.from({ length: 4 }, () => within(random, -0.1, 0.1)),
  observe: ([a, b, u, v]) => [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b), u, v],
  step(state, [action]) {
    const plus = (rates, time) => state.map((x, i) => x + time * rates[i]);
    const torque = action - 1;
    const k1 = accelerations(state, torque), k2 = accelerations(plus(k1, 0.1), torque);
    const k3 = accelerations(plus(k2, 0.1), torque), k4 = accelerations(plus(k3, 0.2), torque);
    const moved = plus(k1.map((k, i) => k + 2 * k2[i] + 2 * k3[i] + k4[i]), 0.2 / 6);
    const [a, b] = [wrap(moved[0]), wrap(moved[1])];
    const speeds = [clip(moved[2], -4 * Math.PI, 4 * Math.PI), clip(moved[3], -9 * Math.PI, 9 * Math.PI)];
    const terminated = -Math.cos(a) - Math.cos(b + a) > 1;
    return { state: [a, b, ...speeds], reward: terminated ? 0 : -1, terminated };
  },
  push([a, b, u, v], dx, dy) {
    // Turns the second link, whose end is pulled.
    const pull = dx * Math.cos(a + b) + dy * Math.sin(a + b);
    return [a, b, u, clip(v + pull * 0.35, -9 * Math.PI, 9 * Math.PI)];
  },
  draw(pen, [a, b], action) {
    const elbow = [Math.sin(a), -Math.cos(a)];
    const end = [elbow[0] + Math.sin(a + b), elbow[1] - Math.cos(a + b)];
    pen.line([[-2.5, 1], [2.5, 1]], "faint", 0.025);
    pen.line([[0, 0], elbow], "ink", 0.16);
    pen.line([elbow, end], "accent", 0.16);
    pen.disc(0, 0, 0.06, "paper");
    pen.disc(...elbow, 0.06, "paper");
    if (action && action[0] !== 1) pen.turn(...elbow, 0.3, a + b - Math.PI / 2, (action[0] - 1) * 1.2, "second");
  },
};

const ENVIRONMENTS = {
  "CartPole-v0": { ...CARTPOLE, limit: 200 },
  "CartPole-v1": CARTPOLE,
  "MountainCar-v0": MOUNTAIN_CAR,
  "MountainCarContinuous-v0": MOUNTAIN_CAR_CONTINUOUS,
  "Pendulum-v1": PENDULUM,
  "Acrobot-v1": ACROBOT,
};
