"use strict";
// What the page shows comes as JSON and is put into the document as text, never as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const words = data.words;
const dark = matchMedia("(prefers-color-scheme: dark)");
const coarse = matchMedia("(pointer: coarse)").matches;

// blue - neutral - orange: colour-blind safe; signs are also written wherever a value is
const COLOURS = {
  light: { ink: "#1c1c1c", dim: "#5a5a5a", grid: "#e3e3e3", negative: [33, 102, 172], middle: [247, 247, 247], positive: [178, 60, 20],
    curves: ["#1f6fb4", "#c2570c", "#1f8a43", "#8a4bb3", "#b0285a", "#6b6b1f"] },
  dark: { ink: "#e6e6e6", dim: "#a9adb2", grid: "#33383d", negative: [92, 165, 235], middle: [40, 44, 49], positive: [245, 140, 75],
    curves: ["#6fb3f2", "#f0a060", "#66cc88", "#c79ae8", "#f084ac", "#cccc70"] },
};
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "cross", "x", "triangle-up"];
// Named one by one: among the library's own there is a button that sends a chart to its maker's servers.
const CONFIG = { displaylogo: false, displayModeBar: coarse ? false : "hover", modeBarButtons: [["toImage", "resetScale2d"]] };

let printing = false;
function colours() { return dark.matches && !printing ? COLOURS.dark : COLOURS.light; }

// How the k-th of several curves looks: after as many as there are colours, with other dashes and symbols.
function look(k) {
  const { curves } = colours(), turn = k + Math.floor(k / curves.length);
  return { color: curves[k % curves.length], dash: DASHES[turn % DASHES.length], symbol: SYMBOLS[turn % SYMBOLS.length] };
}

// The library reads a few HTML tags in its labels; the data's own text must not be among them.
function label(text) { return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); }

// As rnncli writes numbers everywhere: 4 decimals, scientific below 1e-4 and from 1e4.
function number(value) {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return "0";
  const text = value.toFixed(4);
  if (Math.abs(value) >= 1e-4 && Math.abs(Number(text)) < 1e4) return text;
  return value.toExponential(4).replace(/e([+-])(\d)$/, "e$10$2");
}

// {rows, columns, data: base64 of little-endian float32} -> [row][column]
function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: packed.rows }, (_, i) =>
    Float32Array.from({ length: packed.columns }, (_, j) => view.getFloat32(4 * (i * packed.columns + j), true)));
}

function drawable(rows) { return rows.map((row) => Array.from(row, (value) => (Number.isFinite(value) ? value : null))); }

// [low, high] of a scale: symmetric about zero where any value is negative, else from zero; 1 where values fit into it
function scaleOf(rows) {
  let low = 0, high = 0;
  for (const row of rows) for (const value of row) if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
  const most = Math.max(-low, high);
  const reach = most <= 1 && most > 0.1 ? 1 : most || 1;
  return [low < 0 ? -reach : 0, reach];
}

function rgb(parts) { return `rgb(${parts.map(Math.round).join(",")})`; }

function colourOf(value, low, high) {
  const { negative, middle, positive } = colours();
  if (!Number.isFinite(value)) return [128, 128, 128];
  const share = Math.min(1, value < 0 ? value / (low || -1) : value / (high || 1));
  const end = value < 0 ? negative : positive;
  return middle.map((m, k) => m + (end[k] - m) * share);
}

function inkOn(parts) { return 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2] > 140 ? "#000" : "#fff"; }

function colourScale(signed) {
  const { negative, middle, positive } = colours();
  return signed ? [[0, rgb(negative)], [0.5, rgb(middle)], [1, rgb(positive)]] : [[0, rgb(middle)], [1, rgb(positive)]];
}

function layoutOf(extra) {
  const { ink, dim, grid } = colours();
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true, fixedrange: coarse };
  return Object.assign({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: coarse ? false : "zoom",
    font: { color: ink, size: 12, family: "system-ui, sans-serif" }, margin: { l: 56, r: 16, t: 16, b: 48 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: dim, activecolor: ink },
    hoverlabel: { font: { family: "ui-monospace, Menlo, Consolas, monospace" } },
  }, extra, { xaxis: { ...axis, ...extra.xaxis }, yaxis: { ...axis, ...extra.yaxis } });
}

// At most `most` of n places, evenly
function ticks(n, most) {
  const step = Math.max(1, Math.ceil(n / Math.max(1, most)));
  return Array.from({ length: Math.ceil(n / step) }, (_, k) => k * step);
}

// Texts instead of numbers along an axis, as many as fit next to each other.
function datedAxis(place, texts) {
  const longest = Math.max(...texts.map((text) => text.length));
  const shown = ticks(texts.length, (place.clientWidth - 72) / (7.5 * longest + 24));
  return { type: "category", range: [-0.5, texts.length - 0.5], tickangle: 0, tickvals: shown, ticktext: shown.map((k) => label(texts[k])) };
}

function drawSeries(place, figure) {
  const { dim } = colours();
  const lone = figure.x.length < 2, dated = figure.ticks.length > 0;
  const own = Object.keys(figure.lines).filter((name) => !figure.band.includes(name));
  const traces = Object.entries(figure.lines).map(([name, values]) => {
    const { color, dash, symbol } = look(own.indexOf(name));
    return {
      type: "scatter", mode: lone || figure.x.length <= 40 ? "lines+markers" : "lines", name: label(name),
      x: dated ? figure.ticks.map(label) : figure.x, y: values, connectgaps: true,
      line: { color, dash, width: 2 }, marker: { symbol, size: 6 },
      ...(figure.band.includes(name) ? { mode: "lines", line: { color: dim, width: 1 } } : {}),
      ...(name === figure.band[1] ? { fill: "tonexty", fillcolor: "rgba(128,128,128,0.25)" } : {}),  // the lower one is drawn before it
    };
  });
  const marks = Object.entries(figure.marks);
  const named = traces.length > 1 ? Math.ceil(traces.reduce((sum, one) => sum + 7 * one.name.length + 62, 0) / (place.clientWidth - 72)) : 0;
  const whole = figure.x.every(Number.isInteger) && figure.x.at(-1) - figure.x[0] <= 8;
  Plotly.react(place, traces, layoutOf({
    width: place.clientWidth || undefined, height: 300 + 20 * named, hovermode: "x unified", showlegend: traces.length > 1,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal" }, margin: { l: 56, r: 16, t: 30 + 20 * named, b: 48 },
    xaxis: { title: { text: label(figure.x_label) }, ...(dated ? datedAxis(place, figure.ticks) : whole ? { dtick: 1 } : {}) },
    yaxis: { title: { text: label(figure.y_label) }, type: figure.log_y ? "log" : "linear" },
    shapes: marks.map(([, x]) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: dim, dash: "dot", width: 1 } })),
    annotations: marks.map(([name, x]) => ({ x, yref: "paper", y: 0, yanchor: "bottom", xanchor: x > (figure.x[0] + figure.x.at(-1)) / 2 ? "right" : "left", showarrow: false, text: label(name), font: { color: dim } })),
  }), CONFIG);
}

function drawHeatMap(place, figure) {
  const rows = unpack(figure.values);
  const [low, high] = scaleOf(rows);
  const columns = figure.values.columns;
  const longest = Math.min(14, Math.max(1, ...figure.row_labels.map((text) => text.length)));
  const width = Math.min(place.clientWidth, figure.square || columns > 60 ? Infinity : 120 + 8 * longest + 64 * Math.max(3, columns));
  const across = (width - 60 - 8 * longest) / Math.max(1, columns);
  const down = figure.square ? Math.max(3, Math.min(14, across)) : Math.min(30, Math.max(3, 460 / figure.values.rows));
  const shownRows = ticks(figure.values.rows, (down * figure.values.rows) / 15);
  const names = figure.column_labels, longestName = Math.max(1, ...names.map((text) => text.length));
  const many = columns > 60;  // a measure rather than names: labels lie flat, as many as fit, one for columns of one name
  const starts = names.flatMap((text, k) => (k === 0 || text !== names[k - 1]) && text ? [k] : []);
  const shownColumns = ticks(starts.length, (across * columns) / (many ? 8 * longestName + 8 : 17)).map((k) => starts[k]);
  const written = down >= 15 && across >= 36 ? rows.map((row) => Array.from(row, (value) => (!Number.isFinite(value) ? "" : Math.abs(value) < 0.005 ? "" : Number.isInteger(value) ? String(value) : value.toFixed(2)))) : null;
  Plotly.react(place, [{
    type: "heatmap", z: drawable(rows), zmin: low, zmax: high, colorscale: colourScale(low < 0), xgap: across > 12 ? 1 : 0, ygap: down > 12 ? 1 : 0,
    customdata: figure.row_labels.map((row) => figure.column_labels.map((column) => `${label(row)} / ${label(column)}`)),
    hovertemplate: "%{customdata}<br>%{z:.4~f}<extra></extra>", text: written, texttemplate: written ? "%{text}" : undefined, hoverongaps: false,
    colorbar: { thickness: 10, outlinewidth: 0, len: 1 }, showscale: width > 500,
  }], layoutOf({
    width, height: Math.max(90, down * figure.values.rows) + 40 + (!many && longestName > 2 ? 80 : 24) + (coarse ? 0 : 18),
    margin: { l: 40, r: 8, t: coarse ? 12 : 30, b: 30 },
    xaxis: { title: { text: label(figure.column_axis) }, tickvals: shownColumns, ticktext: shownColumns.map((k) => label(names[k])), ...(many ? { tickangle: 0 } : {}), showgrid: false, zeroline: false,
      constrain: "domain" },
    yaxis: { title: { text: label(figure.row_axis) }, autorange: "reversed", tickvals: shownRows, ticktext: shownRows.map((k) => label(figure.row_labels[k] ?? "")), showgrid: false, zeroline: false,
      ...(figure.square ? { scaleanchor: "x", constrain: "domain" } : {}) },
  }), CONFIG);
}

function drawAll() {
  for (const place of document.querySelectorAll(".plot")) {
    const figure = data.figures[Number(place.dataset.figure)];
    (figure.kind === "series" ? drawSeries : drawHeatMap)(place, figure);
  }
  if (data.recordings.length) drawViewer();
}

// On paper: as wide as an A4 page, dark on white.
function onPaper(now) {
  printing = now;
  document.body.classList.toggle("paper", now);
  drawAll();
}

async function library() {
  const bytes = Uint8Array.from(atob(document.getElementById("library").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

async function begin() {
  await library();
  if (data.recordings.length) makeViewer();
  drawAll();
  dark.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => onPaper(true));
  addEventListener("afterprint", () => onPaper(false));
  let width = innerWidth, waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return;  // a phone's address bar changes the height only
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
  document.documentElement.dataset.ready = "yes";
}

begin().catch((error) => {
  document.getElementById("trouble").textContent = `${words.trouble} ${error}`;
  console.error(error);
});
