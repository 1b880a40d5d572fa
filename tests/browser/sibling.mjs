// Somebody signed in at a shop, and a page on a sibling subdomain that sets cookies for both hosts:
// `node sibling.mjs <port> <name=value>`. The cookie is the attacker's own. What was seen is printed as JSON.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [port, planted] = process.argv.slice(2);
const name = planted.split('=')[0];
const [shop, evil] = ['shop.test', 'evil.shop.test'].map((host) => `https://${host}:${port}`);
const profile = mkdtempSync(join(tmpdir(), 'sibling-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  ignoreHTTPSErrors: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP *.test 127.0.0.1'],
});
browser.setDefaultTimeout(20_000);
const page = await browser.newPage();

const me = async () => {
  const answer = await page.goto(`${shop}/me`);
  return (await answer.json()).user;
};
const setCookie = (text) => page.evaluate((text) => { document.cookie = text; }, text);
/** The names of the cookies that go to the shop, in their order. */
const names = async () => (await browser.cookies(`${shop}/me`)).map((cookie) => cookie.name);

const seen = {};
try {
  await page.goto(`${shop}/me`);
  await page.evaluate(() => fetch('/login', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ user: 'ada' }),
  }));
  seen.signed_in = await me();
  seen.own = await names();

  seen.attempts = [];
  for (const resembling of [planted, `=${planted}`, planted.toUpperCase().slice(0, name.length) + planted.slice(name.length),
    ...['\u2000', '\u0085', '\u00a0', '\u1680', '\u2028', '\u3000', '\ufeff', '"', 'x,'].map((before) => before + planted)]) {
    await page.goto(`${evil}/`);
    // The longer path goes first.
    await setCookie(`${resembling}; domain=shop.test; path=/me; secure`);
    const before = await names();
    seen.attempts.push({ cookie: resembling.slice(0, resembling.lastIndexOf('=')), names: before, user: await me() });
    await page.goto(`${evil}/`);
    await setCookie(`${resembling}; domain=shop.test; path=/me; secure; max-age=0`);
  }

  await page.goto(`${shop}/me`);
  await setCookie(`${planted}; path=/; secure`);
  seen.after_a_script = { names: await names(), user: await me() };
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(seen));
