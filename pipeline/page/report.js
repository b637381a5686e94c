"use strict";
// Search in the subjects and conditions, whose rows are in the JSON beside each table. Text only ever becomes text.
const STEP = 50;

function searchable(box) {
  const { rows, first, per, runs } = JSON.parse(box.querySelector("script").textContent);
  const [input, kind, order, body, count, more] = ["input", ".kind-of", ".order", "tbody", ".count", "button"].map(
    (name) => box.querySelector(name)
  );
  const names = rows.map((row) => row[0].toLowerCase());
  const total = (row) => runs.reduce((sum, _, run) => sum + row[first + run * per], 0);
  const whole = runs.map((_, run) => Math.max(1, rows.reduce((sum, row) => sum + row[first + run * per], 0)));
  const gain = (row) => Math.abs(row[first + per] / whole[1] - row[first] / whole[0]);
  const orders = {
    most: null, // as they come
    fewest: (one, other) => total(rows[one]) - total(rows[other]) || one - other,
    name: (one, other) => (names[one] < names[other] ? -1 : names[one] > names[other] ? 1 : one - other),
    difference: (one, other) => gain(rows[other]) - gain(rows[one]) || one - other,
  };
  const format = new Intl.NumberFormat("en-US");
  const all = rows.map((_, number) => number);
  let found = all;
  let shown = 15;

  function show() {
    body.replaceChildren(
      ...found.slice(0, shown).map((number) => {
        const line = document.createElement("tr");
        rows[number].forEach((value, column) => {
          const cell = document.createElement(column ? "td" : "th");
          if (column) cell.className = column < first ? "quiet" : "num";
          else {
            cell.scope = "row";
            cell.className = "name";
            cell.dir = "auto";
          }
          cell.textContent = column < first ? value : value === null ? "–" : format.format(value);
          line.append(cell);
        });
        return line;
      })
    );
    more.hidden = found.length <= shown;
    const of = found.length === rows.length ? "" : ` of ${format.format(rows.length)}`;
    count.textContent = found.length ? `${format.format(found.length)}${of} names` : "nothing of that name";
  }

  function choose() {
    const wanted = input.value.trim().toLowerCase();
    found = all.filter(
      (number) => names[number].includes(wanted) && (!kind || !kind.value || rows[number][1] === kind.value)
    );
    const compare = orders[order.value];
    if (compare) found = [...found].sort(compare);
    shown = 15;
    show();
  }

  input.addEventListener("input", choose);
  order.addEventListener("change", choose);
  if (kind) kind.addEventListener("change", choose);
  more.addEventListener("click", () => {
    shown += STEP;
    show();
  });
  box.querySelector(".find").hidden = false;
  choose();
}

document.querySelectorAll(".searchable").forEach(searchable);
