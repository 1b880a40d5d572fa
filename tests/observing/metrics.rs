//! What reaches the recorder of the `metrics` facade, here the one for Prometheus.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use session_store::metrics::BUCKETS;
use session_store::{KeyRing, MemoryStore, SessionManager, SessionManagerBuilder};

use crate::world::{IDLE, World};

fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in BUCKETS {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets).unwrap();
    }
    builder.build_recorder()
}

/// What a recorder for the whole process was told by then.
pub(crate) fn rendered() -> String {
    static HANDLE: LazyLock<PrometheusHandle> = LazyLock::new(|| {
        let recorder = recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).expect("there is no other");
        handle
    });
    HANDLE.render()
}

/// What `work` told a recorder of its own.
fn told_by(work: impl AsyncFnOnce()) -> String {
    let recorder = recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(work()));
    recorder.handle().render()
}

async fn a_day() {
    a_day_in(World::new(), indexing()).await;
}

/// A service whose store knows whose sessions it has.
fn indexing() -> SessionManagerBuilder<String> {
    SessionManager::builder(MemoryStore::new(), KeyRing::generate())
}

async fn a_day_in(world: World, indexing: SessionManagerBuilder<String>) {
    let left = world.sign_up("a note").await;
    let cookie = world.sign_up("a note").await;
    world.read(&cookie).await.unwrap();
    world.clock.advance(Duration::from_secs(120));
    let cookie = world.sign_in(&cookie, "ada").await;
    world.clock.advance(Duration::from_secs(100));
    world.log_out(&cookie).await;
    world.clock.advance(2 * IDLE);
    world.read(&left).await.unwrap();
    world.manager.begin(Some("id=forged"));
    world.store.is_away.store(true, Ordering::SeqCst);
    world.read(&left).await.unwrap_err();
    world.store.is_away.store(false, Ordering::SeqCst);
    let request = indexing.build().unwrap().begin(None);
    request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    assert!(request.finish(200).await.failure.is_none());
    world.manager.stats().await;
}

#[test]
fn what_happened_is_told_under_the_names_that_are_documented() {
    let told = told_by(a_day);
    for line in [
        "session_store_events_total{event=\"created\"} 3",
        "session_store_events_total{event=\"rotated\"} 1",
        "session_store_events_total{event=\"signed_in\"} 2",
        "session_store_events_total{event=\"new_devices\"} 2",
        "session_store_events_total{event=\"destroyed\"} 1",
        "session_store_events_total{event=\"expired\"} 1",
        "session_store_events_total{event=\"forged\"} 1",
        "session_store_events_total{event=\"ended_meanwhile\"} 0",
        "session_store_operation_duration_seconds_count{operation=\"create\",outcome=\"ok\"} 3",
        "session_store_operation_duration_seconds_count{operation=\"load\",outcome=\"unavailable\"} 1",
        "session_store_operation_duration_seconds_bucket{operation=\"create\",outcome=\"ok\",le=\"1\"} 3",
        "session_store_session_duration_seconds_bucket{end=\"destroyed\",le=\"60\"} 0",
        "session_store_session_duration_seconds_bucket{end=\"destroyed\",le=\"300\"} 1",
        "session_store_session_duration_seconds_sum{end=\"expired\"} 1800",
        "session_store_sessions_per_owner_bucket{le=\"1\"} 1",
        "session_store_connected{store=\"redis\",topology=\"standalone\"} 1",
        "session_store_fallback_open 0",
        "session_store_reconnects_total 0",
        "session_store_sessions 1204",
        "session_store_sessions_error 31",
        "session_store_memory_used_bytes 2412544",
        "session_store_memory_limit_bytes 1073741824",
        "session_store_session_size_bytes 412.5",
        "# TYPE session_store_events_total counter",
        "# TYPE session_store_operation_duration_seconds histogram",
        "# HELP session_store_sessions The approximate number of sessions.",
    ] {
        assert!(told.lines().any(|told| told == line), "no {line:?} in\n{told}");
    }
}

#[test]
fn what_is_not_known_is_not_a_number() {
    let told = told_by(async || {
        let world = World::new();
        world.manager.stats().await;
        world.store.is_away.store(true, Ordering::SeqCst);
        world.manager.stats().await;
    });
    for line in [
        "session_store_connected{store=\"redis\",topology=\"standalone\"} 0",
        "session_store_sessions NaN",
        "session_store_memory_limit_bytes NaN",
    ] {
        assert!(told.lines().any(|told| told == line), "no {line:?} in\n{told}");
    }
}

#[test]
fn a_label_of_the_application_is_on_all_metrics_of_its_manager() {
    let told = told_by(async || {
        let world = World::with(|builder| builder.metrics_label("tenant", "acme"));
        a_day_in(world, indexing().metrics_label("tenant", "acme")).await;
        let umbrella = World::with(|builder| builder.metrics_label("tenant", "umbrella"));
        umbrella.sign_up("a note").await;
        World::new().sign_up("a note").await;
    });
    let with_label = told.lines().filter(|line| line.contains("tenant=\"acme\""));
    assert_eq!(names(&with_label.collect::<Vec<_>>().join(" ")), names(&told_by(a_day)));
    for line in [
        "session_store_events_total{event=\"created\",tenant=\"acme\"} 3",
        "session_store_events_total{event=\"forged\",tenant=\"acme\"} 1",
        "session_store_events_total{event=\"created\",tenant=\"umbrella\"} 1",
        "session_store_events_total{event=\"created\"} 1",
        "session_store_operation_duration_seconds_count{operation=\"create\",outcome=\"ok\",tenant=\"umbrella\"} 1",
        "session_store_session_duration_seconds_sum{end=\"expired\",tenant=\"acme\"} 1800",
        "session_store_connected{store=\"redis\",topology=\"standalone\",tenant=\"acme\"} 1",
        "session_store_sessions{tenant=\"acme\"} 1204",
    ] {
        assert!(told.lines().any(|told| told == line), "no {line:?} in\n{told}");
    }
    let of_one = told.lines().filter(|line| line.starts_with("session_store_sessions{"));
    assert_eq!(of_one.count(), 1, "nobody asked the others");
}

#[test]
fn a_label_that_would_be_there_twice_or_is_no_word_is_refused() {
    let build = |name: &str| {
        let builder = SessionManager::<String>::builder(MemoryStore::new(), KeyRing::generate());
        builder.metrics_label(name, "acme").build().map(drop).map_err(|refused| refused.to_string())
    };
    for name in ["tenant", "Plan_2", "_region"] {
        assert_eq!(build(name), Ok(()));
    }
    for name in ["", "2nd", "__name__", "te-nant", "ten ant", "tenänt", "a:b"] {
        assert!(build(name).unwrap_err().contains("a word of letters"), "{name:?}");
    }
    let told = told_by(a_day);
    let labels: BTreeSet<_> = told.split(['{', ',']).filter_map(|pair| pair.split_once("=\"")).collect();
    let labels: BTreeSet<_> = labels.into_iter().map(|(name, _)| name).collect();
    assert!(labels.contains("event") && labels.contains("le"), "{labels:?}");
    for name in labels {
        assert!(build(name).unwrap_err().contains("themselves"), "{name:?}");
    }
}

/// The names of metrics in a text: a table, a query, what a recorder renders.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("session_store_")).map(series).collect()
}

/// The metric that a series of a histogram belongs to.
fn series(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

#[test]
fn the_table_of_metrics_and_what_is_told_are_the_same() {
    let table = session_store::metrics::NAMES.join(" ");
    assert_eq!(names(&table), names(&told_by(a_day)));
}

#[test]
fn the_dashboard_shows_every_metric_and_asks_for_no_other() {
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../examples/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut asked_for = String::new();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(places.insert((panel["gridPos"]["y"].as_u64(), panel["gridPos"]["x"].as_u64())), "{panel}");
        assert!(panel["title"].is_string() && panel["type"].is_string(), "{panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            // Histograms are asked for by their series, and whatever counts is asked for its rate.
            assert!(!query.contains("_duration_seconds{"), "{query}");
            asked_for.push_str(query);
            asked_for.push(' ');
        }
    }
    assert_eq!(names(&asked_for), names(&told_by(a_day)));
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|it| it["type"] == "datasource" && it["name"] == "datasource"));
}
