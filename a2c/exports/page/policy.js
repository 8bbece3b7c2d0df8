"use strict";
// The policy: a list of operations on named vectors, as a2c/exports/operations.py lists them.

class Policy {
  constructor(description) {
    Object.assign(this, description);
    this.values = {};
    for (const [name, { type, data }] of Object.entries(description.constants)) {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      this.values[name] = type === "float64" ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer);
    }
  }

  // The carry (the memory's state) at the beginning of an episode.
  begin() {
    return new Float32Array(this.memory_size);
  }

  // obs: numbers, one part after another. mask: one number for each choice, 0 where it is forbidden; null: all are
  // allowed. carry: as begin or the last call returned it. Returns {action, outputs, carry}.
  act(obs, mask = null, carry = this.begin()) {
    const vectors = { carry };
    for (const step of this.operations) OPERATIONS[step.kind](this, vectors, obs, step);
    const action = new Array(this.num_actions);
    for (const head of this.heads) HEADS[head.kind](vectors.outputs, mask, head, action);
    return { action, outputs: vectors.outputs, carry: vectors.carry };
  }

  // The probabilities with which the policy samples: of the choices of column `which` of a head, or of its bits being 1.
  probabilities(head, outputs, mask, which = 0) {
    const allowed = (k) => !mask || mask[k];
    if (head.kind === "bits") {
      return Array.from({ length: head.size }, (_, i) => {
        const at = head.mask + 2 * i;
        return !allowed(at + 1) ? 0 : !allowed(at) ? 1 : 1 / (1 + Math.exp(-outputs[head.output + i]));
      });
    }
    let from = head.output, at = head.mask;
    for (let i = 0; i < which; i++) { from += head.sizes[i]; at += head.sizes[i]; }
    const logits = Array.from(outputs.slice(from, from + head.sizes[which]), (x, k) => (allowed(at + k) ? x : -Infinity));
    const largest = Math.max(...logits);
    const odds = logits.map((x) => Math.exp(x - largest));
    const sum = odds.reduce((a, b) => a + b, 0);
    return odds.map((x) => x / sum);
  }
}

const ACTIVATIONS = { relu: (x) => Math.max(x, 0), tanh: Math.tanh };

// y += x W, where W starts at a row of weight [rows, size].
function product(x, weight, row, y) {
  const size = y.length;
  let k = row * size;
  for (let i = 0; i < x.length; i++) for (let j = 0; j < size; j++) y[j] += x[i] * weight[k++];
}

const OPERATIONS = {
  numbers(policy, vectors, obs, step) {
    const y = new Float32Array(step.size);
    for (let i = 0; i < step.size; i++) {
      const x = obs[step.first + i];
      if (step.mean) {
        const z = (x - policy.values[step.mean][i]) / policy.values[step.std][i];
        y[i] = Math.min(Math.max(z, -policy.obs_limit), policy.obs_limit);
      } else y[i] = Math.fround(x) / step.divisor;
    }
    vectors[step.target] = y;
  },

  pixels(policy, vectors, obs, step) {
    const [planes, lines, columns, samples] = step.image;
    const y = new Float32Array(planes * lines * columns * samples);
    for (let plane = 0, i = step.first; plane < planes; plane++)
      for (let pixel = 0; pixel < lines * columns; pixel++)
        for (let sample = 0; sample < samples; sample++)
          y[(pixel * planes + plane) * samples + sample] = obs[i++] / step.divisor;
    vectors[step.target] = y;
  },

  frame(policy, vectors, obs, step) {
    const x = vectors[step.source], [lines, columns, depth] = step.before, [, width] = step.after;
    const result = new Float32Array(step.after[0] * width * depth);
    for (let line = 0; line < lines; line++)
      result.set(x.subarray(line * columns * depth, (line + 1) * columns * depth), ((line + step.above) * width + step.left) * depth);
    vectors[step.target] = result;
  },

  convolve(policy, vectors, obs, step) {
    const x = vectors[step.source], weight = policy.values[step.weight];
    const [, width, depth] = step.before, [lines, columns, filters] = step.after;
    const result = new Float32Array(lines * columns * filters), sum = new Float64Array(filters);
    for (let line = 0, k = 0; line < lines; line++)
      for (let column = 0; column < columns; column++, k += filters) {
        sum.set(policy.values[step.bias]);
        for (let i = 0; i < step.kernel; i++) {
          const from = ((line * step.stride + i) * width + column * step.stride) * depth;
          product(x.subarray(from, from + step.kernel * depth), weight, i * step.kernel * depth, sum);
        }
        for (let j = 0; j < filters; j++) result[k + j] = Math.max(sum[j], 0);
      }
    vectors[step.target] = result;
  },

  dense(policy, vectors, obs, step) {
    const y = Float64Array.from(policy.values[step.bias]), weight = policy.values[step.weight];
    let row = 0;
    for (const source of step.sources) {
      product(vectors[source], weight, row, y);
      row += vectors[source].length;
    }
    for (const { first, row, sizes, starts } of step.lookups)
      for (let i = 0, at = row; i < sizes.length; at += sizes[i++]) product([1], weight, at + obs[first + i] - starts[i], y);
    vectors[step.target] = Float32Array.from(step.activation ? y.map(ACTIVATIONS[step.activation]) : y);
  },

  gate(policy, vectors, obs, step) {
    const seen = vectors[step.seen], kept = vectors[step.kept], size = step.size;
    vectors.carry = vectors.carry.map((c, i) => {
      const gate = (k) => Math.tanh((seen[k] + kept[k]) / 2) / 2 + 0.5;
      const candidate = Math.tanh(seen[2 * size + i] + gate(i) * kept[2 * size + i]);
      return candidate + gate(size + i) * (c - candidate);
    });
  },
};

// Rounds halves to the even number, as NumPy does.
function rounded(x) {
  const up = Math.floor(x + 0.5);
  return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up;
}

// The nearest number of half precision.
function half(x) {
  const unit = 2 ** Math.max(Math.floor(Math.log2(Math.abs(x) || 1)) - 10, -24);
  return rounded(x / unit) * unit;
}

const HEADS = {
  choices(outputs, mask, head, action) {
    let from = head.output, at = head.mask;
    head.sizes.forEach((size, i) => {
      let best = -1;
      for (let k = 0; k < size; k++)
        if ((!mask || mask[at + k]) && (best < 0 || outputs[from + k] > outputs[from + best])) best = k;
      action[head.first + i] = head.starts[i] + Math.max(best, 0);
      from += size;
      at += size;
    });
  },

  bits(outputs, mask, head, action) {
    for (let i = 0; i < head.size; i++) {
      const at = head.mask + 2 * i;
      const is_one = outputs[head.output + i] > 0 || (mask && !mask[at]);
      action[head.first + i] = is_one && !(mask && !mask[at + 1]) ? 1 : 0;
    }
  },

  reals(outputs, mask, head, action) {
    const number = { float16: half, float32: Math.fround, float64: (x) => x }[head.type] || rounded;
    for (let i = 0; i < head.size; i++) {
      const x = outputs[head.output + i] * head.half_range[i] + head.center[i];
      action[head.first + i] = number(Math.min(Math.max(x, limit(head.low[i], -1)), limit(head.high[i], 1)));
    }
  },
};

// A bound; null: there is none. (JSON has no infinity.)
function limit(bound, sign) {
  return bound === null ? sign * Infinity : bound;
}

if (typeof module !== "undefined") module.exports = { Policy };
