// Somebody with three devices at examples/devices.rs: `node devices.mjs <url> [<folder for a picture>]`. What the first
// one shows at each step is printed as JSON.

import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, pictures] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

const agents = {
  windows: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  mac: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15',
  phone: 'Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0',
};

async function open(userAgent) {
  const context = await browser.newContext({ userAgent, viewport: { width: 640, height: 640 }, colorScheme: 'light' });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

const seen = {};
const buttons = (page) => page.getByRole('button').allInnerTexts();
const rows = async (page, table = '#devices') => (await page.locator(`${table} tr:has(td)`).allInnerTexts()).map((row) => row.replace(/\s+/g, ' ').trim());

async function signIn(page) {
  await page.getByLabel('Your name').fill('ada');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out', exact: true }).first().waitFor();
}

try {
  const devices = [];
  for (const agent of Object.values(agents)) devices.push(await open(agent));
  const [first, second, third] = devices;
  seen.stranger = await buttons(first);
  for (const page of devices) await signIn(page);
  await first.reload();
  seen.devices = await rows(first);
  seen.member = await buttons(first);
  if (pictures) await first.screenshot({ path: join(pictures, 'devices.png') });

  // What an open page says when its session is ended from elsewhere.
  const told = (page) => new Promise((resolve) => page.once('dialog', async (dialog) => {
    await dialog.accept();
    resolve(dialog.message());
  }));
  const [afar, phone] = [told(second), told(third)];
  await first.locator('#devices tr', { hasText: 'Safari' }).getByRole('button').click();
  seen.told = await afar;
  await first.locator('#devices tr', { hasText: 'Safari' }).waitFor({ state: 'detached' });
  seen.without_one = await rows(first);
  await first.getByRole('button', { name: 'Sign out everywhere else' }).click();
  await phone;
  await first.locator('#devices tr', { hasText: 'Firefox' }).waitFor({ state: 'detached' });
  seen.alone = await rows(first);
  seen.activity = await rows(first, '#activity');
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
