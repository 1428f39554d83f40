// The page's own script: the curve, the dialog of an event, and what is said when the node is away.
// Everything else is HTML that the node sends (htmx).

const KEPT = 300;
const LEAST_S = 60; // a curve that has just begun is not drawn out over the whole width
const STEPS_S = [1, 5, 10, 15, 30, 60, 120, 300];
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000]; // events
const curve = document.getElementById("curve");
const stream = document.getElementById("stream");
const lost = document.getElementById("lost");
const points = [[], [], []]; // Unix seconds, stored, given
const SILENT_MS = 15_000;
let plot = null;
let heard = Date.now();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function room() {
  return { width: curve.clientWidth, height: Math.max(180, curve.clientHeight) };
}

function draw() {
  if (plot) plot.destroy();
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  const line = (name) => ({ stroke: colour(name), width: 2, fill: colour(`${name}-soft`), points: { show: false } });
  plot = new uPlot({
    ...room(),
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { range: (_, low, high) => [Math.min(low, high - LEAST_S), high] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
    axes: [{ ...axis, size: 30, space: 90, incrs: STEPS_S, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 46, incrs: WHOLE }],
    series: [{}, line("--in"), line("--out")],
  }, points, curve);
}

function clock(seconds) {
  return new Date(seconds * 1000).toISOString().slice(11, 19);
}

function rate(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")}/s`;
}

stream.addEventListener("figures", (event) => {
  hear();
  for (const point of JSON.parse(event.detail.data)) {
    if (point[0] <= (points[0].at(-1) ?? 0)) continue;
    point.forEach((value, at) => points[at].push(value));
  }
  points.forEach((list) => list.splice(0, Math.max(0, list.length - KEPT)));
  if (!points[0].length) return;
  document.getElementById("rate-in").textContent = rate(points[1].at(-1));
  document.getElementById("rate-out").textContent = rate(points[2].at(-1));
  plot.setData(points);
});

// A session that is over, or a node that started again: the page says how to log in.
stream.addEventListener("over", () => location.reload());
document.addEventListener("htmx:sse:after:connection", hear);
document.addEventListener("htmx:sse:error", (event) => {
  if (event.detail.status === 401) location.reload();
  lost.hidden = false;
});
document.addEventListener("htmx:sse:close", () => { lost.hidden = false; });

// There is a sign of life every two seconds while the page is looked at. Where none comes, the
// connection may be dead without a word (a telephone that changed its network), or was refused at
// once: the page begins anew as soon as the node answers.
function hear() {
  heard = Date.now();
  lost.hidden = true;
}

async function listen() {
  if (document.hidden) heard = Date.now();
  if (Date.now() - heard < SILENT_MS) return;
  lost.hidden = false;
  const answer = await fetch("/", { cache: "no-store" }).catch(() => null);
  if (answer?.ok && Date.now() - heard >= SILENT_MS) location.reload();
}

setInterval(listen, 5_000);

// Who is logged in already needs no link: it is not to stay in the address bar.
function forgetLink() {
  const name = location.hash.slice(1);
  if (name && !document.getElementById(name)) history.replaceState(null, "", location.pathname + location.search);
}

// A page that begins anew asks for the same events.
const filter = document.getElementById("filter");
filter.addEventListener("input", () => {
  const asked = new URLSearchParams([...new FormData(filter)].filter(([, value]) => value));
  history.replaceState(null, "", `${location.pathname}${asked.size ? `?${asked}` : ""}${location.hash}`);
});

forgetLink();
addEventListener("hashchange", forgetLink);

const dialog = document.getElementById("event");
document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx?.target?.id === "event" && !dialog.open && dialog.childElementCount) dialog.showModal();
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

// What came of a button is said where it is seen, for a while; the page shows the effect itself.
const told = document.getElementById("told");
let telling = 0;
new MutationObserver(() => {
  clearTimeout(telling);
  if (told.textContent) telling = setTimeout(() => told.replaceChildren(), 20_000);
}).observe(told, { childList: true });

draw();
new ResizeObserver(() => plot.setSize(room())).observe(curve);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
