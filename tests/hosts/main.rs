//! The adapters, black box: one script that speaks nothing but HTTP, run against the same
//! application in every host framework, on every store. It runs in the test's own process, which
//! the examples (`tests/http_app.rs`) can't: stores fail and wait on command, handlers are held at
//! the right moment, clients hang up, and the clock is set.
//!
//! # The application
//!
//! It keeps [`Notes`](lab::Notes) in a session with the cookie `id`, and a [`Theme`](lab::Theme) in
//! one with the cookie `theme`, and is inside a layer for each. What a host has to serve, all by `GET`:
//!
//! | route | |
//! |---|---|
//! | `/notes/{steps}` | takes the notes and does [`Lab::steps`](lab::Lab::steps) |
//! | `/inner/{steps}` | the same inside a second layer of the same manager; between the two layers a middleware counts the request in the notes ([`lab::count`]) |
//! | `/guarded/{steps}` | the same inside a time limit that is answered by 408, and inside what answers a panic by 500: what is usual in this host |
//! | `/refused` | a middleware counts the request, and fails with 403 as middlewares of this host do |
//! | `/ambiguous/{steps}` | the same inside a second layer for notes whose cookie is named `other` |
//! | `/ambiguous/static` | uses no session |
//! | `/twice` | takes the notes two times, counts in the one and shows the other ([`lab::twice`]) |
//! | `/theme`, `/theme/{name}` | shows the theme, and changes it by `update` ([`lab::theme`]) |
//! | `/both/{name}` | takes both, and changes both ([`lab::both`]) |
//! | `/bare/{steps}` | as `/notes`, but with no layer for the notes around it |
//! | `/static` | uses no session |
//! | anything else | 404 |
//!
//! An error that taking a session or doing the steps gives is answered as the adapter answers it.
//! Around everything is [`Lab::attend`](lab::Lab::attend), which a host answers by 504 where it
//! gives no response.
//!
//! `{steps}` are parts of the path, done one after the other:
//!
//! | step | |
//! |---|---|
//! | `read` | answers with the notes as JSON |
//! | `text/{text}` | writes the text |
//! | `count` | writes a number that is one higher |
//! | `colour/{number}` | writes the number, and a tag in a map |
//! | `update/{text}` | changes the text at once, by `update` |
//! | `save` | stores at once what was written |
//! | `try_to_save` | the same, where the test has the store fail, and goes on |
//! | `sign_in/{user}`, `remember`, `renew`, `log_out` | what they say; `remember` is for 30 days |
//! | `give_up_saving` | begins to save, and gives up while the store is at it |
//! | `wait` | waits until the test opens the gate |
//! | `stream` | answers with a body in two parts, the gate between them |
//! | `status/{code}` | answers with this status |
//! | `confirm`, `recent/{seconds}` | notes that a password was given, and asks for that within this time |
//! | `device`, `prove/{seconds}` | answers with what is known of the session's device, and asks for a proof within this time |
//! | `hang` | outlasts the time limit of a guarded route |
//! | `panic` | panics |
//!
//! The parameters of the query are headers of the answer, where the steps lead to one.

#![cfg(all(feature = "memory", any(feature = "tower", feature = "actix-web")))]

mod answers;
mod browser;
mod host;
mod lab;
#[macro_use]
mod script;
mod site;
mod store;
#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "actix-web")]
script_for_every_store!(actix_web);
#[cfg(feature = "axum")]
script_for_every_store!(axum);
#[cfg(feature = "tower")]
script_for_every_store!(tower);
#[cfg(feature = "warp")]
script_for_every_store!(warp);
