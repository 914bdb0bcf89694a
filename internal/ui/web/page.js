// What scripts add to a page that is complete without them: plots, and tables that can be sorted.
import { axisX, axisY, barY, dot, lineY, plot, pointerX, rectY, ruleX, ruleY, stackY, tip } from "@observablehq/plot";
import "../../webpage/table.js";

const source = document.getElementById("plot");
const data = source ? JSON.parse(source.textContent) : { periods: [], causes: [] };
const span = data.by === "hour" ? 3600e3 : 86400e3;
const periods = data.periods.map(p => ({ ...p, at: new Date(p.from), to: new Date(+new Date(p.from) + span) }));
const percent = x => x === 1 ? "100 %" : `${(100 * x).toFixed(x > 0.999 ? 4 : x > 0.99 ? 3 : 2)} %`;
const when = d => d.toISOString().slice(0, data.by === "hour" ? 16 : 10).replace("T", " ");

const tick = d => d.getUTCHours() > 0 ? d.toISOString().slice(11, 16) : d.toISOString().slice(5, 10);

// What Plot would put into a style element, which the policy of the page forbids, is in style.css. Its parts have labels, which parts of
// a picture must not have.
function draw(figure, label, options) {
  const svg = plot({ ...options, className: "plot", ariaLabel: label, width: Math.max(320, figure.clientWidth), height: 240, marginLeft: 60, x: { type: "utc", label: null }, style: { background: "none" } });
  for (const style of svg.querySelectorAll("style")) style.remove();
  svg.setAttribute("role", "img");
  for (const part of svg.querySelectorAll("[aria-label]")) { part.dataset.part = part.getAttribute("aria-label"); part.removeAttribute("aria-label"); }
  figure.querySelector("svg.plot")?.remove();
  figure.append(svg);
}

const kinds = {
  rate(figure) {
    const least = Math.min(...periods.map(p => Math.min(p.equal, p.compute ?? 1)));
    const compute = periods.filter(p => p.compute !== null);
    const middle = p => new Date((+p.at + +p.to) / 2);
    draw(figure, `Rate of equal values over time, from ${percent(least)} to ${percent(Math.max(...periods.map(p => p.equal)))}; the table below has the numbers`, {
      y: { domain: [Math.min(least - (1 - least) * 0.1, 0.999), 1], grid: true, label: "equal", tickFormat: percent },
      marks: [
        axisY({ tickFormat: percent, ticks: 5 }), axisX({ ticks: 6, tickFormat: tick }),
        ruleY([1], { stroke: "var(--line)" }),
        compute.length > 0 && lineY(compute, { x: middle, y: "compute", stroke: "var(--s1)", strokeDasharray: "5 3" }),
        lineY(periods, { x: middle, y: "equal", stroke: "var(--s0)", strokeWidth: 2 }),
        dot(periods, { x: middle, y: "equal", fill: "var(--s0)", r: 2.5 }),
        tip(periods, pointerX({ x: middle, y: "equal", fill: "var(--bg)", title: p => `${when(p.at)}\n${p.compared.toLocaleString("en")} compared\n${percent(p.equal)} equal${p.compute === null ? "" : `\n${percent(p.compute)} compute parity (dashed)`}` })),
      ],
    });
  },
  causes(figure) {
    const rows = periods.flatMap(p => data.causes.filter(c => p.causes[c]).map(cause => ({ ...p, cause, n: p.causes[cause] })));
    draw(figure, `Values that differ over time, by cause: ${data.causes.join(", ")}; the table below has the numbers`, {
      y: { grid: true, label: "values" },
      color: { type: "identity" },
      marks: [
        axisY({ ticks: 5 }), axisX({ ticks: 6, tickFormat: tick }),
        rectY(rows, stackY({ x1: "at", x2: "to", y: "n", fill: r => `var(--${r.cause})`, order: data.causes.map(c => `var(--${c})`), inset: 0.5 })),
        ruleX(periods, pointerX({ x: p => new Date((+p.at + +p.to) / 2), stroke: "var(--soft)" })),
        tip(periods, pointerX({ x: p => new Date((+p.at + +p.to) / 2), frameAnchor: "top", fill: "var(--bg)", title: p => [when(p.at), ...data.causes.filter(c => p.causes[c]).map(c => `${c} ${p.causes[c].toLocaleString("en")}`)].join("\n") })),
        ruleY([0], { stroke: "var(--line)" }),
      ],
    });
  },
};

if (periods.length > 1) {
  const figures = [...document.querySelectorAll("figure[data-plot]")];
  for (const f of figures) f.hidden = false;
  const all = () => figures.forEach(f => kinds[f.dataset.plot](f));
  all();
  for (const d of document.querySelectorAll("details[data-plotted]")) d.open = false;
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; all(); } });
}
