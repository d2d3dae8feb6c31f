// Charts over time with axes, units, and the values of one moment on hover, touch, or with the arrow keys.

import { h, svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;
// The time of the moment that is read in each chart, by its name: it stays when the chart is refreshed.
const read = new Map();

// Forget the moments of charts that are no longer shown.
export const forgetMoments = () => read.clear();

const time = (at, days) => {
  const moment = new Date(at);
  const text = moment.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return days ? `${moment.toLocaleDateString("en-GB", { weekday: "short", day: "numeric" })} ${text}` : text;
};

// The end of the axis: the value itself, rounded up to one of few digits.
function top(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * unit).find((end) => end >= value);
}

function bars(points, series, most) {
  const step = WIDTH / points.length;
  return points.flatMap((point, index) => {
    let below = 0;
    return series.map(({ name, value }) => {
      const height = (value(point) / most) * HEIGHT;
      below += height;
      const place = { x: index * step + step * 0.08, width: step * 0.84, y: HEIGHT - below, height };
      return svg("rect", { ...place, class: `bar ${name}` });
    });
  });
}

function lines(points, series, most) {
  const step = WIDTH / points.length;
  return series.map(({ name, value }) => {
    let path = "";
    let before = false;
    points.forEach((point, index) => {
      const found = value(point);
      const place = `${(index + 0.5) * step},${HEIGHT - ((found ?? 0) / most) * HEIGHT}`;
      // A point without neighbors is a line of no length, which a round end shows as a dot.
      if (found !== null) path += before ? `L${place}` : `M${place}l0.01,0`;
      before = found !== null;
    });
    return svg("path", { d: path, class: `line ${name}` });
  });
}

// `series` are {name, label, value(point)}; null is no value. `kind` is "bars", which are stacked, or "lines". `format` writes a
// value with its unit, `summary` the whole time.
export function chart({ name, title, points, series, kind, format, summary, days }) {
  const values = points.map((point) => series.map(({ value }) => value(point) ?? 0));
  const most = top(
    Math.max(1, ...values.map((all) => (kind === "bars" ? all.reduce((sum, one) => sum + one, 0) : Math.max(...all)))),
  );
  const known = points.findIndex((point) => point.at === read.get(name));
  const index = known < 0 ? undefined : known;
  const output = h("output", { class: "readout" });
  const cursor = svg("rect", { y: 0, height: HEIGHT, width: WIDTH / points.length, class: "cursor" });
  const slider = h("input", {
    type: "range",
    min: 0,
    max: points.length - 1,
    value: index ?? points.length - 1,
    "aria-label": `Moment of ${title}`,
  });
  const write = (place) => {
    const point = points[place];
    if (point === undefined) {
      read.delete(name);
      output.textContent = summary;
      slider.setAttribute("aria-valuetext", summary);
    } else {
      read.set(name, point.at);
      const shown = series.map(({ label, value }) => (value(point) === null ? "" : `${format(value(point))} ${label}`));
      output.textContent = `${time(point.at, days)}: ${shown.filter(Boolean).join(", ") || "nothing"}`;
      slider.setAttribute("aria-valuetext", output.textContent);
    }
    cursor.setAttribute("x", ((place ?? -1) * WIDTH) / points.length);
    cursor.setAttribute("class", point === undefined ? "cursor none" : "cursor");
  };
  // The handlers find the elements that are shown: after a refresh they are those of an earlier chart.
  const choose = (event, place) => {
    const figure = event.currentTarget.closest("figure");
    write(place);
    figure.querySelector("output").textContent = output.textContent;
    figure.querySelector("input").setAttribute("aria-valuetext", output.textContent);
    for (const attribute of ["x", "class"])
      figure.querySelector("rect.cursor").setAttribute(attribute, cursor.getAttribute(attribute));
  };
  write(index);
  slider.oninput = (event) => choose(event, Number(event.currentTarget.value));
  slider.onblur = (event) => choose(event, undefined);
  const drawing = svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${title}: ${summary}`,
    },
    cursor,
    ...[0, 0.5, 1].map((part) =>
      svg("line", {
        x1: 0,
        x2: WIDTH,
        y1: part * HEIGHT,
        y2: part * HEIGHT,
        class: part === 1 ? "axis" : "axis faint",
      }),
    ),
    ...(kind === "bars" ? bars : lines)(points, series, most),
  );
  drawing.onpointermove = (event) => {
    const share = event.offsetX / event.currentTarget.clientWidth;
    choose(event, Math.max(0, Math.min(points.length - 1, Math.floor(share * points.length))));
  };
  drawing.onpointerleave = (event) => choose(event, undefined);
  const middle = points[Math.floor(points.length / 2)];
  return h(
    "figure",
    { class: "chart" },
    h(
      "figcaption",
      {},
      h("strong", {}, title),
      series.map(({ name, label }) => h("span", { class: `key ${name}` }, label)),
      output,
    ),
    h(
      "div",
      { class: "y", "aria-hidden": "true" },
      [most, most / 2, 0].map((value) => h("span", {}, format(value))),
    ),
    drawing,
    h(
      "div",
      { class: "x", "aria-hidden": "true" },
      [points[0], middle, points.at(-1)].map((point) => h("span", {}, time(point.at, days))),
    ),
    slider,
  );
}
