// express-session beside the Rust servers: the same routes, the same payload, the same answers.
//
// MODE: bare (no session at all), read (Redis, and no touch), rolling (Redis, with the touch that
// express-session does by default) or memory. WORKERS: 0 for one process, or so many of a cluster.

import cluster from 'node:cluster';
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { createClient } from 'redis';

const { MODE = 'read', REDIS_URL = 'redis://127.0.0.1:6379', WORKERS = '0', PORT = '0' } = process.env;
const DAY = 24 * 3600;

const ada = {
  name: 'Ada Lovelace', email: 'ada@example.com', locale: 'en-GB', currency: 'GBP',
  roles: ['customer', 'reviewer'], csrf_token: '8cJ0mXo5kq3RZp1vYt7uWbNd2sLgHfEa',
  cart: [{ sku: 'TEA-0042', quantity: 2, cents: 1250 }, { sku: 'CUP-0007', quantity: 1, cents: 890 }],
  last_seen: '2026-01-01T12:00:00Z', visits: 17,
};

function greeting({ name, currency, cart, visits }) {
  let items = 0;
  let cents = 0;
  for (const item of cart) {
    items += item.quantity;
    cents += item.quantity * item.cents;
  }
  return `${name} has ${items} items for ${currency} ${cents} and came ${visits} times`;
}

// Plain text, as the other servers answer, without Express' hash of the body.
function answer(res, text) {
  res.type('text').end(text);
}

async function store() {
  if (MODE === 'memory') return new session.MemoryStore();
  const client = createClient({ url: REDIS_URL });
  client.on('error', (error) => console.error(error.message));
  await client.connect();
  return new RedisStore({ client, ttl: DAY, disableTouch: MODE === 'read' });
}

async function serve() {
  const app = express();
  app.disable('x-powered-by');
  if (MODE === 'bare') {
    app.get('/read', (req, res) => answer(res, greeting(ada)));
    app.get('/sign_in', (req, res) => answer(res, 'in'));
  } else {
    app.use(session({
      store: await store(), secret: 'a secret of the Express service', resave: false, saveUninitialized: false,
    }));
    app.get('/sign_in', (req, res) => {
      const { text } = req.query;
      if (text === undefined) Object.assign(req.session, ada);
      else req.session.text = 'x'.repeat(Number(text));
      answer(res, 'in');
    });
    app.get('/read', (req, res) => {
      if (!req.session.name) return res.sendStatus(401);
      answer(res, greeting(req.session));
    });
    app.get('/count', (req, res) => {
      if (!req.session.name) return res.sendStatus(401);
      req.session.visits += 1;
      answer(res, greeting(req.session));
    });
  }
  const listener = app.listen(Number(PORT), '127.0.0.1', (error) => {
    if (error) throw error;
    if (cluster.isPrimary) announce(listener.address().port);
  });
}

function announce(port) {
  console.log(`listening on http://127.0.0.1:${port}`);
}

if (WORKERS === '0' || cluster.isWorker) {
  await serve();
} else {
  let missing = Number(WORKERS);
  cluster.on('listening', (worker, { port }) => {
    missing -= 1;
    if (missing === 0) announce(port);
  });
  for (let worker = 0; worker < Number(WORKERS); worker += 1) cluster.fork();
}
