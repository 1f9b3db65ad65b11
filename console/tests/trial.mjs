import axe from 'axe-core';
import path from 'node:path';

/** Trial is one scenario: its pages, and what was wrong with them. */
export class Trial {
  problems = [];
  notes = [];
  contexts = [];

  constructor(browser, asked, outside) {
    Object.assign(this, { browser, asked, outside });
  }

  /** open opens the console of a world at a place. What no page may do is watched for: errors, foreign requests, breaches of the policy. */
  async open(world, hash = '#/associations', { dark = false, expect = [], ...options } = {}) {
    const base = this.asked.urls[world];
    // A cluster's console has the certificate of its podid, which no browser knows.
    const context = await this.browser.newContext({ ignoreHTTPSErrors: base.startsWith('https:'), viewport: { width: 1440, height: 900 }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', ...options });
    this.contexts.push(context);
    await context.addInitScript(() => addEventListener('securitypolicyviolation', (e) => console.error(`policy violated: ${e.violatedDirective} by ${e.blockedURI} ${e.sourceFile}`)));
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.on('console', (m) => {
      if (['error', 'warning'].includes(m.type()) && !expect.some((e) => m.text().includes(e))) this.problems.push(`${page.url()}: console ${m.type()}: ${m.text()}`);
    });
    page.on('pageerror', (e) => this.problems.push(`${page.url()}: ${e.stack}`));
    page.on('request', (r) => {
      if (!r.url().startsWith(base + '/console/') && !/^(data|blob):/.test(r.url())) this.problems.push(`a request to ${r.url()}`);
    });
    await page.goto(`${base}/console/${hash}`);
    return page;
  }

  /** go changes the place within a page. */
  async go(page, hash) {
    await page.evaluate((h) => (location.hash = h), hash);
  }

  /** tabTo presses Tab until what has the focus meets a test, which runs in the page. */
  async tabTo(page, what, test, arg) {
    for (let i = 0; i < 120; i++) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(test, arg)) return;
    }
    throw new Error(`Tab does not reach ${what}`);
  }

  expect(ok, what) {
    if (!ok) this.problems.push(what);
  }

  same(got, want, what) {
    if (JSON.stringify(got) !== JSON.stringify(want)) this.problems.push(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
  }

  /** settled waits until nothing is being loaded any more. */
  async settled(page) {
    await page.waitForLoadState('load');
    await page.waitForFunction(() => !document.body.innerText.match(/Loading (the |associations|activity|pods|policies|events)/) && document.querySelector('h1'));
    await page.evaluate(() => document.fonts.ready.then(() => undefined));
    await page.waitForTimeout(350); // transitions of Cloudscape
  }

  /** accessible looks for what axe knows to be in people's way. */
  async accessible(page, where) {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    // Cloudscape's own: the toolbar of its layout on narrow screens.
    const known = (v, n) => v.id === 'aria-allowed-attr' && n.html.includes('mobile-toolbar-nav');
    for (const v of violations) for (const n of v.nodes) if (!known(v, n)) this.problems.push(`axe, ${where}: ${v.id}: ${v.help}: ${n.html.slice(0, 300)}\n${n.failureSummary}`);
  }

  /** picture keeps a page as a whole. */
  async picture(page, name) {
    const { width } = page.viewportSize();
    const height = await page.evaluate(() => Math.min(2600, Math.max(900, document.documentElement.scrollHeight)));
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(250);
    await page.screenshot({ path: path.join(this.asked.screenshots, name + '.png') });
    await page.setViewportSize({ width, height: 900 });
  }

  async failed(name) {
    for (const context of this.contexts)
      for (const [i, page] of context.pages().entries()) await page.screenshot({ path: path.join(this.asked.screenshots, `FAILED ${name} ${i}.png`) }).catch(() => {});
  }

  async close() {
    for (const context of this.contexts) await context.close();
  }
}
