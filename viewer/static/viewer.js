// The page of `facetmine browse`. Whatever comes from the dataset becomes text nodes, never markup.

const $ = (id) => document.getElementById(id);
const ROLES = [
  ["reference", "Reference"],
  ["target", "Target"],
  ["text_distractor", "Text distractor"],
  ["image_distractor", "Image distractor"],
];
const PARTS = [
  ["reference", "Reference"],
  ["condition", "Condition"],
  ["target", "Target"],
  ["text_distractor", "Text distractor"],
  ["image_distractor", "Image distractor"],
  ["subject", "Subject"],
];
const INTEGER = new Intl.NumberFormat("en");
let about;

/** An element with properties, attributes (aria-*, data-*, role, ...) and children: nodes, text, or nothing. */
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && !name.includes("-")) element[name] = value;
    else if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

async function ask(path, values = {}) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value !== undefined));
  return answered(await fetch(`api/${path}?${query}`));
}

async function say(path, values) {
  return answered(
    await fetch(`api/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(values),
    }),
  );
}

async function answered(response) {
  if (!response.ok) throw new Error((await response.text()).trim() || `status ${response.status}`);
  return response.json();
}

/** Run a handler; what it throws is shown above the page. */
function guard(handler) {
  return async (...values) => {
    try {
      await handler(...values);
      $("failure").hidden = true;
    } catch (error) {
      const gone = error instanceof TypeError;
      $("failure").textContent = gone ? "facetmine browse does not answer any more. Start it again." : error.message;
      $("failure").hidden = false;
    }
  };
}

const words = (name) => name.replaceAll("_", " ");
const percent = (share) => `${(100 * share).toFixed(1)}%`;

// ---- a triplet ----------------------------------------------------------------------------------------------------

function caption(pieces) {
  const text = pieces.map(([piece, mark]) => (mark ? h("mark", { className: mark }, piece) : piece));
  const long = pieces.reduce((length, [piece]) => length + piece.length, 0) > 600;
  return h(
    "blockquote",
    { className: long ? "caption long" : "caption", dir: "auto", tabindex: long ? 0 : undefined,
      role: long ? "group" : undefined, "aria-label": long ? "A long caption" : undefined },
    text,
  );
}

function part(shown, role, label) {
  const { row, roles } = shown;
  const own = roles[role];
  if (!own) return h("div", { className: `part ${role} none` }, h("h3", {}, label), h("p", { className: "told" }, "none"));
  const picture = own.picture
    ? h("img", { src: `image?id=${encodeURIComponent(row[`${role}_id`])}`, loading: "lazy", decoding: "async",
        alt: `${label}: ${own.caption.map(([piece]) => piece).join("").slice(0, 200)}` })
    : null;
  return h(
    "div",
    { className: `part ${role}${picture ? " with-picture" : ""}` },
    picture,
    h("div", { className: "words" }, h("h3", {}, label), caption(own.caption),
      own.told ? h("p", { className: "told", dir: "auto" }, own.told) : null),
  );
}

function triplet(shown, level, buttons = true) {
  const { row } = shown;
  const name = `${row.subject}, “${row.condition}”`;
  const opener = h("button", { type: "button", className: "quiet open", "aria-haspopup": "dialog" }, "Why? All columns");
  opener.setAttribute("aria-label", `Why? All columns of ${name}`);
  opener.addEventListener("click", guard(() => openDetails(row)));
  return h(
    "article",
    { className: "triplet" },
    h(
      "div",
      { className: "title" },
      h(level, { dir: "auto" }, h("span", { className: "subject-name" }, row.subject), " ",
        h("span", { className: "condition-name" }, row.condition)),
      h("p", { className: "kind" }, words(row.kind), row.axis && row.axis !== row.condition ? ` · ${row.axis}` : "",
        ` · ${row.split}`),
      buttons ? opener : null,
    ),
    h(
      "div",
      { className: "pair" },
      part(shown, ...ROLES[0]),
      h("p", { className: "condition", dir: "auto" }, h("span", { className: "unseen" }, "condition: "),
        h("span", { className: "asked" }, row.condition), h("span", { className: "arrow", "aria-hidden": "true" })),
      part(shown, ...ROLES[1]),
    ),
    h("div", { className: "negatives" }, part(shown, ...ROLES[2]), part(shown, ...ROLES[3])),
    buttons ? null : opener,
  );
}

// ---- details ------------------------------------------------------------------------------------------------------

async function openDetails(row) {
  $("details-title").textContent = `${row.subject}, “${row.condition}”`;
  $("columns").replaceChildren(
    ...Object.entries(row).map(([name, value]) =>
      h("div", {}, h("dt", {}, name),
        h("dd", { dir: "auto", className: value === null ? "null" : "" }, value === null ? "null" : number(value)),
        h("dd", { className: "doc" }, about.columns[name] ?? "")),
    ),
  );
  $("why").replaceChildren(h("p", { className: "hint" }, "Judging it again from the facts …"));
  if (!$("details").open) $("details").showModal();
  $("details").scrollTop = 0;
  try {
    const { lines } = await ask("why", { id: row.triplet_id });
    $("why").replaceChildren(...explained(lines));
  } catch (error) {
    $("why").replaceChildren(h("p", { className: "hint" }, `Not to be told: ${error.message}`));
  }
}

const number = (value) => (typeof value === "number" ? String(Math.round(value * 10000) / 10000) : String(value));

/** The lines of `facetmine explain` as headings and lines. */
function explained(lines) {
  return lines
    .filter((line) => line.trim())
    .map((line) => {
      const verdict = /^ {2}(yes|NO|no|-) {2,}(.*)$/.exec(line);
      if (verdict) {
        const [, said, text] = verdict;
        const sign = { yes: "✓", NO: "✗", no: "✗", "-": "–" }[said];
        return h("p", { className: `line verdict said-${said === "-" ? "off" : said.toLowerCase()}` },
          h("span", { className: "sign", "aria-hidden": "true" }, sign),
          h("span", { className: "unseen" }, `${said}: `), h("span", { dir: "auto" }, text));
      }
      const depth = line.length - line.trimStart().length;
      return h("p", { className: `line depth-${depth === 0 ? 0 : depth < 4 ? 1 : 2}`, dir: "auto" }, line.trim());
    });
}

// ---- browsing -----------------------------------------------------------------------------------------------------

const SIMPLE = ["text", "subject", "condition", "axis", "split"];
let asked = 0;
let shownPage = { first: 0, total: 0 };

function measureInputs() {
  return [...document.querySelectorAll("#measures input")];
}

/** The selection that the form shows, as the query of an address. */
function selection() {
  const values = new URLSearchParams();
  for (const name of SIMPLE) if ($(name).value.trim()) values.set(name, $(name).value.trim());
  const kinds = [...document.querySelectorAll("#kinds input:checked")].map((box) => box.value);
  if (kinds.length) values.set("kind", kinds.join(","));
  for (const input of measureInputs()) if (input.value !== "") values.set(input.name, input.value);
  return values;
}

function showSelection(values) {
  for (const name of SIMPLE) if (document.activeElement !== $(name)) $(name).value = values.get(name) ?? "";
  const kinds = (values.get("kind") ?? "").split(",");
  for (const box of document.querySelectorAll("#kinds input")) box.checked = kinds.includes(box.value);
  for (const input of measureInputs()) if (document.activeElement !== input) input.value = values.get(input.name) ?? "";
  if (measureInputs().some((input) => input.value)) $("measures-box").open = true;
  const on = [...values.keys()].filter((name) => !["first", "seed"].includes(name)).length;
  $("filters-on").textContent = on ? `(${on})` : "";
}

function go(values) {
  const query = values.toString();
  location.hash = query ? `#browse?${query}` : "#browse"; // the same one again asks nothing
}

/** The selection of the address, without its page and order. */
function addressed() {
  const values = new URLSearchParams(location.hash.split("?")[1] ?? "");
  for (const name of ["first", "seed"]) values.delete(name);
  return values;
}

const load = guard(async (values) => {
  const turn = ++asked;
  showSelection(values);
  $("list").setAttribute("aria-busy", "true");
  const query = Object.fromEntries(values);
  const first = Number(query.first ?? 0);
  let answer;
  try {
    answer = await ask("triplets", { ...query, first });
  } catch (error) {
    if (turn === asked) $("list").removeAttribute("aria-busy");
    throw error;
  }
  if (turn !== asked) return; // a later question is on its way
  const { total, triplets } = answer;
  shownPage = { first, total };
  const last = first + triplets.length;
  $("found").textContent = triplets.length
    ? `${INTEGER.format(first + 1)}–${INTEGER.format(last)} of ${INTEGER.format(total)}${query.seed ? ", in random order" : ""}`
    : "No triplet is like that";
  $("list").replaceChildren(
    ...(triplets.length ? triplets.map((shown) => triplet(shown, "h2"))
      : [h("p", { className: "lead" }, "Take a filter away, or search for fewer words.")]),
  );
  $("list").removeAttribute("aria-busy");
  for (const id of ["previous", "previous-end"]) $(id).disabled = first === 0;
  for (const id of ["next", "next-end"]) $(id).disabled = last >= total;
  $("previous-end").parentElement.hidden = total <= triplets.length;
});

function turn(pages) {
  const values = new URLSearchParams(location.hash.split("?")[1] ?? "");
  const first = shownPage.first + pages * about.page;
  if (first < 0 || first >= shownPage.total) return;
  if (first) values.set("first", first);
  else values.delete("first");
  go(values);
  scrollTo({ top: 0 });
  $("results").focus({ preventScroll: true });
}

function setUpBrowsing() {
  for (const [kind, count] of Object.entries(about.kinds)) {
    $("kinds").append(h("label", {}, h("input", { type: "checkbox", value: kind }), ` ${words(kind)} `,
      h("span", { className: "count" }, INTEGER.format(count))));
  }
  for (const [id, counts] of [["axis", about.axes], ["split", about.splits]]) {
    $(id).append(h("option", { value: "" }, "any"));
    for (const [name, count] of Object.entries(counts)) {
      $(id).append(h("option", { value: name }, `${name} (${INTEGER.format(count)})`));
    }
  }
  for (const [name, [least, most]] of Object.entries(about.measures)) {
    const input = (end, bound) =>
      h("input", { type: "number", name: `${end}_${name}`, step: "any", placeholder: number(bound),
        "aria-label": `${words(name)}, ${end === "least" ? "at least" : "at most"}` });
    $("measures").append(h("fieldset", { className: "range" }, h("legend", { title: about.columns[name] }, words(name)),
      input("least", least), " to ", input("most", most)));
  }
  if (!Object.keys(about.measures).length) $("measures-box").hidden = true;

  let waiting;
  const changed = () => {
    clearTimeout(waiting);
    // A field that is left after its text was searched for has changed nothing.
    if (selection().toString() !== addressed().toString()) go(selection());
  };
  $("form").addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  $("form").addEventListener("change", changed);
  $("text").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(changed, 350); });
  for (const [name, list] of [["subject", "subjects"], ["condition", "conditions"]]) {
    const suggest = guard(async () => {
      const names = await ask("names", { column: name, beginning: $(name).value });
      $(list).replaceChildren(...names.map(([value, count]) => h("option", { value, label: `${value} (${INTEGER.format(count)})` })));
    });
    $(name).addEventListener("focus", suggest, { once: true });
    $(name).addEventListener("input", suggest);
  }
  $("shuffle").addEventListener("click", () => {
    const values = selection();
    values.set("seed", 1 + Math.floor(Math.random() * 1e9));
    go(values);
  });
  $("clear").addEventListener("click", () => { $("form").reset(); go(new URLSearchParams()); });
  for (const id of ["previous", "previous-end"]) $(id).addEventListener("click", () => turn(-1));
  for (const id of ["next", "next-end"]) $(id).addEventListener("click", () => turn(1));
  $("filters").open = matchMedia("(min-width: 60rem)").matches;
}

// ---- judging ------------------------------------------------------------------------------------------------------

let sample = null;
let place = 0;
let busy = false;

const startJudging = guard(async () => {
  sample = await ask("sample");
  const open = sample.findIndex((one) => !one.said);
  place = open < 0 ? sample.length : open;
  await showCase();
});

/** The triplet at a place of the sample; the next one is asked for while this one is looked at. */
const fetched = new Map();
function fetchCase(at) {
  const one = sample[at];
  if (!one) return null;
  if (!fetched.has(one)) {
    if (fetched.size > 20) fetched.clear();
    const promise = ask("triplet", { id: one.triplet_id });
    promise.catch(() => fetched.delete(one));
    fetched.set(one, promise);
  }
  return fetched.get(one);
}

async function showCase() {
  askFault(false);
  const one = sample[place];
  const shown = await fetchCase(place);
  if (sample[place] !== one) return;
  fetchCase(place + 1);
  const done = sample.filter((other) => other.said).length;
  const of = (kind) => sample.filter((other) => other.kind === kind);
  if (one) {
    const said = one.said
      ? [h("p", { className: "said" }, "You said: ", h("strong", {}, one.said.verdict),
          one.said.fault ? ` (${words(one.said.fault)})` : "")]
      : [];
    $("case").replaceChildren(triplet(shown, "h2", false), ...said);
  } else {
    $("case").replaceChildren(h("div", { className: "finished" },
      h("h2", {}, done === sample.length ? "All are judged" : "That was the last one"),
      h("p", {}, "Thank you, ", about.judge, ". ", h("a", { href: "#figures" }, "What the judgements say"), " or ",
        h("button", { type: "button", className: "quiet", id: "review" }, "look at them again"))));
    $("review").addEventListener("click", guard(() => { place = 0; return showCase(); }));
  }
  $("verdicts").hidden = !one;
  $("before").disabled = place === 0;
  for (const button of document.querySelectorAll("[data-verdict]")) {
    button.setAttribute("aria-pressed", String(one?.said?.verdict === button.dataset.verdict));
  }
  $("done").max = Math.max(sample.length, 1);
  $("done").value = done;
  $("done-label").textContent = one
    ? `${done} of ${sample.length} judged, ${of(one.kind).filter((other) => other.said).length} of ` +
      `${of(one.kind).length} of kind ${words(one.kind)}`
    : `${done} of ${sample.length} judged`;
}

function askFault(open) {
  $("faults").hidden = !open;
  document.querySelector('[data-verdict="false"]').setAttribute("aria-expanded", String(open));
  if (open) $("parts").firstElementChild.focus();
}

/** Do one thing at a time: a key that comes while one is under way is not taken for the next triplet. */
const once = (action) => guard(async (...values) => {
  if (busy) return;
  busy = true;
  try {
    await action(...values);
  } finally {
    busy = false;
  }
});

const judge = once(async (verdict, fault = null) => {
  const one = sample?.[place];
  if (!one) return;
  await say("judge", { id: one.triplet_id, verdict, fault });
  const hadFocus = $("faults").contains(document.activeElement);
  one.before = one.said;
  one.said = { verdict, fault };
  $("news").textContent = `Judged ${verdict}${fault ? `, ${words(fault)}` : ""}. Next triplet.`;
  place += 1;
  await showCase();
  if (hadFocus || !sample[place]) $("judge").focus({ preventScroll: true });
});

const undo = once(async () => {
  const { id } = await say("undo", {});
  if (id === null) {
    $("news").textContent = "Nothing of this sitting is left to take back.";
    return;
  }
  const back = sample.findIndex((one) => one.triplet_id === id);
  if (back >= 0) {
    sample[back].said = sample[back].before ?? null;
    place = back;
  }
  $("news").textContent = "Taken back.";
  await showCase();
});

const step = once(async (by) => {
  if (!sample) return;
  place = Math.min(Math.max(place + by, 0), sample.length);
  await showCase();
});

function setUpJudging() {
  PARTS.forEach(([value, label], index) => {
    const button = h("button", { type: "button" }, h("kbd", {}, String(index + 1)), ` ${label}`);
    button.addEventListener("click", () => judge("false", value));
    $("parts").append(button);
  });
  for (const button of document.querySelectorAll("[data-verdict]")) {
    const { verdict } = button.dataset;
    button.addEventListener("click", () => (verdict === "false" ? busy || askFault($("faults").hidden) : judge(verdict)));
  }
  $("undo").addEventListener("click", () => undo());
  $("before").addEventListener("click", () => step(-1));
  $("after").addEventListener("click", () => step(1));
}

function judgingKey(event) {
  if (!$("keys").checked || !sample || busy) return false;
  const key = event.key.toLowerCase();
  if (!$("faults").hidden) {
    const named = PARTS[Number(key) - 1];
    if (key === "escape") {
      askFault(false);
      document.querySelector('[data-verdict="false"]').focus();
    } else if (named) judge("false", named[0]);
    else return false;
    return true;
  }
  if (!sample[place] && !["z", "arrowleft"].includes(key)) return false;
  if (key === "t") judge("true");
  else if (key === "u") judge("unsure");
  else if (key === "f") askFault(true);
  else if (key === "z") undo();
  else if (key === "arrowleft") step(-1);
  else if (key === "arrowright") step(1);
  else return false;
  return true;
}

// ---- figures ------------------------------------------------------------------------------------------------------

/** A share with its interval, drawn on a line from 0 to 1. */
function interval(one) {
  if (one.share === null) return h("span", { className: "hint" }, "not judged");
  const NS = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "interval");
  svg.setAttribute("aria-hidden", "true");
  const shape = (tag, attributes) => {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    svg.append(element);
  };
  shape("rect", { class: "whole", x: 0, y: 4, width: 100, height: 2 });
  shape("rect", { class: "likely", x: 100 * one.low, y: 2, width: Math.max(100 * (one.high - one.low), 0.5), height: 6 });
  shape("rect", { class: "point", x: Math.min(Math.max(100 * one.share - 0.5, 0), 99), y: 0, width: 1, height: 10 });
  return h("span", { className: "share" }, h("b", {}, percent(one.share)), svg,
    h("span", { className: "bounds" }, `${percent(one.low)} to ${percent(one.high)}`));
}

function table(caption_, heads, rows) {
  return h("div", { className: "scroll", tabindex: 0, role: "region", "aria-label": caption_ },
    h("table", {}, h("caption", {}, caption_), h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map(([first, ...cells]) =>
        h("tr", {}, h("th", { scope: "row" }, first), cells.map((cell) => h("td", {}, cell)))))));
}

const more = (value) => (value === null ? "all of them" : INTEGER.format(value));
const counts = (one) => [one.true, one.false, one.unsure].map((value) => INTEGER.format(value));

const showFigures = guard(async () => {
  $("audit").setAttribute("aria-busy", "true");
  const found = await ask("audit");
  $("audit").removeAttribute("aria-busy");
  if (!found.judged) {
    $("audit").replaceChildren(h("p", { className: "lead" }, "Nobody has judged a triplet yet. ",
      h("a", { href: "#judge" }, "Judge some"), "; after twenty or so of each kind the figures begin to tell."));
    return;
  }
  const judges = Object.entries(found.judges).map(([name, count]) => `${name} (${count})`).join(", ");
  const head = `More for ${found.width}`;
  $("audit").replaceChildren(
    h("p", { className: "headline" }, interval(found.overall)),
    h("p", { className: "lead" }, `Share of true triplets, ${found.covered > 0.9999 ? "" : `over ${percent(found.covered)} of the dataset, `}`,
      `each kind weighted by its share of the dataset, with a 95% interval. ${INTEGER.format(found.judged)} triplets judged by ${judges}. `,
      found.more ? `${INTEGER.format(found.more)} more of each kind would make the interval ${found.width} wide.` : ""),
    table("Precision by kind", ["Kind", "Of all", "True", "False", "Unsure", "Precision", head],
      found.kinds.map((one) => [words(one.kind), percent(one.share), ...counts(one.counts), interval(one.precision), more(one.more)])),
    Object.keys(found.faults).length
      ? table("Parts at fault", ["Part", "False"], Object.entries(found.faults).map(([part_, count]) => [words(part_), INTEGER.format(count)]))
      : "",
    found.measures.length
      ? table("Precision by measure, in quarters of the judged", ["Measure", "From", "To", "True", "False", "Unsure", "Precision"],
          found.measures.map((one) => [words(one.measure), one.least.toFixed(3), one.most.toFixed(3), ...counts(one.counts), interval(one.precision)]))
      : "",
  );
});

// ---- the page -----------------------------------------------------------------------------------------------------

const VIEWS = ["browse", "judge", "figures"];

function route() {
  const [name, query] = location.hash.slice(1).split("?");
  const view = VIEWS.includes(name) ? name : "browse";
  for (const other of VIEWS) {
    $(other).hidden = other !== view;
    if (other === view) $(`to-${other}`).setAttribute("aria-current", "page");
    else $(`to-${other}`).removeAttribute("aria-current");
  }
  $("skip").href = view === "browse" ? "#results" : `#${view}`;
  document.title = `${{ browse: "Triplets", judge: "Judge", figures: "Figures" }[view]} – facetmine`;
  if (view === "browse") load(new URLSearchParams(query ?? ""));
  if (view === "judge") startJudging();
  if (view === "figures") showFigures();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("details").open) return;
  const writing = event.target.closest("input:not([type=checkbox]), select, textarea, .scroll, .long");
  if (!$("judge").hidden) {
    if (!writing && judgingKey(event)) event.preventDefault();
    return;
  }
  if ($("browse").hidden || writing) return;
  if (event.key === "/") {
    event.preventDefault();
    $("filters").open = true;
    $("text").focus();
  } else if (event.key === "ArrowLeft") turn(-1);
  else if (event.key === "ArrowRight") turn(1);
});
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  for (const id of ["results", "judge", "figures"]) if ($(id).offsetParent) $(id).focus();
});
$("close").addEventListener("click", () => $("details").close());
$("details").addEventListener("click", (event) => { if (event.target === $("details")) $("details").close(); });
addEventListener("hashchange", route);

guard(async () => {
  about = await ask("about");
  $("dataset").textContent = `${about.name} · ${INTEGER.format(about.rows)} triplets`;
  setUpBrowsing();
  setUpJudging();
  route();
})();
