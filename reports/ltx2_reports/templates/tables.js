// Sorting by column and filtering by text, for every table that asks for it; without this script the tables stay whole.
"use strict";
(() => {
  const say = (text) => { document.getElementById("status").textContent = text; };

  function sortBy(table, head, index) {
    const up = head.getAttribute("aria-sort") === "ascending";
    const wanted = head.hasAttribute("aria-sort") ? (up ? "descending" : "ascending") : head.dataset.first || "ascending";
    const sign = wanted === "ascending" ? 1 : -1;
    const key = (row) => {
      const cell = row.cells[index];
      if (head.dataset.kind === "text") return cell.textContent.trim().toLocaleLowerCase("en");
      return cell.dataset.v === undefined || cell.dataset.v === "" ? null : Number(cell.dataset.v);
    };
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
    const table = document.getElementById(input.dataset.filters);
    input.closest("[hidden]")?.removeAttribute("hidden");
    input.addEventListener("input", () => {
      const words = input.value.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.cells[0].textContent.toLocaleLowerCase("en");
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      say(`${shown} rows shown`);
    });
  }
})();
