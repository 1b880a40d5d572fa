//! The tool, and sessions for it to find.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use session_store::owners::{Entry, IndexInsert, Stage};
use session_store::{
    Clock as _, Codec, Label, Owner, OwnerHash, Payload, Record, RedisStore, SessionId, SessionStore,
    SystemClock, Ttl,
};

/// The tool with some variables, and what it must never say.
#[derive(Clone, Default)]
pub(crate) struct Tool {
    variables: Vec<(String, String)>,
    secrets: Vec<String>,
}

pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Tool {
    pub(crate) fn at(url: impl Into<String>) -> Self {
        Self::default().set("REDIS_URL", url)
    }

    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn hiding<S: Into<String>>(mut self, secrets: impl IntoIterator<Item = S>) -> Self {
        self.secrets.extend(secrets.into_iter().map(Into::into));
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-store"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("REDIS_") || name.starts_with("SESSION_") || name == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.read(self.command(arguments).output().expect("the tool can be started"))
    }

    /// The JSON that it prints, and that it has no complaints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[&["--json"], arguments].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{arguments:?}: {}", said.out);
        said.json()
    }

    pub(crate) fn read(&self, output: Output) -> Said {
        let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
        let said = Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        for secret in &self.secrets {
            for text in [&said.out, &said.err] {
                assert!(!text.contains(secret.as_str()), "it printed a secret: {text}");
            }
        }
        for text in [&said.out, &said.err] {
            assert!(!text.contains("panicked"), "{text}");
            assert!(!text.contains('\u{1b}'), "no colors and no bars, as this is no terminal: {text:?}");
        }
        said
    }
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {:?} {:?}", self.out, self.err))
    }

    /// One value from each line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let value = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        self.out.lines().map(value).collect()
    }

    pub(crate) fn has(&self, code: i32, words: &str) {
        let said = format!("{}{}", self.out, self.err);
        assert!(self.code == Some(code) && said.contains(words), "{:?}, not {code}: {said}", self.code);
    }
}

pub(crate) async fn connect(url: &str) -> Arc<RedisStore> {
    let builder = RedisStore::builder(url).timeout(Duration::from_secs(5));
    Arc::new(builder.connect().await.expect("the servers answer"))
}

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn record() -> Record {
    let now = SystemClock.now();
    let data = Codec::Json.encode(&serde_json::json!({ "cart": ["tea"] })).unwrap();
    let mut record = Record::new(now, now.saturating_add(HOUR), data);
    record.idle_timeout = Some(HOUR);
    record
}

pub(crate) async fn store(store: &RedisStore, id: &SessionId, record: &Record) {
    store.create(&id.key(), record, Ttl::new(HOUR)).await.expect("it can be stored");
}

/// An anonymous session.
pub(crate) async fn anonymous(redis: &RedisStore) -> SessionId {
    let id = SessionId::generate();
    store(redis, &id, &record()).await;
    id
}

/// A session of somebody, in the index of owners too.
pub(crate) async fn signed_in(redis: &RedisStore, id: SessionId, owner: &str, label: &str) -> SessionId {
    let owner = Owner::new(owner).unwrap();
    let mut record = record();
    record.label = Some(Label::new(label).unwrap());
    record.absolute_deadline = Some(record.created_at.saturating_add(24 * HOUR));
    record.owner = Some(owner.clone());
    let entry = Entry::of(id.key(), &record);
    let index = redis.owners().expect("it has one");
    let enter = async |stage| {
        let insert = IndexInsert::new(&entry, HOUR, stage);
        index.insert(OwnerHash::of(&owner), insert).await.expect("it can be entered");
    };
    enter(Stage::Before).await;
    store(redis, &id, &record).await;
    enter(Stage::After).await;
    id
}

/// A session with data of another codec.
pub(crate) async fn with_data(redis: &RedisStore, data: Payload) -> SessionId {
    let id = SessionId::generate();
    let mut record = record();
    record.data = data;
    store(redis, &id, &record).await;
    id
}
