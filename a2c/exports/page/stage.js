"use strict";
// The policy in its environment: the picture, the figures below it, the buttons.

const SPEEDS = [["\u215b speed", 0.125], ["\u00bd speed", 0.5], ["real time", 1], ["4 \u00d7", 4], ["20 \u00d7", 20]];
const PAUSE = 1.6; // seconds, after an episode
const EPISODES = 24; // returns that are shown

// Draws in metres, y upwards, in the colours of the style sheet.
class Pen {
  constructor(canvas, view) {
    this.canvas = canvas;
    this.view = { left: -view.width / 2, ...view };
    this.ctx = canvas.getContext("2d");
  }

  begin() {
    const { canvas, ctx, view } = this, ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = Math.round((width * view.height) / view.width);
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    const scale = (canvas.width / view.width);
    ctx.setTransform(scale, 0, 0, -scale, -view.left * scale, canvas.height + view.bottom * scale);
    ctx.clearRect(view.left, view.bottom, view.width, view.height);
    ctx.lineCap = ctx.lineJoin = "round";
    const style = getComputedStyle(document.documentElement);
    this.colour = (name) => style.getPropertyValue(`--${name}`).trim();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect(), scale = this.view.width / box.width;
    return [this.view.left + (event.clientX - box.left) * scale, this.view.bottom + (box.bottom - event.clientY) * scale];
  }

  line(points, colour, width) {
    const { ctx } = this;
    ctx.beginPath();
    points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    ctx.lineWidth = width;
    ctx.strokeStyle = this.colour(colour);
    ctx.stroke();
  }

  // What lies between points and a level, or within them.
  area(points, level, colour) {
    const { ctx } = this;
    ctx.beginPath();
    points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    if (level !== null) for (const [x] of [points.at(-1), points[0]]) ctx.lineTo(x, level);
    ctx.fillStyle = this.colour(colour);
    ctx.fill();
  }

  box(x, y, width, height, radius, colour) {
    const { ctx } = this;
    ctx.beginPath();
    ctx.roundRect(x, y, width, height, radius);
    ctx.fillStyle = this.colour(colour);
    ctx.fill();
  }

  disc(x, y, radius, colour, border) {
    const { ctx } = this;
    ctx.beginPath();
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
    ctx.fillStyle = this.colour(colour);
    ctx.fill();
    if (border) this.ring(x, y, radius, border, radius / 4);
  }

  ring(x, y, radius, colour, width) {
    const { ctx } = this;
    ctx.beginPath();
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
    ctx.lineWidth = width;
    ctx.strokeStyle = this.colour(colour);
    ctx.stroke();
  }

  // An arrow; its head is as large as it is long, up to a limit.
  arrow([x, y], [to_x, to_y], colour, width = this.view.width / 110) {
    const angle = Math.atan2(to_y - y, to_x - x), size = Math.min(width * 3.2, Math.hypot(to_x - x, to_y - y));
    this.line([[x, y], [to_x - Math.cos(angle) * size * 0.6, to_y - Math.sin(angle) * size * 0.6]], colour, width);
    const side = (turn) => [to_x - Math.cos(angle + turn) * size, to_y - Math.sin(angle + turn) * size];
    this.area([[to_x, to_y], side(0.5), side(-0.5)], null, colour);
  }

  // An arc around a point, from an angle on, that ends in the head of an arrow.
  turn(x, y, radius, from, by, colour) {
    const { ctx } = this, width = this.view.width / 110;
    ctx.beginPath();
    ctx.arc(x, y, radius, from, from + by, by < 0);
    ctx.lineWidth = width;
    ctx.strokeStyle = this.colour(colour);
    ctx.stroke();
    const tip = [x + radius * Math.cos(from + by), y + radius * Math.sin(from + by)];
    const ahead = from + by + (Math.sign(by) * Math.PI) / 2, size = width * 3.2;
    this.area([[0, size * 0.8], [Math.PI / 2, size * 0.55], [-Math.PI / 2, size * 0.55]].map(([turn, length]) =>
      [tip[0] + Math.cos(ahead + turn) * length, tip[1] + Math.sin(ahead + turn) * length]), null, colour);
  }

  at(x, y, angle, draw) {
    this.ctx.save();
    this.ctx.translate(x, y);
    this.ctx.rotate(angle);
    draw();
    this.ctx.restore();
  }
}

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A bar with a name and a number; `low` to `high` is its length.
class Bar {
  constructor(name, low, high) {
    Object.assign(this, { low, high, fill: made("i"), number: made("span", { className: "number" }) });
    this.element = made("div", { className: "bar" },
      made("span", { className: "name", title: name, textContent: name }),
      made("span", { className: "track" }, this.fill), this.number);
  }

  show(value, text, is_chosen) {
    const place = (x) => 100 * clip((x - this.low) / (this.high - this.low), 0, 1);
    const origin = place(Math.min(Math.max(0, this.low), this.high)), end = place(value);
    this.fill.style.left = `${Math.min(origin, end)}%`;
    this.fill.style.width = `${Math.abs(end - origin)}%`;
    this.number.textContent = text;
    this.element.classList.toggle("chosen", Boolean(is_chosen));
  }
}

const shown = (x, digits = 2) => x.toFixed(digits).replace("-", "\u2212");

class Stage {
  constructor(policy, environment, place) {
    Object.assign(this, { policy, environment, is_playing: true, speed: 1, episode: 0, returns: [], pull: null });
    this.layout(place);
    this.restart();
    this.last = performance.now();
    requestAnimationFrame((now) => this.frame(now));
  }

  layout(place) {
    const { environment, policy } = this, figure = () => made("b");
    document.getElementById("about").textContent = environment.about;
    this.canvas = made("canvas", { role: "img", ariaLabel: "the environment" });
    this.told = made("div", { className: "told", role: "status" });
    this.figures = { return: figure(), step: figure(), episode: figure(), mean: figure() };
    const names = { return: "return", step: "step", episode: "episode", mean: "mean return" };
    this.toggle = made("button", { className: "first", onclick: () => this.play(!this.is_playing) });
    const speeds = made("select", { ariaLabel: "speed", onchange: (event) => (this.speed = Number(event.target.value)) },
      ...SPEEDS.map(([name, value]) => made("option", { value, textContent: name, selected: value === 1 })));
    const head = policy.heads[0];
    this.seen = environment.seen.map((name, i) => new Bar(name, -environment.ranges[i], environment.ranges[i]));
    this.done = environment.done.map((name) =>
      head.kind === "choices" ? new Bar(name, 0, 1) : new Bar(name, head.low[0], head.high[0]));
    this.past = made("div", { className: "past" });
    this.history = made("div", { className: "history", hidden: true }, made("h2", { textContent: "Returns of the last episodes" }), this.past);
    place.append(
      made("div", { className: "card scene" }, made("div", { className: "picture" }, this.canvas, this.told),
        made("div", { className: "figures" }, ...Object.entries(this.figures).map(([key, number]) =>
          made("div", {}, number, made("span", { textContent: names[key] }))))),
      made("div", { className: "controls" }, this.toggle,
        made("button", { textContent: "One step", onclick: () => { this.play(false); this.advance(); } }),
        made("button", { textContent: "Restart", onclick: () => this.restart() }), speeds,
        made("span", { className: "push", textContent: "Drag in the picture to push." })),
      made("div", { className: "two" },
        made("section", { className: "card panel" }, made("h2", { textContent: "What the policy sees" }),
          ...this.seen.map((bar) => bar.element)),
        made("section", { className: "card panel" }, made("h2", { textContent: "What it does" }),
          ...this.done.map((bar) => bar.element), this.history)));
    this.pen = new Pen(this.canvas, environment.view);
    const follow = (event) => { if (this.pull) this.pull.to = this.pen.place(event); };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.pull = { from: this.pen.place(event), to: this.pen.place(event) };
    });
    this.canvas.addEventListener("pointermove", follow);
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => (this.pull = null));
    this.play(true);
  }

  play(is_playing) {
    this.is_playing = is_playing;
    this.toggle.textContent = is_playing ? "Pause" : "Play";
  }

  restart() {
    this.begin(this.environment.reset(Math.random));
  }

  // Begins an episode in a state.
  begin(state) {
    Object.assign(this, { state, before: state, carry: this.policy.begin(), step: 0, total: 0, due: 0, ended: 0 });
    this.episode += 1;
    this.told.classList.remove("shown");
    this.decide();
  }

  // The action for the state.
  decide() {
    this.obs = this.environment.observe(this.state);
    Object.assign(this, this.policy.act(this.obs.map(Math.fround), null, this.carry));
  }

  advance() {
    if (this.ended) return this.restart();
    const { environment } = this;
    this.before = this.state;
    let from = this.state;
    if (this.pull) from = environment.push(from, this.pull.to[0] - this.pull.from[0], this.pull.to[1] - this.pull.from[1]);
    const { state, reward, terminated } = environment.step(from, this.action);
    Object.assign(this, { state, step: this.step + 1, total: this.total + reward });
    if (terminated || this.step >= environment.limit) this.end(terminated);
    else this.decide();
    return undefined;
  }

  end(terminated) {
    this.returns = [...this.returns, this.total].slice(-EPISODES);
    this.ended = PAUSE;
    const why = terminated ? this.environment.ended : "Time is up.";
    this.told.textContent = `${why} ${this.step} steps, return ${shown(this.total, this.digits())}`;
    this.told.classList.add("shown");
  }

  digits() {
    return Number.isInteger(this.total) ? 0 : 1;
  }

  frame(now) {
    // A page in the background gets no frames; what was missed is not caught up with.
    const seconds = Math.min((now - this.last) / 1000, 0.1);
    this.last = now;
    if (this.is_playing && this.ended) {
      this.ended -= seconds * Math.max(1, this.speed / 4);
      if (this.ended <= 0) this.restart();
    } else if (this.is_playing) {
      this.due += seconds * this.speed * this.environment.fps;
      for (; this.due >= 1 && !this.ended; this.due -= 1) this.advance();
    }
    this.show();
    requestAnimationFrame((next) => this.frame(next));
  }

  // Between two steps, so that slow motion is smooth.
  between() {
    const part = this.is_playing && !this.ended ? this.due : 1;
    return this.state.map((x, i) => {
      let way = x - this.before[i];
      if (this.environment.wraps.includes(i)) way = wrap(way);
      return x - way * (1 - part);
    });
  }

  show() {
    const { pen, environment, policy } = this, head = policy.heads[0];
    pen.begin();
    environment.draw(pen, this.between(), this.ended ? null : this.action);
    if (this.pull && Math.hypot(this.pull.to[0] - this.pull.from[0], this.pull.to[1] - this.pull.from[1]) > 0.02)
      pen.arrow(this.pull.from, this.pull.to, "soft");
    this.figures.return.textContent = shown(this.total, this.digits());
    this.figures.step.textContent = this.step;
    this.figures.episode.textContent = this.episode;
    const mean = this.returns.reduce((a, b) => a + b, 0) / this.returns.length;
    this.figures.mean.textContent = this.returns.length ? shown(mean, 1) : "\u2013";
    this.seen.forEach((bar, i) => bar.show(this.obs[i], shown(this.obs[i], 3)));
    if (head.kind === "choices") {
      const odds = policy.probabilities(head, this.outputs, null);
      this.done.forEach((bar, i) => bar.show(odds[i], `${(100 * odds[i]).toFixed(odds[i] > 0.999 ? 0 : 1)} %`, i === this.action[0]));
    } else this.done.forEach((bar, i) => bar.show(this.action[i], shown(this.action[i], 3), true));
    this.showPast();
  }

  // The returns of the last episodes as bars; those below 0 from half as much again below the lowest.
  showPast() {
    if (this.past.childElementCount === this.returns.length && this.drawn === this.episode) return;
    this.drawn = this.episode;
    const low = Math.min(0, 1.5 * Math.min(...this.returns)), high = Math.max(...this.returns);
    this.past.replaceChildren(...this.returns.map((x) =>
      made("i", { style: `height:${Math.max(6, (100 * (x - low)) / (high - low || 1))}%`, title: shown(x, 1) })));
    this.history.hidden = !this.returns.length;
  }
}
