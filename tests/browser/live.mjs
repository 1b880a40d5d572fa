// Two tabs of one browser at an example with a WebSocket: `node live.mjs <url>`. What the first tab shows at each step
// is printed as JSON.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'live-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
browser.setDefaultTimeout(20_000);

// A tab in the background draws nothing, so it is looked at by the clock.
const shows = async (tab, wanted) => {
  const state = () => document.getElementById('state').value;
  const expression = (wanted) => document.getElementById('state').value.includes(wanted);
  await tab.waitForFunction(expression, wanted, { polling: 50 });
  return tab.evaluate(state);
};

const seen = {};
try {
  const [first, second] = [await browser.newPage(), await browser.newPage()];
  await first.goto(url);
  seen.stranger = await shows(first, 'closed');
  await first.click('#sign-in button');
  seen.signed_in = await shows(first, 'open');
  await first.click('#say button');
  await first.waitForSelector('#said li');
  seen.said = await first.textContent('#said li');

  await second.goto(url);
  await shows(second, 'open');
  await second.click('#sign-out button');
  seen.signed_out = [await shows(first, '400'), await shows(second, '400')];

  await first.click('#sign-in button');
  seen.signed_in_again = await shows(first, 'open');
  // The session ends by its time.
  seen.expired = await shows(first, '400');
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(seen));
