
"use strict";
(() => {
  const PATH = 0, EXACT = 1, CODE = 2, THREAT = 3, LEVEL = 4, MATCH = 5, COUNT = 6, FIRST = 7, LAST = 8, ANSWERED = 9,
    OUTCOME = 10, SIZE = 11, MD5 = 12, SHA1 = 13, SHA256 = 14, REASON = 15;
  const WORDS = ["malicious", "suspicious"];
  const PRINTED = 1000;
  const rows = [];
  for (const block of document.querySelectorAll("script.rows")) {
    for (const row of JSON.parse(block.textContent)) rows.push(row);
    block.remove();
  }
  const host = document.getElementById("table");
  if (!host) return;

  const number = new Intl.NumberFormat("en-US");
  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const directory = (row) => row[PATH].slice(0, Math.max(row[PATH].lastIndexOf("/"), 0));
  const name = (row) => row[PATH].slice(row[PATH].lastIndexOf("/") + 1);
  const hash = (row) => row[SHA1] || row[SHA256] || row[MD5] || "";
  const size = (n) => {
    if (n === null) return "";
    const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let unit = 0;
    while (n >= 999.5 && unit + 1 < units.length) { n /= 1000; unit += 1; }
    return (unit ? Number(n.toPrecision(3)) : n) + " " + units[unit];
  };

  const q = document.getElementById("q"), group = document.getElementById("group"), sort = document.getElementById("sort");
  const state = { key: "verdict", down: false, shut: new Set(), opened: new Set() };
  let found = [], items = [], haystacks = null;

  // What stands first in each order; ties fall back on the order of the data, which is by path.
  const text = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : a < b ? -1 : 1);
  const worst = (a, b) => rows[a][CODE] - rows[b][CODE] || (rows[b][LEVEL] ?? -1) - (rows[a][LEVEL] ?? -1) || a - b;
  const orders = {
    verdict: worst,
    threat: (a, b) => text(rows[a][THREAT], rows[b][THREAT]) || worst(a, b),
    path: (a, b) => text(rows[a][PATH], rows[b][PATH]) || a - b,
    size: (a, b) => (rows[b][SIZE] ?? -1) - (rows[a][SIZE] ?? -1) || a - b,
    engines: (a, b) => (rows[b][MATCH] ?? -1) - (rows[a][MATCH] ?? -1) || a - b,
    first: (a, b) => text(rows[b][FIRST] || "", rows[a][FIRST] || "") || a - b,
  };

  const find = () => {
    const words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = [...document.querySelectorAll("input[name=verdict]:checked")].map((box) => Number(box.value));
    if (words.length && !haystacks) {
      haystacks = rows.map((r) => [r[PATH], r[EXACT], r[THREAT], r[MD5], r[SHA1], r[SHA256]].filter(Boolean).join("\n").toLowerCase());
    }
    found = [];
    for (let i = 0; i < rows.length; i += 1) {
      if (wanted.includes(rows[i][CODE]) && words.every((word) => haystacks[i].includes(word))) found.push(i);
    }
    found.sort(orders[state.key]);
    if (state.down) found.reverse();
  };

  const arrange = () => {
    items = [];
    if (group.value === "none") { items = found; return; }
    const of = group.value === "threat" ? (row) => row[THREAT] || "" : directory;
    const groups = new Map();
    for (const i of found) {
      const key = of(rows[i]);
      const there = groups.get(key);
      if (there) there.push(i); else groups.set(key, [i]);
    }
    const bad = (members) => members.reduce((n, i) => n + (rows[i][CODE] === 0), 0);
    const sorted = [...groups].map(([key, members]) => ({ key, members, bad: bad(members) }));
    sorted.sort((a, b) => (b.bad > 0) - (a.bad > 0) || b.members.length - a.members.length || text(a.key, b.key));
    for (const one of sorted) {
      // Many rows are a wall; their groups are a summary.
      one.open = state.opened.has(one.key) || (found.length <= 200 && !state.shut.has(one.key));
      items.push(one);
      if (one.open) for (const i of one.members) items.push(i);
    }
  };

  // Only the rows in view exist.
  const columns = [["verdict", "Verdict", ""], ["threat", "Threat", ""], ["", "Level", "opt"], ["engines", "Engines", "opt"],
    ["path", "Path", ""], ["size", "Size", "opt"], ["first", "First seen", "opt"], ["", "Hash", ""]];
  const head = make("div", { class: "head", role: "row", "aria-rowindex": 1 });
  for (const [key, label, kind] of columns) {
    const cell = make("div", { role: "columnheader", class: kind });
    if (key) {
      const button = make("button", { type: "button" }, label);
      button.addEventListener("click", () => {
        state.down = state.key === key && !state.down;
        state.key = key;
        sort.value = key;
        refresh();
      });
      cell.dataset.key = key;
      cell.append(button);
    } else {
      cell.append(make("div", { class: "plain" }, label));
    }
    head.append(cell);
  }
  const sky = make("div", { class: "sky", role: "presentation" });
  const view = make("div", { class: "view", tabindex: 0, role: "rowgroup" }, sky);
  const grid = make("div", { class: "grid", role: "table", "aria-label": "Findings" }, make("div", { role: "rowgroup" }, head), view);
  host.append(grid);

  let height = 38;
  const drawn = new Map();
  const draw = (from) => {
    const first = Math.max(0, Math.floor(view.scrollTop / height) - 6);
    const last = Math.min(items.length, Math.ceil((view.scrollTop + view.clientHeight) / height) + 6);
    for (const [at, element] of drawn) {
      if (from === "new" || at < first || at >= last) { element.remove(); drawn.delete(at); }
    }
    for (let at = first; at < last; at += 1) {
      if (drawn.has(at)) continue;
      const element = typeof items[at] === "number" ? line(items[at]) : heading(items[at]);
      element.setAttribute("aria-rowindex", at + 2);
      element.dataset.at = at;
      element.style.top = at * height + "px";
      drawn.set(at, element);
      const after = [...drawn.keys()].filter((other) => other > at).sort((a, b) => a - b)[0];
      sky.insertBefore(element, after === undefined ? null : drawn.get(after));
    }
  };

  const cell = (kind, ...children) => make("div", { role: "cell", class: kind }, ...children);
  const copier = (label, what, aria) => {
    const button = make("button", { type: "button", class: "copy", "aria-label": aria }, label);
    button.addEventListener("click", (event) => { event.stopPropagation(); copy(what, button); });
    return button;
  };
  const line = (i) => {
    const row = rows[i];
    const open = make("button", { type: "button", class: "open", title: row[PATH] },
      make("span", { class: "dir" }, row[PATH].slice(0, row[PATH].length - name(row).length)), make("span", { class: "name" }, name(row)));
    open.addEventListener("click", () => show(row));
    const digest = hash(row);
    const engines = row[MATCH] === null ? "" : row[COUNT] === null ? row[MATCH] : row[MATCH] + "/" + row[COUNT];
    return make("div", { class: "row", role: "row" },
      cell("word w" + row[CODE], WORDS[row[CODE]]), cell("threat", row[THREAT] || ""), cell("opt num", row[LEVEL] === null ? "" : row[LEVEL] + "/5"),
      cell("opt num", String(engines)), cell("path", open), cell("opt num", size(row[SIZE])), cell("opt", (row[FIRST] || "").slice(0, 10)),
      cell("sha", digest ? copier(digest.slice(0, 10) + "…", digest, "Copy the hash of " + name(row)) : ""));
  };
  const heading = (one) => {
    const mild = one.members.length - one.bad;
    const many = [[one.bad, "malicious"], [mild, "suspicious"]].filter(([n]) => n).map(([n, word]) => number.format(n) + " " + word).join(", ");
    const what = one.key || (group.value === "threat" ? "without a name" : "/");
    const fold = make("button", { type: "button", class: "fold", "aria-expanded": one.open },
      make("span", { class: "what", title: what }, what), make("span", { class: "many" }, many));
    fold.addEventListener("click", () => {
      (one.open ? state.shut : state.opened).add(one.key);
      (one.open ? state.opened : state.shut).delete(one.key);
      const at = items.indexOf(one);
      arrange();
      lay(true);
      focusOn(at);
    });
    return make("div", { class: "row group", role: "row" }, make("div", { role: "cell", "aria-colspan": columns.length }, fold));
  };

  const lay = (stay) => {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
    height = Math.round(rem * (matchMedia("(max-width: 700px)").matches ? 5 : 2.4));
    sky.style.height = items.length * height + "px";
    view.classList.toggle("few", items.length * height < 420);
    grid.setAttribute("aria-rowcount", items.length + 1);
    if (!stay) view.scrollTop = 0;
    draw("new");
    grid.style.setProperty("--bar", view.offsetWidth - view.clientWidth + "px");
    sky.querySelector(".empty")?.remove();
    if (!items.length) sky.append(make("div", { role: "row" }, make("div", { class: "empty", role: "cell" }, "Nothing matches.")));
  };

  const refresh = () => {
    find();
    arrange();
    for (const one of head.children) {
      if (one.dataset.key !== state.key) { one.removeAttribute("aria-sort"); continue; }
      const rises = ["threat", "path"].includes(state.key) !== state.down;
      one.setAttribute("aria-sort", rises ? "ascending" : "descending");
    }
    const hashes = new Set(found.map((i) => hash(rows[i])).filter(Boolean));
    document.getElementById("count").textContent = found.length === rows.length
      ? number.format(rows.length) + " findings, " + number.format(hashes.size) + " distinct hashes"
      : number.format(found.length) + " of " + number.format(rows.length) + " findings, " + number.format(hashes.size) + " distinct hashes";
    document.getElementById("copyall").textContent = "Copy " + number.format(hashes.size) + (hashes.size === 1 ? " hash" : " hashes");
    lay(false);
  };

  const focusOn = (at) => {
    if (at < 0 || at >= items.length) return;
    const top = at * height;
    if (top < view.scrollTop) view.scrollTop = top;
    if (top + height > view.scrollTop + view.clientHeight) view.scrollTop = top + height - view.clientHeight;
    draw();
    drawn.get(at)?.querySelector(".open, .fold")?.focus({ preventScroll: true });
  };

  const copy = async (what, button) => {
    try {
      await navigator.clipboard.writeText(what);
    } catch {
      // Some browsers keep the clipboard from pages that were opened from a disk.
      const field = make("textarea", { class: "hidden", "aria-hidden": "true" });
      field.value = what;
      (document.querySelector("dialog[open]") || document.body).append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
      button.focus();
    }
    const before = button.textContent;
    button.classList.add("done");
    button.textContent = "Copied";
    setTimeout(() => { button.classList.remove("done"); if (button.textContent === "Copied") button.textContent = before; }, 1200);
  };

  const dialog = document.getElementById("detail");
  const show = (row) => {
    const list = make("dl");
    const say = (label, value) => { if (value !== null && value !== "" && value !== undefined) list.append(make("dt", {}, label), make("dd", {}, String(value))); };
    const exact = (label, value) => {
      if (value) list.append(make("dt", {}, label), make("dd", { class: "exact" }, make("span", {}, value), copier("Copy", value, "Copy " + label)));
    };
    say("Verdict", WORDS[row[CODE]] + (row[LEVEL] === null ? "" : ", level " + row[LEVEL] + " of 5"));
    say("Threat", row[THREAT]);
    if (row[MATCH] !== null) say("Engines", row[MATCH] + (row[COUNT] === null ? "" : " of " + row[COUNT]));
    exact("Path", row[EXACT] || row[PATH]);
    if (row[SIZE] !== null) say("Size", size(row[SIZE]) + (row[SIZE] > 999 ? " (" + number.format(row[SIZE]) + " bytes)" : ""));
    exact("SHA-1", row[SHA1]);
    exact("SHA-256", row[SHA256]);
    exact("MD5", row[MD5]);
    say("First seen", row[FIRST]);
    say("Last seen", row[LAST]);
    say("Answer", row[OUTCOME] + ", given " + row[ANSWERED]);
    say("Reason", row[REASON]);
    const close = make("button", { type: "button" }, "Close");
    close.addEventListener("click", () => dialog.close());
    const title = make("h2", { id: "detailname" }, name(row));
    dialog.replaceChildren(make("div", { class: "sheet" }, make("header", {}, title, close), list));
    dialog.showModal();
  };
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  let waiting = 0;
  q.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, rows.length > 20000 ? 150 : 0); });
  for (const box of document.querySelectorAll("input[name=verdict]")) box.addEventListener("change", refresh);
  group.addEventListener("change", () => { state.shut.clear(); state.opened.clear(); refresh(); });
  sort.addEventListener("change", () => { state.key = sort.value; state.down = false; refresh(); });
  document.getElementById("copyall").addEventListener("click", (event) => {
    copy([...new Set(found.map((i) => hash(rows[i])).filter(Boolean))].join("\n") + "\n", event.currentTarget);
  });
  document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());
  let frame = 0;
  view.addEventListener("scroll", () => { if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(); }); }, { passive: true });
  view.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = event.target.closest(".row")?.dataset.at;
    if (!step) return;
    event.preventDefault();
    focusOn(at === undefined ? Math.ceil(view.scrollTop / height) : Number(at) + step);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && !dialog.open) {
      event.preventDefault();
      q.focus();
    }
  });
  addEventListener("resize", () => lay(true));
  for (const part of document.querySelectorAll(".tree svg[data-in]")) {
    part.addEventListener("click", () => {
      q.value = part.dataset.in;
      refresh();
      document.getElementById("findings").scrollIntoView();
    });
  }
  addEventListener("beforeprint", () => {
    document.querySelector(".paper")?.remove();
    const table = make("table", { class: "paper" }, make("thead", {}, make("tr", {}, ...["Verdict", "Threat", "Path", "Hash"].map((label) => make("th", { scope: "col" }, label)))));
    const body = make("tbody");
    for (const i of found.slice(0, PRINTED)) {
      const row = rows[i];
      body.append(make("tr", {}, ...[WORDS[row[CODE]], row[THREAT] || "", row[PATH], hash(row)].map((value) => make("td", {}, value))));
    }
    if (found.length > PRINTED) body.append(make("tr", {}, make("td", { colspan: 4 }, "and " + number.format(found.length - PRINTED) + " more, which are not printed")));
    table.append(body);
    host.after(table);
  });

  refresh();
})();
