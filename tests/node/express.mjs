// A service on Express whose requests say what becomes of their session. It runs in a folder beside this file, with
// that folder's packages; tests/express/generations.rs says which there are.

import { connect, dependencies, load } from './redis.mjs';
import { signIns } from './passport.mjs';

const { PORT, REDIS_URL, SESSION_SECRET } = process.env;
const express = load('express');
const session = load('express-session');

const app = express();
app.use(session({
  store: await connect(REDIS_URL, session),
  secret: SESSION_SECRET,
  cookie: { sameSite: 'lax', maxAge: 3600 * 1000 },
  resave: false,
  saveUninitialized: false,
}));
app.use(express.json());

app.get('/session', (req, res) => res.json(req.session));

/** `cookie` has what `req.session.cookie` is told, all else becomes a member. */
app.post('/session', (req, res) => {
  const { cookie, ...members } = req.body;
  Object.assign(req.session.cookie, cookie);
  Object.assign(req.session, members);
  res.json(req.session);
});

app.post('/regenerate', (req, res, next) => {
  req.session.regenerate((error) => {
    if (error) return next(error);
    Object.assign(req.session, req.body);
    res.json(req.session);
  });
});

app.post('/destroy', (req, res, next) => {
  req.session.destroy((error) => (error ? next(error) : res.sendStatus(204)));
});

if (dependencies.passport) signIns(app);

const listener = app.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${listener.address().port}`);
});
