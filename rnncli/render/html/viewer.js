// The viewer: one recording at a time, every step of one core, as heat map, curves and coloured text.

const chosen = { target: 0, sample: 0, core: 0, layer: -1, direction: "fwd", quantity: "h", unit: 0, step: 0 };
// layer -1: none yet, so the top one
const CONTROLS = ["target", "sample", "core", "layer", "direction", "quantity", "unit"];
const unpacked = new Map();

function unique(values) { return [...new Set(values)]; }

function targets() { return unique(data.recordings.map((one) => one.target)); }
function samples() { return data.recordings.filter((one) => one.target === targets()[chosen.target]); }
function core() { return samples()[chosen.sample].cores[chosen.core]; }
function places() { return Object.keys(core().values).map((name) => { const [layer, direction, ...rest] = name.split("."); return { layer: Number(layer.slice(1)), direction, quantity: rest.join(".") }; }); }
function valuesOf(quantity) {
  const packed = core().values[`l${chosen.layer}.${chosen.direction}.${quantity}`];
  if (!unpacked.has(packed)) unpacked.set(packed, unpack(packed));
  return unpacked.get(packed);  // [step][unit]
}
function quantities() { return places().filter((one) => one.layer === chosen.layer && one.direction === chosen.direction).map((one) => one.quantity); }
function token(step) { return core().tokens ? core().tokens[step] : `${step}`; }

// name of a control -> [[value, text]]
function choices(name) {
  if (name === "target") return targets().map((text, k) => [k, text]);
  if (name === "sample") return samples().map((one, k) => [k, one.sample]);
  if (name === "core") return samples()[chosen.sample].cores.map((one, k) => [k, `${one.name}: ${one.about}`]);
  if (name === "layer") return unique(places().map((one) => one.layer)).map((layer) => [layer, `${layer}`]);
  if (name === "direction") return unique(places().filter((one) => one.layer === chosen.layer).map((one) => one.direction)).map((one) => [one, words[one]]);
  if (name === "quantity") return quantities().map((one) => [one, core().words[one] ? `${one}  ${core().words[one]}` : one]);
  return Array.from({ length: valuesOf(chosen.quantity)[0].length }, (_, unit) => [unit, `${unit}`]);
}

function makeViewer() {
  const home = document.getElementById("controls");
  for (const name of CONTROLS) {
    const box = document.createElement("label"), select = document.createElement("select");
    box.textContent = words[name];
    select.id = `choose-${name}`;
    select.addEventListener("change", () => {
      chosen[name] = typeof chosen[name] === "number" ? Number(select.value) : select.value;
      drawViewer();
    });
    box.append(select);
    home.append(box);
  }
  const cores = samples()[0].cores;  // first the one that answers, or reads tokens
  chosen.core = Math.max(0, cores.findIndex((one) => one.answers), cores.findIndex((one) => one.tokens));
  document.getElementById("panels").addEventListener("keydown", moveByKey);
  document.getElementById("heat").addEventListener("click", chooseByClick);
}

function fillControls() {
  for (const name of CONTROLS) {
    const offered = choices(name);
    if (!offered.some(([value]) => value === chosen[name])) chosen[name] = name === "layer" ? offered.at(-1)[0] : offered[0][0];
    const select = document.getElementById(`choose-${name}`);
    select.replaceChildren(...offered.map(([value, text]) => new Option(text, value, false, value === chosen[name])));
    select.disabled = offered.length < 2;
    select.parentElement.hidden = name === "target" && offered.length < 2;
  }
  chosen.step = Math.min(chosen.step, valuesOf(chosen.quantity).length - 1);
}

function chooseByClick(event) {
  const heat = document.getElementById("heat"), box = heat.getBoundingClientRect(), { xaxis, yaxis } = heat._fullLayout;
  const step = Math.round(xaxis.p2l(event.clientX - box.left - xaxis._offset));
  const unit = Math.round(yaxis.p2l(event.clientY - box.top - yaxis._offset));
  const rows = valuesOf(chosen.quantity);
  if (step >= 0 && step < rows.length && unit >= 0 && unit < rows[0].length) choose(step, unit);
}

function moveByKey(event) {
  const steps = valuesOf(chosen.quantity).length, units = valuesOf(chosen.quantity)[0].length;
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-steps, 0], End: [steps, 0] };
  if (!moves[event.key]) return;
  event.preventDefault();
  const bounded = (value, n) => Math.max(0, Math.min(n - 1, value));
  choose(bounded(chosen.step + moves[event.key][0], steps), bounded(chosen.unit + moves[event.key][1], units));
}

function choose(step, unit) {
  const otherUnit = unit !== chosen.unit;
  Object.assign(chosen, { step, unit });
  document.getElementById("choose-unit").value = unit;
  readout(step, unit);
  Plotly.relayout("heat", { shapes: cursor(true) });
  if (otherUnit) { drawLines(); drawText(); } else { Plotly.relayout("lines", { shapes: cursor(false) }); markText(); }
}

function drawViewer() {
  fillControls();
  drawHeat();
  drawLines();
  drawText();
  readout(chosen.step, chosen.unit);
}

function readout(step, unit) {
  const home = document.getElementById("readout"), one = core();
  const bold = document.createElement("b");
  bold.textContent = `t = ${step}`;
  const parts = [bold];
  if (one.tokens) parts.push(`  ${words.reads} ${one.tokens[step]}`);
  const answer = one.answers && one.answers[step];
  if (answer) parts.push(`  ${words.answers} ${answer[0]} (p = ${number(answer[1])})` + (answer[2] ? `, ${words.asked} ${answer[2]}` : ""));
  const line = document.createElement("div"), numbers = document.createElement("div");
  line.append(...parts);
  for (const quantity of quantities()) {
    const values = valuesOf(quantity)[step];
    if (unit >= values.length) continue;  // a projected h has fewer units than c and the gates
    const value = document.createElement("span");
    value.className = quantity === chosen.quantity ? "value n chosen" : "value n";
    value.dataset.quantity = quantity;
    value.textContent = `${quantity}[${unit}] ${number(values[unit])}`;
    numbers.append(value);
  }
  home.replaceChildren(line, numbers);
}

function cursor(row) {
  const { ink } = colours();
  const line = { color: ink, width: 1.5 };
  const column = { type: "rect", xref: "x", yref: "paper", x0: chosen.step - 0.5, x1: chosen.step + 0.5, y0: 0, y1: 1, line: { color: ink, width: 1, dash: "dot" } };
  return row ? [column, { type: "rect", xref: "paper", yref: "y", x0: 0, x1: 1, y0: chosen.unit - 0.5, y1: chosen.unit + 0.5, line }] : [column];
}

// Width of the panels: as wide as the page, or wider, so that every token has room; then they scroll.
function panelWidth() {
  const steps = valuesOf(chosen.quantity).length, room = document.getElementById("panels").clientWidth;
  const cell = core().tokens ? 17 : 4;
  return Math.max(Math.min(room, 70 + 64 * Math.max(4, steps)), printing ? 0 : 70 + cell * steps);
}

const MARGIN = { l: 52, r: 14, t: 8, b: 8 };

function stepAxis(withTokens) {
  const steps = valuesOf(chosen.quantity).length, tokens = core().tokens;
  const across = (panelWidth() - MARGIN.l - MARGIN.r) / steps;
  const shown = tokens && withTokens ? ticks(steps, steps) : ticks(steps, (across * steps) / 34);
  const long = tokens && withTokens && Math.max(...tokens.map((text) => [...text].length)) * 8 > across;
  return { range: [-0.5, steps - 0.5], tickvals: shown, ticktext: shown.map((t) => (tokens && withTokens ? label([...tokens[t]].slice(0, 14).join("")) : `${t}`)),
    tickangle: long ? -90 : 0, showgrid: false, zeroline: false, automargin: false, ticks: "", fixedrange: true,
    tickfont: { family: "ui-monospace, Menlo, Consolas, monospace" } };
}

function drawHeat() {
  const place = document.getElementById("heat"), rows = valuesOf(chosen.quantity);
  const steps = rows.length, units = rows[0].length, width = panelWidth();
  const [low, high] = scaleOf(rows);
  const down = Math.max(7, Math.min(26, 420 / units)), across = (width - 70) / steps;
  const tokens = core().tokens || [];
  const long = Math.max(1, ...tokens.map((text) => [...text].length));
  const below = tokens.length && long * 8 > across ? Math.min(14, long) * 8 + 18 : 30;
  const byUnit = Array.from({ length: units }, (_, unit) => Array.from(rows, (row) => row[unit]));
  const text = byUnit.map((row) => row.map((value, t) => `t = ${t}  ${label(token(t))}<br>${chosen.quantity}[`));
  const shown = ticks(units, (down * units) / 15);
  const written = down >= 14 && across >= 42;
  Plotly.react(place, [{
    type: "heatmap", z: drawable(byUnit), zmin: low, zmax: high, colorscale: colourScale(low < 0), showscale: false, hoverongaps: true,
    customdata: text, hovertemplate: "%{customdata}%{y}] %{z:.4f}<extra></extra>", xgap: across > 12 ? 1 : 0, ygap: down > 12 ? 1 : 0,
    text: byUnit.map((row) => row.map((value) => (Number.isFinite(value) ? (value >= 0 ? "+" : "") + value.toFixed(2) : number(value)))), texttemplate: written ? "%{text}" : undefined,
  }], layoutOf({
    width, height: down * units + MARGIN.t + below, margin: { ...MARGIN, b: below }, dragmode: false, hovermode: "closest",
    xaxis: stepAxis(true), shapes: cursor(true),
    yaxis: { range: [units - 0.5, -0.5], tickvals: shown, ticktext: shown.map(String), title: { text: label(words.unit), standoff: 4 }, showgrid: false, zeroline: false, automargin: false, fixedrange: true },
  }), { displayModeBar: false });
  place.removeAllListeners("plotly_hover");
  place.removeAllListeners("plotly_unhover");
  place.on("plotly_hover", (event) => readout(Math.round(event.points[0].x), Math.round(event.points[0].y)));
  place.on("plotly_unhover", () => readout(chosen.step, chosen.unit));
  drawScale(low, high);
  const one = core(), cut = [];
  if (steps < one.num_steps) cut.push(words.cut_steps.replace("{n}", steps).replace("{all}", one.num_steps));
  if (units < one.num_units) cut.push(words.cut_units.replace("{n}", units).replace("{all}", one.num_units));
  document.getElementById("cut").textContent = cut.length ? `${cut.join("; ")}; ${words.all}` : "";
}

function drawScale(low, high) {
  const stops = Array.from({ length: 11 }, (_, k) => rgb(colourOf(low + ((high - low) * k) / 10, low, high)));
  const bar = document.createElement("i");
  bar.style.background = `linear-gradient(to right, ${stops.join(",")})`;
  document.getElementById("scale").replaceChildren(number(low), bar, (low < 0 ? "+" : "") + number(high));
}

function drawLines() {
  const steps = valuesOf(chosen.quantity).length;
  const drawn = quantities().filter((quantity) => chosen.unit < valuesOf(quantity)[0].length);
  const traces = drawn.map((quantity, k) => ({
    type: "scatter", mode: steps <= 80 ? "lines+markers" : "lines", name: quantity, x: Array.from({ length: steps }, (_, t) => t),
    y: drawable([valuesOf(quantity).map((row) => row[chosen.unit])])[0], visible: quantity === chosen.quantity || drawn.length <= 2 ? true : "legendonly",
    line: { color: look(k).color, dash: look(k).dash, width: quantity === chosen.quantity ? 2.5 : 1.5 },
    marker: { symbol: look(k).symbol, size: 5 }, hovertemplate: "%{y:.4f}",
  }));
  Plotly.react("lines", traces, layoutOf({
    width: panelWidth(), height: 210, margin: { ...MARGIN, t: 34, b: 44 }, hovermode: "x unified", showlegend: true, dragmode: false, shapes: cursor(false),
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, xaxis: { ...stepAxis(false), title: { text: "t", standoff: 2 } },
    yaxis: { title: { text: label(`${words.unit} ${chosen.unit}`), standoff: 4 }, automargin: false, fixedrange: true },
  }), { displayModeBar: false });
}

function drawText() {
  const rows = valuesOf(chosen.quantity);
  const [low, high] = scaleOf(rows);
  document.getElementById("text").replaceChildren(...rows.map((row, t) => {
    const value = row[chosen.unit], button = document.createElement("button"), digit = document.createElement("small");
    const parts = colourOf(value, low, high);
    const size = Math.round((9 * Math.abs(value)) / Math.max(-low, high));
    button.type = "button";
    button.tabIndex = -1;  // the arrow keys of the panel move along the steps
    button.style.background = rgb(parts);
    button.style.color = inkOn(parts);
    button.title = `t = ${t}: ${number(value)}`;
    digit.textContent = Number.isFinite(value) ? (value < 0 ? "-" : "+") + size : "?";
    button.append(token(t), digit);
    button.addEventListener("click", () => choose(t, chosen.unit));
    button.addEventListener("mouseenter", () => readout(t, chosen.unit));
    button.addEventListener("mouseleave", () => readout(chosen.step, chosen.unit));
    return button;
  }));
  markText();
}

function markText() {
  [...document.getElementById("text").children].forEach((button, t) => button.setAttribute("aria-pressed", t === chosen.step));
}
