// The shop of examples/README.md on Express, as it was before the migration: express-session keeps
// the sessions in Redis through connect-redis. README.md says how to run it.

import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { createClient } from 'redis';

const {
  PORT = '3000', REDIS_URL = 'redis://127.0.0.1:6379', SESSION_SECRET, SESSION_TTL, ROLLING, RESAVE, GENID,
  SESSION_COOKIE_NAME = 'connect.sid', SESSION_EXPRESS_PREFIX = 'sess:',
} = process.env;
if (!SESSION_SECRET) throw new Error('SESSION_SECRET is not set');

const client = createClient({ url: REDIS_URL });
client.on('error', (error) => console.error(error.message));
await client.connect();

// Ids of other shapes than express-session's own, which applications have too.
const ids = { uuid: () => randomUUID(), dots: () => `v1.${randomBytes(9).toString('base64url')}.${process.pid}` };

const app = express();
app.use(session({
  store: new RedisStore({ client, prefix: SESSION_EXPRESS_PREFIX }),
  name: SESSION_COOKIE_NAME,
  secret: SESSION_SECRET.split(','),
  cookie: { sameSite: 'lax', maxAge: SESSION_TTL ? SESSION_TTL * 1000 : undefined },
  genid: ids[GENID],
  rolling: ROLLING === 'true',
  resave: RESAVE === 'true',
  saveUninitialized: false,
}));
app.use(express.json(), express.urlencoded());

const read = (file) => readFileSync(new URL(`../pages/${file}`, import.meta.url), 'utf8');
const page = read('shop.html').replace('{style}', read('style.css'));

app.get('/', (req, res) => {
  req.session.visits = (req.session.visits ?? 0) + 1;
  const { user = 'stranger', visits, cart = [] } = req.session;
  const visitor = req.session.user ? 'member' : 'stranger';
  const shown = { visitor, user: escape(user), visits, cart: cart.map((item) => `<li>${escape(item)}</li>`).join('') };
  res.send(page.replace(/\{(visitor|user|visits|cart)\}/g, (_, name) => shown[name]));
});

app.get('/me', (req, res) => res.json(me(req)));

app.post('/login', (req, res, next) => {
  const { user, remember } = req.body ?? {};
  if (!isText(user)) return res.sendStatus(422);
  const { visits, cart } = req.session;
  req.session.regenerate((error) => {
    if (error) return next(error);
    Object.assign(req.session, { user, visits, cart });
    if (remember === 'on' || remember === true) req.session.cookie.maxAge = 30 * 24 * 3600 * 1000;
    answer(req, res, next);
  });
});

app.post('/cart', (req, res, next) => {
  const { item } = req.body ?? {};
  if (!isText(item)) return res.sendStatus(422);
  req.session.cart = [...(req.session.cart ?? []), item];
  answer(req, res, next);
});

app.post('/logout', (req, res, next) => {
  req.session.destroy((error) => {
    if (error) return next(error);
    res.clearCookie(SESSION_COOKIE_NAME, { httpOnly: true, sameSite: 'lax' });
    answer(req, res, next);
  });
});

function answer(req, res, next) {
  if (req.is('json')) return res.json(me(req));
  if (!req.session) return res.redirect(303, '/');
  // Left alone, express-session sends the redirect before it saves, and the browser may be faster.
  // Without `touch`, a session that is older than its maxAge would be deleted instead.
  req.session.touch().save((error) => (error ? next(error) : res.redirect(303, '/')));
}

function me({ session: { user = null, visits = 0, cart = [], cookie } = {} }) {
  const is_new = user === null && visits === 0 && cart.length === 0;
  const expires_at = is_new || !cookie.expires ? null : Math.floor(cookie.expires / 1000);
  return { user, visits, cart, created_at: null, expires_at, is_new };
}

function isText(value) {
  return typeof value === 'string' && value.length > 0 && value.length <= 256;
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const listener = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`listening on http://127.0.0.1:${listener.address().port}`);
});
