//! Who is measured on Redis.

use std::sync::Arc;

use session_store::{Codec, ExpressLayout, RedisLayout, RedisStore, SessionCookie};
use tower_sessions_redis_store::RedisStore as TowerRedisStore;

use super::actix_session::ActixSession;
use super::axum_session::AxumSession;
use super::fred::{Fred, connect};
use super::ours::{Managed, Ours};
use super::tower_sessions::TowerSessions;
use super::{Cell, Contender, Operation};
use crate::results::contender::{
    ACTIX_SESSION, AXUM_SESSION, MANAGED, OURS, OURS_COMPACT, OURS_EXPRESS, RAW_GET, RAW_SET, RAW_SET_NEW,
    TOWER_SESSIONS,
};
use crate::support::floor::{Command, Raw, RawClient};
use crate::support::redis::Server;

const GET_FRED: &str = "fred, raw GET";
const SET_FRED: &str = "fred, raw SET";

/// Takes longer than reading the clock: each step is timed by itself.
const TOGETHER: u64 = 1;

pub async fn cells(server: &Server, raw: &Raw) -> Vec<Cell> {
    let url = &*server.url();
    let fred = connect(url).await;
    let store = Arc::new(RedisStore::connect(url).await.expect("the server answers"));
    let mut cells = floors(raw, &Fred::new(&fred));
    cells.extend(ours(&store, server.sets_if_equal().await));
    cells.extend(in_express_layout(url).await);
    cells.extend(peer(
        TOWER_SESSIONS,
        &TowerSessions::new(TowerRedisStore::new(fred)),
        [
            "GET; MessagePack of the whole record to a map of JSON values, then the struct from one of them",
            "GET, SET XX EXAT: the record is written back as this request saw it",
            "SET XX EXAT, blind: the last writer wins",
            "SET NX EXAT",
        ],
    ));
    cells.extend(peer(
        ACTIX_SESSION,
        &ActixSession::connect(url).await,
        [
            "GET; JSON of a map of texts, then the struct from JSON in one of them",
            "GET, EXPIRE",
            "SET XX EX, blind: the last writer wins, and what was deleted meanwhile gets a new id",
            "SET NX EX",
        ],
    ));
    cells.extend(peer(
        AXUM_SESSION,
        &AxumSession::new(url),
        [
            "UNWATCH, PING; GET; JSON of a map of texts, then the struct from JSON in one of them",
            "twice UNWATCH, PING; GET; MULTI, SET, EXPIREAT, EXEC",
            "UNWATCH, PING; MULTI, SET, EXPIREAT, EXEC, blind: a session that was deleted comes back",
            "twice UNWATCH, PING; EXISTS; MULTI, SET, EXPIREAT, EXEC",
        ],
    ));
    cells
}

/// Those whose saves are held against each other where the server compares by itself.
pub async fn saving_cells(server: &Server, raw: &Raw) -> Vec<Cell> {
    let mut cells = cells(server, raw).await;
    cells.retain(|cell| {
        [Operation::Save, Operation::SaveBytes].contains(&cell.operation)
            && [RAW_SET, OURS, TOWER_SESSIONS, ACTIX_SESSION].contains(&cell.contender)
    });
    cells
}

/// The clients beneath, with the bytes of our layout under names as long, without a timeout.
fn floors(raw: &Raw, fred: &Fred) -> Vec<Cell> {
    let commands = [
        (Command::Get, Operation::LoadBytes, RAW_GET, "GET on one multiplexed connection"),
        (Command::Set, Operation::SaveBytes, RAW_SET, "SET PX on one multiplexed connection"),
        (Command::SetNew, Operation::Create, RAW_SET_NEW, "SET PX of a name that is new"),
    ];
    let mut cells = Vec::new();
    for (command, operation, name, does) in commands {
        let raw = raw.clone();
        let prepare = move |tasks, steps| {
            let raw = raw.clone();
            async move { RawClient::all(&raw, command, tasks, steps).await }
        };
        cells.push(Cell::of_workers(operation, (name, name), does, prepare, TOGETHER));
    }
    let (get, set) = ((GET_FRED, RAW_GET), (SET_FRED, RAW_SET));
    cells.push(Cell::of(Operation::LoadBytes, get, "GET on a pool of 6", fred, TOGETHER));
    cells.push(Cell::of(Operation::SaveBytes, set, "SET EX on a pool of 6", fred, TOGETHER));
    cells
}

fn ours(store: &Arc<RedisStore>, sets_if_equal: bool) -> Vec<Cell> {
    let swap = if sets_if_equal {
        "SET IFEQ PX: compare-and-swap by the server itself, never creates"
    } else {
        "EVALSHA: compare-and-swap on the revision, never creates"
    };
    let mut cells = Vec::new();
    for (name, codec) in [(OURS, Codec::Json), (OURS_COMPACT, Codec::MessagePack)] {
        let contender = Ours::new(store, codec);
        let both = [
            (Operation::Load, RAW_GET, "GET; the struct from the stored bytes"),
            (Operation::Save, RAW_SET, swap),
        ];
        let once = [
            (Operation::LoadBytes, RAW_GET, "GET"),
            (
                Operation::Roll,
                RAW_GET,
                "GET; a touch only when it gains a tenth of the idle time: not in this run",
            ),
            (Operation::RollAlways, RAW_GET, "GET, EVALSHA: the worst case, a touch share of 0"),
            (Operation::SaveBytes, RAW_SET, swap),
            (Operation::Create, RAW_SET_NEW, "SET NX PX"),
        ];
        // What does not depend on the codec is measured once.
        let operations = if codec == Codec::Json { [&both[..], &once].concat() } else { both.to_vec() };
        let cell = |(operation, floor, does)| Cell::of(operation, (name, floor), does, &contender, TOGETHER);
        cells.extend(operations.into_iter().map(cell));
    }
    let managed = Managed::new(Arc::clone(store), Codec::Json);
    let request = "begin, read, finish: the cookie is verified, then GET";
    cells.push(Cell::of(Operation::Load, (MANAGED, RAW_GET), request, &managed, TOGETHER));
    let request = "begin, write, finish: the cookie is signed, too";
    cells.push(Cell::of(Operation::Create, (MANAGED, RAW_SET_NEW), request, &managed, TOGETHER));
    cells
}

/// The layout that Express shares: what a service pays while it moves.
async fn in_express_layout(url: &str) -> [Cell; 5] {
    let layout = ExpressLayout::new(SessionCookie::new().name("connect.sid").secure(false));
    let store = RedisStore::builder(url).layout(RedisLayout::express(layout)).connect().await;
    let contender = Ours::express(&Arc::new(store.expect("the server answers")));
    let read = "GETRANGE, PTTL and EXISTS in one round trip; SHA-1 and JSON members here";
    let swap = "EVALSHA: compare-and-swap on a seal of SHA-1, never creates";
    let cell =
        |(operation, floor, does)| Cell::of(operation, (OURS_EXPRESS, floor), does, &contender, TOGETHER);
    [
        (Operation::LoadBytes, RAW_GET, read),
        (Operation::Load, RAW_GET, read),
        (Operation::Roll, RAW_GET, read),
        (Operation::Save, RAW_SET, swap),
        (Operation::Create, RAW_SET_NEW, "EVALSHA: no value and no marker"),
    ]
    .map(cell)
}

/// What each peer does for: a read, a rolling read, a save, and a new session.
fn peer<C: Contender>(name: &'static str, contender: &C, does: [&'static str; 4]) -> [Cell; 4] {
    let [load, roll, save, create] = does;
    let cell = |operation, floor, does| Cell::of(operation, (name, floor), does, contender, TOGETHER);
    [
        cell(Operation::Load, RAW_GET, load),
        cell(Operation::Roll, RAW_GET, roll),
        cell(Operation::Save, RAW_SET, save),
        cell(Operation::Create, RAW_SET_NEW, create),
    ]
}
