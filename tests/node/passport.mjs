// Sign-in and logout by passport, with a strategy that believes whoever says a name.

import { load } from './redis.mjs';

export function signIns(app) {
  const passport = load('passport');
  class Believer extends passport.Strategy {
    name = 'believer';

    authenticate(req) {
      this.success({ id: req.body.user });
    }
  }
  passport.use(new Believer());
  passport.serializeUser((user, done) => done(null, user.id));
  passport.deserializeUser((id, done) => done(null, { id }));
  app.use(passport.session());

  app.get('/user', (req, res) => res.json(req.user?.id ?? null));

  // Both take `keepSessionInfo`, and pass it on.
  app.post('/login', (req, res, next) => passport.authenticate('believer', req.body)(req, res, next), (req, res) => {
    res.json(req.session);
  });

  app.post('/logout', (req, res, next) => {
    req.logout(req.body, (error) => (error ? next(error) : res.json(req.session)));
  });
}
