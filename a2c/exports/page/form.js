"use strict";
// For environments that this page cannot draw: the user types in an observation, the page shows the action.

const MOST_FIELDS = 40; // a part with more numbers gets one text field for all

// Fields for a part of an observation. `numbers()` reads them, or throws a sentence; `fill(numbers)` writes them.
function fieldsOf(part, changed) {
  const choices = part.choices, name = part.name || "observation";
  const legend = made("legend", {}, `${name} `, made("span", { textContent: part.says }));
  if (part.size > MOST_FIELDS) {
    const text = made("textarea", { value: Array(part.size).fill(0).join(" "), spellcheck: false, oninput: changed, ariaLabel: name });
    return {
      element: made("fieldset", {}, legend, text),
      numbers() {
        const words = text.value.split(/[\s,;[\]]+/).filter(Boolean), numbers = words.map(Number);
        const bad = words.find((word, i) => !Number.isFinite(numbers[i]));
        if (bad !== undefined) throw new Error(`${name} has ${JSON.stringify(bad.slice(0, 20))}, which is not a number`);
        if (numbers.length !== part.size) throw new Error(`${name} has ${numbers.length} numbers; it must have ${part.size}`);
        return numbers;
      },
      fill: (numbers) => (text.value = numbers.map((x) => Number(x.toPrecision(6))).join(" ")),
    };
  }
  const inputs = [], rows = [];
  for (let i = 0; i < part.size; i++) {
    const low = part.low[i], high = part.high[i], label = part.size > 1 ? String(i) : "";
    const called = `${name} ${label}`.trim(), kind = part.size > 1 ? "field" : "field single";
    if (choices) {
      const options = Array.from({ length: high - low + 1 }, (_, k) => made("option", { value: low + k, textContent: low + k }));
      inputs.push(made("select", { onchange: changed, ariaLabel: called }, ...options));
      rows.push(made("div", { className: `${kind} short` }, made("span", { textContent: label }), inputs[i]));
    } else {
      const number = made("input", { type: "number", step: "any", value: 0, ariaLabel: called });
      const has_range = low !== null && high !== null && high - low < 1e4;
      const range = made("input", { type: "range", min: has_range ? low : -3, max: has_range ? high : 3, step: part.is_whole ? 1 : "any", value: 0, ariaLabel: `${called}, slider` });
      range.addEventListener("input", () => { number.value = Number(Number(range.value).toFixed(3)); changed(); });
      number.addEventListener("input", () => { range.value = number.value; changed(); });
      inputs.push(number);
      rows.push(made("div", { className: kind }, made("span", { textContent: label }), range, number));
    }
  }
  return {
    element: made("fieldset", {}, legend, ...rows),
    numbers: () => inputs.map((input, i) => {
      const x = input.value === "" ? NaN : Number(input.value);
      if (!Number.isFinite(x)) throw new Error(`${name} ${i} is not a number`);
      return x;
    }),
    fill: (numbers) => inputs.forEach((input, i) => {
      input.value = Number(numbers[i].toFixed(3));
      if (!choices) input.parentElement.querySelector("input").value = numbers[i];
    }),
  };
}

// A random value of a part: within its bounds, or around 0 if it has none.
function randomOf(part) {
  return Array.from({ length: part.size }, (_, i) => {
    const has_range = part.low[i] !== null && part.high[i] !== null && part.high[i] - part.low[i] < 1e4;
    const [low, high] = has_range ? [part.low[i], part.high[i]] : [-1, 1];
    return part.is_whole ? Math.floor(low + Math.random() * (high - low + 1)) : low + Math.random() * (high - low);
  });
}

class Form {
  constructor(policy, place) {
    this.policy = policy;
    this.carry = policy.begin();
    document.getElementById("about").textContent =
      "What does the policy do? Type in what it observes; its most probable action is shown as you type.";
    this.fields = policy.observation.map((part) => fieldsOf(part, () => this.show()));
    this.result = made("p", { className: "result", role: "status" });
    this.wrong = made("p", { className: "wrong", role: "alert" });
    this.bars = made("div");
    const buttons = made("div", { className: "controls" },
      made("button", { textContent: "Random", onclick: () => { policy.observation.forEach((part, i) => this.fields[i].fill(randomOf(part))); this.show(); } }));
    if (policy.memory_size)
      buttons.append(
        made("button", { textContent: "Take this step", onclick: () => { if (this.next) { this.carry = this.next; this.steps += 1; } this.show(); } }),
        made("button", { textContent: "Forget", onclick: () => { this.carry = policy.begin(); this.steps = 0; this.show(); } }));
    this.steps = 0;
    const right = made("section", { className: "card panel" }, made("h2", { textContent: "What it does" }), this.result, this.bars);
    if (policy.num_masks) right.append(this.masks());
    place.append(made("div", { className: "two" },
      made("section", { className: "card panel" }, made("h2", { textContent: "What the policy sees" }), ...this.fields.map((one) => one.element), this.wrong, buttons),
      right));
    this.show();
  }

  // Check boxes for the choices that are allowed.
  masks() {
    this.mask = new Uint8Array(this.policy.num_masks).fill(1);
    const boxes = [];
    const group = (text) => boxes.push(made("div", { className: "grid" }, made("span", { textContent: text })));
    const box = (at, text) => boxes.at(-1).append(made("label", { className: "tick" },
      made("input", { type: "checkbox", checked: true, onchange: (event) => { this.mask[at] = event.target.checked ? 1 : 0; this.show(); } }), text));
    for (const head of this.policy.heads) {
      let at = head.mask;
      if (head.kind === "choices")
        head.sizes.forEach((size, i) => {
          group(`${head.name || "action"}${head.sizes.length > 1 ? ` ${i}` : ""}`);
          for (let k = 0; k < size; k++) box(at++, head.starts[i] + k);
        });
      else if (head.kind === "bits")
        for (let i = 0; i < head.size; i++) {
          group(`${head.name ? `${head.name} ` : ""}bit ${i}`);
          for (const bit of [0, 1]) box(at++, bit);
        }
    }
    return made("details", {}, made("summary", { textContent: "What is allowed" }), ...boxes);
  }

  show() {
    let obs;
    try {
      obs = this.fields.flatMap((one) => one.numbers());
      this.wrong.textContent = "";
    } catch (error) {
      this.wrong.textContent = error.message;
      return;
    }
    const { policy } = this;
    if (policy.obs_type === "float32") obs = obs.map(Math.fround);
    const { action, outputs, carry } = policy.act(obs, this.mask, this.carry);
    this.next = carry;
    const parts = policy.action.map((part) => {
      const own = action.slice(part.first, part.first + part.size).map((x) => String(Number(x.toPrecision(6))));
      return `${part.name || "action"}: ${part.size > 1 ? `[${own.join(", ")}]` : own[0]}`;
    });
    this.result.textContent = parts.join("\n") + (policy.memory_size ? `\n(after ${this.steps} steps)` : "");
    this.bars.replaceChildren(...policy.heads.flatMap((head) => this.barsOf(head, action, outputs)));
  }

  barsOf(head, action, outputs) {
    const name = `${head.name || "action"} `, bars = [];
    const add = (label, low, high, value, text, is_chosen) => {
      if (bars.length >= 60) return;
      const bar = new Bar(label, low, high);
      bar.show(value, text, is_chosen);
      bars.push(bar.element);
    };
    const percent = (x) => `${(100 * x).toFixed(1)} %`;
    if (head.kind === "choices")
      head.sizes.forEach((size, i) => this.policy.probabilities(head, outputs, this.mask, i).forEach((odds, k) =>
        add(`${name}${head.sizes.length > 1 ? `${i}: ` : ""}${head.starts[i] + k}`, 0, 1, odds, percent(odds), action[head.first + i] === head.starts[i] + k)));
    else if (head.kind === "bits")
      this.policy.probabilities(head, outputs, this.mask).forEach((odds, i) => add(`${name}bit ${i}`, 0, 1, odds, percent(odds), action[head.first + i] === 1));
    else
      for (let i = 0; i < head.size; i++) {
        const value = action[head.first + i], has_range = head.low[i] !== null && head.high[i] !== null;
        const reach = has_range ? [head.low[i], head.high[i]] : [-Math.max(3, Math.abs(value)), Math.max(3, Math.abs(value))];
        add(`${name}${head.size > 1 ? i : ""}`, ...reach, value, String(Number(value.toPrecision(4))), true);
      }
    return bars;
  }
}

// Fills the page.
function main() {
  const policy = new Policy(JSON.parse(document.getElementById("policy").textContent));
  const place = document.getElementById("place"), environment = ENVIRONMENTS[policy.drawn];
  document.getElementById("size").textContent = `${policy.num_parameters.toLocaleString("en")} numbers, ${policy.obs_type}`;
  window.a2c = { policy, view: environment ? new Stage(policy, environment, place) : new Form(policy, place) };
}
main();
