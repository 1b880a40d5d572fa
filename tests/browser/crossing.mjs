// A person with a browser at a shop that two services share: `node crossing.mjs <origin>`.
//
// The origin is that of examples/express_migration: `/node/…` and `/rust/…` are the services by name,
// and a form goes to whichever service has its route. What was seen is printed as JSON.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const origin = process.argv[2];
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!existsSync(executablePath)) {
  throw new Error(`no Chromium at ${executablePath}: install it (Debian: apt-get install chromium), or say where it is in CHROMIUM`);
}
const profile = mkdtempSync(join(tmpdir(), 'crossing-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  // As root there is no sandbox; and without the rest Chromium calls home.
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
browser.setDefaultTimeout(20_000);
const page = await browser.newPage();

const open = (path) => page.goto(origin + path);

async function submit(button, fields = {}) {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value);
  await Promise.all([page.waitForEvent('framenavigated'), page.getByRole('button', { name: button }).click()]);
  await page.waitForLoadState();
}

/** What the page shows, and what the browser and the page's scripts hold of the cookie. */
async function look() {
  const cookies = await browser.cookies(origin);
  return {
    greeting: await page.locator('h1').innerText(),
    visits: Number(await page.locator('.count').innerText()),
    cart: await page.locator('li').allInnerTexts(),
    cookies: cookies.map(({ name, value, httpOnly, sameSite, path }) => ({ name, value, httpOnly, sameSite, path })),
    seen_by_scripts: await page.evaluate(() => document.cookie),
  };
}

/** What each service tells the same browser. */
async function told() {
  const me = async (service) => (await browser.request.get(`${origin}/${service}/me`)).json();
  return { node: await me('node'), rust: await me('rust') };
}

/** What a page's script would do. */
const post = (path, body) => page.evaluate(async ([url, body]) => {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  return answer.json();
}, [origin + path, JSON.stringify(body)]);

const seen = {};
try {
  await open('/node/');
  seen.arrived = await look();
  await submit('Sign in', { 'Your name': 'ada' });
  seen.signed_in = await look();

  await open('/rust/');
  seen.in_rust = await look();
  await submit('Add to cart', { 'Something to buy': 'tea' });
  await open('/rust/');
  await submit('Add to cart', { 'Something to buy': 'cake' });
  seen.bought = await look();

  await open('/node/');
  await page.reload();
  seen.reloaded_in_node = await look();
  await open('/rust/');
  await page.reload();
  seen.reloaded_in_rust = await look();
  seen.told = await told();

  const kept = await browser.cookies(origin);
  await submit('Sign out');
  seen.signed_out = await look();
  await open('/rust/');
  seen.signed_out_in_rust = await look();
  await browser.addCookies(kept);
  seen.told_with_the_old_cookie = await told();

  await post('/rust/login', { user: 'bob' });
  await open('/node/');
  seen.signed_in_by_rust = await look();
  await post('/rust/logout', {});
  await open('/node/');
  seen.signed_out_by_rust = await look();
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(seen));
