// Judges the pages of .ci/browser. Arguments: the folder with the pages and node_modules, and one for pictures.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";

const [work, shots] = process.argv.slice(2);
const require = createRequire(work + "/");
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--allow-file-access-from-files=false"],
});

async function open(name, { width = 1280, height = 900, dark = false } = {}) {
  const page = await browser.newPage();
  const troubles = [];
  page.on("console", (message) => troubles.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => { troubles.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  let n_requests = 0;
  page.on("request", (request) => { n_requests += 1; if (n_requests > 1) troubles.push(`request: ${request.url().slice(0, 200)}`); });
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  await page.goto(`file://${work}/${name}.html`);
  return { page, troubles };
}

const texts = (page, selector) => page.$$eval(selector, (found) => found.map((one) => one.textContent));
const status = (page) => page.$eval("#count", (one) => one.textContent);

async function search(page, words) {
  await page.$eval("#q", (field, words) => { field.value = words; field.dispatchEvent(new Event("input")); }, words);
  await new Promise((done) => setTimeout(done, 400));
}

async function accessible(page, what) {
  // The policy of the page keeps scripts out; the judge comes in through the debugger.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const said = (one) => `${one.impact} ${one.id}: ${one.nodes.length}× ${one.nodes[0].html.slice(0, 160)}`;
  assert.deepEqual(serious.map(said), [], what);
  console.log(`axe: ${what}: ${violations.length} minor`, violations.map((one) => one.id).join(" "));
}

async function hostile() {
  const { page, troubles } = await open("300");
  assert.equal(await page.evaluate(() => window.hit), undefined, "a name ran");
  await page.select("#group", "none");
  await page.click("[data-key=path] button");
  assert.equal((await page.$$("img, iframe, object, embed, [onerror], [onload], [style*=url]")).length, 0);
  await search(page, "window.hit");
  const names = await texts(page, ".row .path");
  assert.ok(names.length >= 6 && names.some((name) => name.includes("<script>window.hit = 1</script>")), names.join("\n"));
  await search(page, "invoice");
  const [turned] = await texts(page, ".row .path");
  assert.ok(turned.endsWith("invoice\\u{202E}fdp.exe"), turned);
  await search(page, "two");
  const [controls] = await texts(page, ".row .path");
  assert.ok(controls.includes("two\\x0Alines\\x09and a tab\\x1B[2J"), controls);
  await page.click(".row .open");
  assert.ok(await page.$eval("#detail", (dialog) => dialog.open));
  await page.keyboard.press("Escape");
  // A script that comes in later is refused too, and the refusal is the only thing that is ever said.
  assert.deepEqual(troubles, []);
  await page.evaluate(() => { const one = document.createElement("div"); one.innerHTML = "<img src=x onerror='window.hit=9'>"; document.body.append(one); });
  await new Promise((done) => setTimeout(done, 200));
  assert.equal(await page.evaluate(() => window.hit), undefined, "the policy lets a handler run");
  assert.ok(troubles.some((one) => one.includes("Content Security Policy")), "nothing was refused");
  await page.close();
}

async function used() {
  const { page, troubles } = await open("300");
  assert.match(await status(page), /^300 findings, 300 distinct hashes$/);
  await page.select("#group", "none");
  await page.click("[data-key=size] button");
  const sizes = async () => (await texts(page, ".row")).length;
  assert.ok((await sizes()) < 60, "rows out of sight exist");
  const first = await page.$eval(".row .name", (one) => one.textContent);
  assert.equal(first, "file-0000299.exe");
  await page.click("[data-key=size] button");
  assert.notEqual(await page.$eval(".row .name", (one) => one.textContent), first);
  assert.equal(await page.$eval("[data-key=size]", (one) => one.getAttribute("aria-sort")), "ascending");
  await page.click("input[name=verdict][value='1']");
  assert.match(await status(page), /^100 of 300 findings/);
  assert.deepEqual([...new Set(await texts(page, ".row .word"))], ["malicious"]);
  await page.click("input[name=verdict][value='1']");
  await page.select("#group", "directory");
  assert.ok((await texts(page, ".row.group .what")).includes("/srv/share/hostile"));
  // By keyboard alone: to the search, through the rows, into one and out.
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("/");
  await page.keyboard.type("file-0000042");
  await new Promise((done) => setTimeout(done, 100));
  assert.match(await status(page), /^1 of 300/);
  await page.focus(".view");
  for (const key of ["ArrowDown", "ArrowDown", "Enter"]) await page.keyboard.press(key);
  assert.ok(await page.$eval("#detail", (dialog) => dialog.open), "Enter opens the row");
  assert.equal((await texts(page, "#detailname"))[0], "file-0000042.exe");
  await page.keyboard.press("Escape");
  // The clipboard, as the browser's own user would read it.
  await browser.defaultBrowserContext().overridePermissions(`file://${work}`, ["clipboard-read", "clipboard-write"]).catch(() => {});
  await page.evaluate(() => { window.copied = []; navigator.clipboard.writeText = async (text) => { window.copied.push(text); }; });
  await page.click(".row .copy");
  await page.click("#copyall");
  const copied = await page.evaluate(() => window.copied);
  assert.match(copied[0], /^[0-9a-f]{40}$/);
  assert.equal(copied[1], copied[0] + "\n");
  const pdf = await page.pdf({ format: "A4" });
  assert.ok(pdf.length > 20_000);
  assert.deepEqual(troubles, []);
  await page.close();
}

async function many() {
  const { page, troubles } = await open("100000");
  const took = {};
  const timed = async (name, act) => { const from = performance.now(); await act(); took[name] = Math.round(performance.now() - from); };
  const run = (act) => page.evaluate(act);
  await timed("all by path", () => run(() => { document.getElementById("group").value = "none"; document.querySelector("[data-key=path] button").click(); }));
  await timed("sort by size", () => run(() => document.querySelector("[data-key=size] button").click()));
  await timed("group by directory", () => run(() => { const group = document.getElementById("group"); group.value = "directory"; group.dispatchEvent(new Event("change")); }));
  await timed("search (with 400 ms of waiting)", () => search(page, "family7 file-00999"));
  assert.match(await status(page), /^\d+ of 100,000 findings/);
  await search(page, "");
  await page.select("#group", "none");
  await run(() => { const view = document.querySelector(".view"); view.scrollTop = view.scrollHeight; });
  await new Promise((done) => setTimeout(done, 200));
  assert.equal(await page.$eval(".row:last-of-type", (row) => Number(row.getAttribute("aria-rowindex"))), 100_001);
  assert.ok((await page.$$(".row")).length < 60);
  console.log("100,000 findings, in ms:", JSON.stringify(took));
  assert.deepEqual(troubles, []);
  await page.close();
}

async function looks() {
  for (const [name, view] of Object.entries({
    desktop: {}, dark: { dark: true }, phone: { width: 390, height: 844 }, narrow: { width: 320, height: 640 }, tablet: { width: 820, height: 1100 },
  })) {
    const { page, troubles } = await open("300", view);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wider <= 0, `${name} scrolls sideways by ${wider}`);
    await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
    await accessible(page, name);
    await page.select("#group", "none");
    await page.evaluate(() => document.querySelector(".row .open").click());
    await accessible(page, `${name}, a finding open`);
    await page.screenshot({ path: `${shots}/${name}-open.png` });
    assert.deepEqual(troubles, []);
    await page.close();
  }
  const { page, troubles } = await open("0");
  assert.match((await texts(page, "#headline"))[0], /^No findings so far$/);
  await page.screenshot({ path: `${shots}/nothing.png`, fullPage: true });
  await accessible(page, "nothing found");
  assert.deepEqual(troubles, []);
  await page.close();
}

try {
  for (const check of [hostile, used, many, looks]) {
    await check();
    console.log(`${check.name}: fine`);
  }
} finally {
  await browser.close();
}
