// Tables of the class "sortable" are sorted by a click on the head of a column, unless that has the class "unsorted". An input with
// data-filter="NAME" shows the rows of the table with the id NAME whose first cell has its text, and with data-details those
// sections with a matching title.
(() => {
  const value = c => { const t = c ? c.textContent.trim() : "", n = parseFloat(t.replaceAll(",", "").replace(/[<>] /, "")); return isNaN(n) ? t : n };
  const place = (r, column) => { let i = 0; for (const c of r.cells) { if (i === column) return c; i += c.colSpan; if (i > column) return null } };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0], heads = table.tHead.rows[0].cells;
    for (const th of heads) {
      if (th.classList.contains("unsorted")) continue;
      const b = document.createElement("button"); b.type = "button"; b.append(...th.childNodes); th.replaceChildren(b);
      b.addEventListener("click", () => {
        const up = th.getAttribute("aria-sort") !== "descending" ? -1 : 1;
        for (const other of heads) other.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", up < 0 ? "descending" : "ascending");
        body.append(...[...body.rows].sort((a, b) => { const x = value(place(a, th.cellIndex)), y = value(place(b, th.cellIndex)); return typeof x === typeof y ? up * (x > y ? 1 : x < y ? -1 : 0) : typeof x === "number" ? -1 : 1 }));
      });
    }
  }
  for (const input of document.querySelectorAll("input[data-filter]")) {
    const table = document.getElementById(input.dataset.filter), details = "details" in input.dataset ? [...document.querySelectorAll("details[id]")] : [];
    input.closest("[hidden]")?.removeAttribute("hidden");
    input.addEventListener("input", () => {
      const want = input.value.toLowerCase(), show = (e, t) => { e.hidden = !t.toLowerCase().includes(want) };
      for (const row of table.tBodies[0].rows) show(row, row.cells[0].textContent);
      for (const d of details) show(d, d.querySelector("b").textContent);
    });
  }
  const open = () => { const d = document.getElementById(location.hash.slice(1))?.closest("details"); if (d) d.open = true };
  addEventListener("hashchange", open); open();
})();
