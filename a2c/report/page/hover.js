"use strict";
// Shows the values under the pointer or, with the arrow keys, at one point after another.
let hideOther = () => {};
const shown = (value) => value.toLocaleString("en", { maximumSignificantDigits: 5 });
for (const plot of document.querySelectorAll(".plot[data-points]")) {
  const data = JSON.parse(plot.dataset.points);
  const places = [...new Set(data.series.flatMap((one) => one.x))].filter((x) => x !== null).sort((a, b) => a - b);
  if (!places.length) continue;
  const cross = document.createElement("div"), tip = document.createElement("div");
  cross.className = "cross";
  tip.className = "tip";
  tip.setAttribute("role", "status");
  let at = -1;
  const nearest = (xs, x) => {
    let best = -1;
    xs.forEach((one, i) => { if (one !== null && (best < 0 || Math.abs(one - x) < Math.abs(xs[best] - x))) best = i; });
    return best;
  };
  const hide = () => { cross.remove(); tip.remove(); };
  const show = (index) => {
    if (hideOther !== hide) hideOther();
    hideOther = hide;
    at = Math.max(0, Math.min(places.length - 1, index));
    const x = places[at], span = data.x[1] - data.x[0], percent = ((x - data.x[0]) / span) * 100;
    const reach = span / 50;
    tip.replaceChildren();
    const head = document.createElement("strong");
    head.textContent = data.names.length ? data.names[x] : `${shown(x)} ${plot.dataset.x}`;
    tip.append(head);
    for (const one of data.series) {
      const i = nearest(one.x, x);
      if (i < 0 || one.y[i] === null || Math.abs(one.x[i] - x) > reach) continue;
      const line = document.createElement("div");
      line.textContent = `${one.label}: ${shown(one.y[i])}`;
      tip.append(line);
    }
    cross.style.left = `${percent}%`;
    tip.style.left = percent < 50 ? `calc(${percent}% + 8px)` : "auto";
    tip.style.right = percent < 50 ? "auto" : `calc(${100 - percent}% + 8px)`;
    plot.append(cross, tip);
  };
  const move = (event) => {
    const box = plot.getBoundingClientRect();
    show(nearest(places, data.x[0] + ((event.clientX - box.left) / box.width) * (data.x[1] - data.x[0])));
  };
  plot.addEventListener("pointermove", move);
  plot.addEventListener("pointerdown", move);
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (by === undefined) return;
    event.preventDefault();
    show(at < 0 ? 0 : at + by);
  });
}
addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.open = true; });
