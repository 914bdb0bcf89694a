// Looks at pages with Chromium: node browser.cjs FILE URL DIFFERENCE SHOTS. FILE is a page that stands alone, URL the pages of a server, DIFFERENCE
// the path of one that can be explained, SHOTS a folder for pictures. It prints what is wrong and exits with 1.
const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const { chromium } = require("playwright-core");

const [file, url, difference, shots] = process.argv.slice(2);
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// open loads a page, and fails if it says anything on the console, opens a dialog, or asks anybody but its server for something.
async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", m => wrong.push(`console: ${m.text()}`));
  page.on("pageerror", e => wrong.push(`error: ${e.message}`));
  page.on("dialog", d => { wrong.push(`dialog: ${d.message()}`); d.dismiss(); });
  page.on("request", r => {
    const to = new URL(r.url());
    if (to.protocol !== "data:" && to.href !== address && (to.protocol === "file:" || to.origin !== new URL(url).origin)) wrong.push(`request: ${to}`);
  });
  const answer = await page.goto(address);
  if (answer && address.startsWith("http")) assert.equal(answer.status(), 200, address);
  return { page, end: async () => { await context.close(); assert.deepEqual(wrong, [], address); } };
}

const backgrounds = page => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

// tab presses the key until an element has the focus.
async function tab(page, selector, most = 60) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(s => document.activeElement.matches(s), selector)) {
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, "none", `the focus on ${selector} cannot be seen`);
      return;
    }
  }
  assert.fail(`the tab key does not reach ${selector}`);
}

const tests = {
  async "plots are drawn, and the table becomes a detail"(browser) {
    for (const address of [file, url]) {
      const { page, end } = await open(browser, address);
      assert.equal(await page.locator("figure svg.plot").count(), 2);
      assert.ok(await page.locator("figure svg.plot [data-part=rect] rect").count() > 50);
      assert.ok(await page.locator("figure svg.plot [data-part=line] path").count() > 0);
      assert.match(await page.locator("figure svg.plot").first().getAttribute("aria-label"), /equal values over time, from \d/);
      assert.ok((await page.locator("figure").first().boundingBox()).height > 200);
      assert.equal(await page.locator("details[data-plotted]").getAttribute("open"), null);
      const fills = await page.evaluate(() => [...new Set([...document.querySelectorAll("figure [data-part=rect] rect")].map(r => getComputedStyle(r).fill))]);
      assert.ok(fills.length >= 3 && !fills.includes("rgb(0, 0, 0)"), `causes have the colours ${fills}`);
      await page.locator("figure svg.plot").first().hover();
      assert.match(await page.locator("figure svg.plot [aria-label=tip]").first().textContent(), /compared/);
      await end();
    }
  },
  async "without scripts everything is there"(browser) {
    for (const address of [file, url]) {
      const { page, end } = await open(browser, address, { javaScriptEnabled: false });
      assert.equal(await page.locator("figure:visible").count(), 0);
      assert.ok(await page.getByRole("table", { name: "Times of reads, in UTC" }).isVisible());
      assert.ok(await page.getByRole("table", { name: /What was found, by feature/ }).isVisible());
      assert.ok(await page.locator("td svg.bar").first().isVisible());
      await page.getByRole("link", { name: "spending.mean_30d" }).first().click();
      await page.getByText("What to do:").first().waitFor();
      await end();
    }
  },
  async "the keyboard reaches a difference, in a file"(browser) {
    const { page, end } = await open(browser, file);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await tab(page, "th button");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.closest("th").getAttribute("aria-sort")), "descending");
    await tab(page, "a[href^='#d-']");
    const target = await page.evaluate(() => document.activeElement.getAttribute("href").slice(1));
    assert.ok(!await page.evaluate(id => document.getElementById(id).closest("details").open, target));
    await page.keyboard.press("Enter");
    await page.waitForFunction(id => document.getElementById(id).closest("details").open, target);
    await page.fill("input[type=search]", "SPENT");
    assert.deepEqual(await page.locator("#table tbody tr:visible th").allTextContents(), ["spending.spent_7d"]);
    await end();
  },
  async "the keyboard reaches the events of a difference, on a server"(browser) {
    const { page, end } = await open(browser, url);
    await tab(page, `a[href='${difference}']`);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "spending.mean_30d" }).waitFor();
    assert.equal(await page.locator("mark").first().isVisible(), true);
    await tab(page, "a[href$='/events']");
    await page.keyboard.press("Enter");
    await page.getByText("training only").waitFor();
    await end();
  },
  async "a search of features works without scripts"(browser) {
    const { page, end } = await open(browser, url, { javaScriptEnabled: false });
    await page.fill("input[type=search]", "spent");
    await page.keyboard.press("Enter");
    await page.getByRole("table", { name: /with “spent” in the name/ }).waitFor();
    assert.deepEqual(await page.locator("#table tbody th").allTextContents(), ["spending.spent_7d"]);
    await end();
  },
  async "light and dark, wide and narrow, on paper"(browser) {
    const seen = [];
    for (const [name, options] of Object.entries({
      light: { colorScheme: "light" }, dark: { colorScheme: "dark" }, narrow: { colorScheme: "light", viewport: { width: 360, height: 740 } },
    })) {
      const { page, end } = await open(browser, file, options);
      seen.push(await backgrounds(page));
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${name}: the page is wider than the window`);
      await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
      await page.evaluate(() => { for (const d of document.querySelectorAll("details")) d.open = true; });
      await page.screenshot({ path: `${shots}/${name}-open.png`, fullPage: true });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${name}: the open page is wider than the window`);
      if (name === "light") assert.ok((await page.pdf({ path: `${shots}/paper.pdf` })).length > 10_000);
      await end();
    }
    assert.deepEqual(seen, ["rgb(255, 255, 255)", "rgb(20, 22, 26)", "rgb(255, 255, 255)"]);
  },
  async "accessible by the rules of axe"(browser) {
    for (const address of [file, url, new URL(difference + "/events", url).href, new URL("/ui/?q=none", url).href]) {
      for (const colorScheme of ["light", "dark"]) {
        const { page, end } = await open(browser, address, { colorScheme, bypassCSP: true });
        await page.evaluate(() => { for (const d of document.querySelectorAll("details")) d.open = true; });
        await page.evaluate(axe);
        const found = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
        assert.deepEqual(found.violations.map(v => `${v.id}: ${v.nodes.length} × ${v.nodes[0].html.slice(0, 200)} ${v.nodes[0].failureSummary}`), [], `${address}, ${colorScheme}`);
        await end();
      }
    }
  },
};

(async () => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: flags });
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test(browser);
    } catch (err) {
      failed++;
      console.log(`${name}: ${err.message}`);
    }
  }
  await browser.close();
  process.exit(failed ? 1 : 0);
})();
