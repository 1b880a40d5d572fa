//! What the application does, whatever serves it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
#[cfg(feature = "tower")]
use session_store::SessionLayer;
#[cfg(feature = "actix-web")]
use session_store::SessionMiddleware;
use session_store::{AuthMethod, Error, Expiry, Session, SessionManager};
#[cfg(feature = "device-bound")]
use session_store::{Clock as _, Device, ManualClock};
use tokio::sync::watch;
use tokio::time;

use crate::store::{Call, StagedStore};
use crate::support::gate::Gate;
use crate::support::log::Log;

/// What a guarded route gives its handler.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(3);

pub(crate) const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

/// What one session holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Notes {
    pub(crate) text: String,
    pub(crate) count: u32,
    pub(crate) tags: BTreeMap<String, u32>,
}

impl Notes {
    pub(crate) fn with_text(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

/// What the other one holds.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Theme(pub(crate) String);

/// What a host builds the application from.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    pub(crate) notes: SessionManager<Notes>,
    pub(crate) themes: SessionManager<Theme>,
    /// Notes in another cookie.
    pub(crate) other: SessionManager<Notes>,
    pub(crate) store: StagedStore,
    /// Where the step `wait` and the second part of a stream wait.
    pub(crate) gate: Gate,
    /// Opened, it ends a request that has not been answered, as a time limit would.
    pub(crate) patience: Gate,
    /// How many requests are being served.
    pub(crate) running: Arc<watch::Sender<usize>>,
    /// Whether the outer layer of the notes touches always.
    pub(crate) touches_always: bool,
    pub(crate) log: Log,
    #[cfg(feature = "device-bound")]
    pub(crate) clock: Arc<ManualClock>,
}

/// What the steps lead to.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: ReplyBody,
}

#[derive(Debug)]
pub(crate) enum ReplyBody {
    Whole(String),
    /// To be sent as [`parts`].
    Parts(Gate),
}

impl Lab {
    /// The outer layer of the notes.
    #[cfg(feature = "tower")]
    pub(crate) fn notes_layer(&self) -> SessionLayer<Notes> {
        let layer = SessionLayer::new(self.notes.clone());
        if self.touches_always { layer.touch_always() } else { layer }
    }

    /// The same for actix-web.
    #[cfg(feature = "actix-web")]
    pub(crate) fn notes_middleware(&self) -> SessionMiddleware<Notes> {
        let middleware = SessionMiddleware::new(self.notes.clone());
        if self.touches_always { middleware.touch_always() } else { middleware }
    }

    /// Does what a path such as `/notes/text/hello` asks for.
    pub(crate) async fn steps(
        &self,
        session: Session<Notes>,
        path: &str,
        query: Option<&str>,
    ) -> Result<Reply, Error> {
        let mut status = 200;
        let mut body = ReplyBody::Whole("It is done.".to_owned());
        let mut steps = path.split('/').skip(2);
        while let Some(step) = steps.next() {
            let mut argument = || steps.next().expect("this step has an argument");
            match step {
                "read" => body = ReplyBody::Whole(session.read(json)),
                "text" => session.write(|notes| argument().clone_into(&mut notes.text))?,
                "count" => count(&session)?,
                "colour" => session.write(|notes| {
                    notes.count = argument().parse().expect("a number");
                    notes.tags.insert("colour".to_owned(), notes.count);
                })?,
                "update" => {
                    let text = argument();
                    session.update(|notes| text.clone_into(&mut notes.text)).await?;
                }
                "save" => session.save().await?,
                "try_to_save" => assert!(session.save().await.is_err(), "the test has the store fail"),
                "sign_in" => session.sign_in(argument(), |_| ())?,
                "remember" => session.set_expiry(Expiry::idle(REMEMBERED))?,
                "renew" => session.renew()?,
                "log_out" => session.destroy().await?,
                "give_up_saving" => {
                    let rotation = self.store.hold(Call::Rotate);
                    tokio::select! {
                        saved = session.save() => saved?,
                        () = rotation.arrival() => rotation.open(),
                    }
                }
                "wait" => self.gate.pass().await,
                "stream" => body = ReplyBody::Parts(self.gate.clone()),
                "status" => status = argument().parse().expect("a number"),
                "confirm" => session.confirm([AuthMethod::Password])?,
                "recent" => session.require_recent(seconds(argument()))?,
                #[cfg(feature = "device-bound")]
                "device" => body = ReplyBody::Whole(self.device(&session)),
                #[cfg(feature = "device-bound")]
                "prove" => {
                    session.require_device_proof(seconds(argument()))?;
                }
                "hang" => {
                    tokio::spawn(let_the_time_limit_run_out());
                    std::future::pending::<()>().await;
                }
                "panic" => panic!("this panic is part of a test"),
                other => unreachable!("there is no step {other}"),
            }
        }
        let parameters = query.into_iter().flat_map(|query| query.split('&'));
        let headers = parameters.filter_map(|parameter| parameter.split_once('='));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.replace('+', " ")));
        Ok(Reply { status, headers: headers.collect(), body })
    }

    /// What the session shows of its device.
    #[cfg(feature = "device-bound")]
    fn device(&self, session: &Session<Notes>) -> String {
        let ago = |time| self.clock.now().saturating_since(time).as_secs();
        match session.device() {
            Device::Unbound => "Unbound".to_owned(),
            Device::Bound { since, proved_at } => {
                format!("Bound for {} s, proved {} s ago", ago(since), ago(proved_at))
            }
            Device::Stale => "Stale".to_owned(),
            other => unreachable!("{other:?}"),
        }
    }

    /// Serves a request. `None` if somebody lost patience with it.
    pub(crate) async fn attend<R>(&self, request: impl Future<Output = R>) -> Option<R> {
        let _running = Running::begin(&self.running);
        tokio::select! {
            response = request => Some(response),
            () = self.patience.pass() => None,
        }
    }
}

/// Sets the clock of the runtime that serves the request. In a task of its own: the time limit ends whoever
/// is inside it.
async fn let_the_time_limit_run_out() {
    time::pause();
    time::advance(TIME_LIMIT).await;
    time::resume();
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs(text.parse().expect("a number"))
}

/// Counts this request in its notes.
pub(crate) fn count(session: &Session<Notes>) -> Result<(), Error> {
    session.write(|notes| notes.count += 1)
}

pub(crate) fn twice(one: &Session<Notes>, other: &Session<Notes>) -> Result<String, Error> {
    count(one)?;
    Ok(other.read(json))
}

pub(crate) async fn theme(session: &Session<Theme>, new: Option<String>) -> Result<String, Error> {
    if let Some(name) = new {
        session.update(|theme| name.clone_into(&mut theme.0)).await?;
    }
    Ok(session.read(|theme| theme.0.clone()))
}

pub(crate) fn both(notes: &Session<Notes>, theme: &Session<Theme>, name: &str) -> Result<String, Error> {
    notes.write(|notes| name.clone_into(&mut notes.text))?;
    theme.write(|theme| name.clone_into(&mut theme.0))?;
    Ok(theme.read(|theme| theme.0.clone()))
}

/// A body of two parts; the second waits at the gate.
pub(crate) fn parts(gate: Gate) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::unfold(0, move |part| {
        let gate = gate.clone();
        async move {
            match part {
                0 => Some((Ok("first, ".into()), 1)),
                1 => {
                    gate.pass().await;
                    Some((Ok("second".into()), 2))
                }
                _ => None,
            }
        }
    })
}

fn json(notes: &Notes) -> String {
    serde_json::to_string(notes).expect("notes are JSON")
}

/// Counts a request for as long as somebody works on it.
struct Running(Arc<watch::Sender<usize>>);

impl Running {
    fn begin(counter: &Arc<watch::Sender<usize>>) -> Self {
        counter.send_modify(|count| *count += 1);
        Self(Arc::clone(counter))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
