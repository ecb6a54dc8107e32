// Sorting by column and filtering by text, for every table that asks for it; without this script the tables stay whole.
"use strict";
(() => {
  const say = (text) => { document.getElementById("status").textContent = text; };

  // A cell's number: stated where its text is not the number, and null where there is none.
  function numberIn(cell) {
    const text = cell.dataset.v ?? cell.textContent.trim();
    return text === "" || Number.isNaN(Number(text)) ? null : Number(text);
  }

  function sortBy(table, head, index) {
    const up = head.getAttribute("aria-sort") === "ascending";
    const wanted = head.hasAttribute("aria-sort") ? (up ? "descending" : "ascending") : head.dataset.first || "ascending";
    const sign = wanted === "ascending" ? 1 : -1;
    const key = (row) => head.dataset.kind === "text" ? row.cells[index].textContent.trim().toLocaleLowerCase("en") : numberIn(row.cells[index]);
    const rows = [...table.tBodies[0].rows].map((row, place) => [key(row), place, row]);
    rows.sort((a, b) => {
      if (a[0] === null || b[0] === null) return (a[0] === null) - (b[0] === null) || a[1] - b[1];
      return sign * (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0) || a[1] - b[1];
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", wanted);
    table.tBodies[0].append(...rows.map((row) => row[2]));
    say(`Sorted by ${head.textContent.trim()}, ${wanted}`);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(table, head, index));
    });
  }

  for (const input of document.querySelectorAll("input[data-filters]")) {
    const bodies = [...document.querySelectorAll(input.dataset.filters)];
    input.closest("[hidden]")?.removeAttribute("hidden");
    input.addEventListener("input", () => {
      const words = input.value.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of bodies.flatMap((body) => [...body.rows])) {
        const text = row.cells[0].textContent.toLocaleLowerCase("en");
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      for (const box of input.dataset.folds ? document.querySelectorAll(input.dataset.folds) : []) {
        box.hidden = [...box.querySelectorAll("tbody tr")].every((row) => row.hidden);
        box.open = words.length > 0 && !box.hidden;
      }
      say(`${shown} ${shown === 1 ? "row" : "rows"} shown`);
    });
  }

  // On paper nothing can be unfolded; what was closed is closed again afterwards.
  let unfolded = [];
  window.addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not([open])")].filter((box) => !box.closest("#clips"));
    for (const box of unfolded) box.open = true;
  });
  window.addEventListener("afterprint", () => { for (const box of unfolded) box.open = false; });
})();
