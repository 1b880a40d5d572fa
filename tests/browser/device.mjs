// Somebody with a browser that binds sessions to its device, at the bank of tests/device/bank.rs:
// `node device.mjs <port> <hash of the certificate's key> <scene>`. What was seen is printed as JSON.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [port, key, scene] = process.argv.slice(2);
const origin = `https://bank.test:${port}`;
const profile = mkdtempSync(join(tmpdir(), 'device-'));
const features = scene === 'unable' ? [] : ['DeviceBoundSessions', 'EnableBoundSessionCredentialsSoftwareKeysForManualTesting'];
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-proxy-server', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP *.test 127.0.0.1',
    // With `--ignore-certificate-errors`, nothing is ever registered.
    `--ignore-certificate-errors-spki-list=${key}`, `--enable-features=${features.join(',')}`],
});
browser.setDefaultTimeout(20_000);
const page = await browser.newPage();

/** What the bank answers a script of its page, or whoever has its cookies. */
const ask = (path, body) => page.evaluate(async ([path, body]) => {
  const answer = await fetch(path, { method: body === undefined ? 'GET' : 'POST', body });
  return answer.text();
}, [path, body]);
const thief = (cookies) => execFileSync('curl', ['-sk', '--noproxy', '*', '--resolve', `bank.test:${port}:127.0.0.1`, '-H',
  `cookie: ${cookies.map(({ name, value }) => `${name}=${value}`).join('; ')}`, `${origin}/whoami`]).toString();

const cookies = () => browser.cookies(origin);
const bound = async () => (await cookies()).find(({ name }) => name.endsWith('-device'));
async function until(what, condition) {
  for (const end = Date.now() + 15_000; Date.now() < end;) {
    if (await condition()) return;
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  throw new Error(`waited in vain until ${what}`);
}
async function signIn() {
  const before = (await bound())?.value;
  await ask('/login', 'ada');
  if (scene !== 'unable') await until('the session is bound', async () => ![undefined, before].includes((await bound())?.value));
}
const expired = () => until('the bound cookie has expired', async () => !(await bound()));
const counted = async (name) => JSON.parse(await ask('/counts'))[name];

// Each scene needs few proofs: after six in short order, the browser leaves them out.
const seen = {};
const scenes = {
  async theft() {
    await signIn();
    seen.bound = await ask('/whoami');
    const stolen = await cookies();
    seen.names = stolen.map(({ name }) => name).sort();
    seen.stolen = thief(stolen);
    await expired();
    seen.thief_later = thief(stolen);
    seen.browser_later = await ask('/whoami');
  },
  async renewal() {
    await signIn();
    const before = await cookies();
    await ask('/renew', '');
    await expired();
    seen.renewed = await ask('/whoami');
    seen.same_id = (await cookies()).some(({ value }) => before.some((cookie) => cookie.value === value));
  },
  async parallel() {
    await signIn();
    await expired();
    seen.answers = [...new Set(await Promise.all(Array.from({ length: 10 }, () => ask('/whoami'))))];
    // It also proves it ahead of time, since here the cookie is always about to expire.
    seen.proofs = Number(await ask('/proofs-without-cookie'));
  },
  async sensitive() {
    await signIn();
    // To ask the bank would have the browser prove it again.
    await new Promise((resolve) => { setTimeout(resolve, 1200); });
    seen.transferred = await ask('/transfer', 'ten to bob');
    seen.transfers = JSON.parse(await ask('/transfers'));
  },
  async end() {
    await signIn();
    await ask('/logout', '');
    seen.after_logout = [await ask('/whoami'), (await cookies()).length];
    await signIn();
    await ask('/revoke-all', '');
    await expired();
    seen.after_revoking = [await ask('/whoami'), (await bound()) ?? null];
    // Another sign-in is bound anew.
    await signIn();
    seen.again = await ask('/whoami');
  },
  async quota() {
    await signIn();
    for (let round = 0; round < 12 && !(await counted('deviceSkipped')); round += 1) {
      await until('the bound cookie has expired', async () => !(await bound()));
      seen.last = await ask('/whoami');
    }
    seen.skipped = (await counted('deviceSkipped')) > 0;
    seen.still_there = (await cookies()).some(({ name }) => name === '__Host-Http-id');
  },
  async unable() {
    await signIn();
    seen.unbound = await ask('/whoami');
    seen.transferred = await ask('/transfer', 'ten to bob');
    seen.bound = await counted('deviceBound');
  },
};
try {
  await page.goto(`${origin}/`);
  await scenes[scene]();
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(seen));
