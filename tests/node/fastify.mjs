// The same service as express.mjs on Fastify, set up to understand the cookies of express-session.

import { connect, load } from './redis.mjs';

const { PORT, REDIS_URL, SESSION_SECRET } = process.env;
const app = load('fastify')();

app.register(load('@fastify/cookie'));
app.register(load('@fastify/session'), {
  store: await connect(REDIS_URL),
  // A single one would have to be 32 characters long.
  secret: [SESSION_SECRET],
  cookieName: 'connect.sid',
  cookiePrefix: 's:',
  cookie: { sameSite: 'lax', secure: false, maxAge: 3600 * 1000 },
  rolling: false,
  saveUninitialized: false,
});

app.get('/session', async (request) => request.session);

app.post('/session', async (request) => {
  const { cookie, ...members } = request.body;
  Object.assign(request.session.cookie, cookie);
  Object.assign(request.session, members);
  return request.session;
});

app.post('/regenerate', async (request) => {
  await request.session.regenerate();
  Object.assign(request.session, request.body);
  return request.session;
});

app.post('/destroy', async (request, reply) => {
  await request.session.destroy();
  return reply.code(204).send();
});

console.log(`listening on ${await app.listen({ port: Number(PORT), host: '127.0.0.1' })}`);
