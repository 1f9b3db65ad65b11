// Runs the scenarios of a file in Chromium, and writes one line of JSON for each.
// Go starts it (test/clients), says in its argument which and where what runs, and
// does on request what a browser cannot: a line on stdin says that it is done.
import { chromium } from 'playwright-core';
import { createInterface } from 'node:readline';
import { Trial } from './trial.mjs';

const asked = JSON.parse(process.argv[2]);
const { scenarios } = await import('./' + asked.scenarios);
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const replies = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const outside = async (what, text) => {
  say({ do: what, with: text });
  await replies.next();
};

const browser = await chromium.launch({
  executablePath: asked.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
for (const [name, run] of Object.entries(scenarios)) {
  if (asked.only && !name.includes(asked.only)) continue;
  const trial = new Trial(browser, asked, outside);
  try {
    await run(trial);
  } catch (error) {
    trial.problems.push(error.stack ?? String(error));
    await trial.failed(name);
  }
  await trial.close();
  say({ scenario: name, problems: trial.problems, notes: trial.notes });
}
await browser.close();
process.exit(0);
