use super::super::server::example;
use super::*;
use crate::store::redis::target::Host;

#[test]
fn round_trips() {
    assert_eq!(round_trip(Duration::from_micros(300)).verdict, Verdict::Fine);
    assert_eq!(round_trip(Duration::from_millis(100)).verdict, Verdict::Warning);
}

#[test]
fn roles() {
    use Topology::{Cluster, Sentinel, Standalone};
    let replica = "slave0:ip=10.0.0.2,port=1,state=online,lag=0";
    for (info, topology, verdict) in [
        ("role:master connected_slaves:0".to_owned(), Standalone, Verdict::Fine),
        ("role:master connected_slaves:0".to_owned(), Sentinel, Verdict::Warning),
        ("role:master connected_slaves:0 cluster_enabled:1".to_owned(), Cluster, Verdict::Warning),
        (format!("role:master {replica}"), Sentinel, Verdict::Fine),
        (format!("role:master {replica} cluster_enabled:1"), Cluster, Verdict::Fine),
        (format!("role:master {replica} cluster_enabled:1"), Standalone, Verdict::Unsafe),
        ("role:master connected_slaves:1 slave0:state=wait_bgsave".to_owned(), Standalone, Verdict::Warning),
        ("role:slave".to_owned(), Standalone, Verdict::Unsafe),
        (String::new(), Standalone, Verdict::Unknown),
    ] {
        assert_eq!(role(&example(&info), topology).verdict, verdict, "{info} {topology:?}");
    }
}

#[test]
fn memories() {
    for (info, verdict) in [
        ("used_memory:10 maxmemory:100", Verdict::Fine),
        ("used_memory:79 maxmemory:100", Verdict::Fine),
        ("used_memory:80 maxmemory:100", Verdict::Warning),
        ("used_memory:95 maxmemory:100", Verdict::Unsafe),
        ("used_memory:300 maxmemory:100", Verdict::Unsafe),
        ("used_memory:10 maxmemory:0 total_system_memory:100 used_memory_rss:20", Verdict::Fine),
        ("used_memory:10 maxmemory:0 total_system_memory:100 used_memory_rss:80", Verdict::Warning),
        ("used_memory:10 maxmemory:0 total_system_memory:0", Verdict::Fine),
        ("used_memory:10", Verdict::Fine),
        ("maxmemory:10", Verdict::Unknown),
    ] {
        assert_eq!(memory(&example(info)).verdict, verdict, "{info}");
    }
    assert_eq!(
        (size(512), size(1536), size(5 << 30)),
        ("0.5 KiB".into(), "1.5 KiB".into(), "5.0 GiB".into())
    );
}

#[test]
fn clocks() {
    for (ahead, verdict) in [
        (Some(3), Verdict::Fine),
        (Some(-1000), Verdict::Fine),
        (Some(1001), Verdict::Warning),
        (Some(-5000), Verdict::Warning),
        (Some(-5001), Verdict::Unsafe),
        (Some(i64::MIN), Verdict::Unsafe),
        (None, Verdict::Unknown),
    ] {
        assert_eq!(clock(ahead).verdict, verdict, "{ahead:?}");
    }
    assert!(clock(Some(-2000)).detail.contains("2.000 s behind"));
}

#[test]
fn clusters() {
    for (info, verdict) in [
        ("cluster_state:ok\r\ncluster_slots_ok:16384\r\n", Verdict::Fine),
        ("cluster_state:fail\r\ncluster_slots_ok:10923\r\n", Verdict::Unsafe),
        ("", Verdict::Unknown),
    ] {
        assert_eq!(cluster(info).verdict, verdict, "{info}");
    }
}

#[test]
fn a_failover_takes_a_majority_of_all_sentinels() {
    let opinion = |others: &str, quorum: &str, flags: &str, replicas: &str| {
        let fields =
            [("num-other-sentinels", others), ("quorum", quorum), ("flags", flags), ("num-slaves", replicas)];
        Ok(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    };
    let verdicts = |all: Vec<Result<HashMap<String, String>, String>>| -> Vec<Verdict> {
        let sentinel = Host { name: "10.0.0.1".to_owned(), port: 26379 };
        let opinions: Vec<_> =
            all.into_iter().map(|fields| Opinion { sentinel: sentinel.clone(), fields }).collect();
        sentinels(&opinions).into_iter().map(|finding| finding.verdict).collect()
    };
    let (fine, silent) = (|| opinion("2", "2", "master", "2"), || Err("refused".to_owned()));
    assert_eq!(verdicts(vec![]), []);
    assert_eq!(verdicts(vec![fine(), fine(), fine()]), [Verdict::Fine; 3]);
    assert_eq!(verdicts(vec![fine(), fine(), silent()]), [Verdict::Fine, Verdict::Fine, Verdict::Warning]);
    assert_eq!(verdicts(vec![fine(), silent(), silent()])[3], Verdict::Warning, "no majority");
    assert_eq!(verdicts(vec![fine()]), [Verdict::Fine, Verdict::Unknown], "the others are not named");
    assert_eq!(verdicts(vec![opinion("0", "1", "master", "1")]), [Verdict::Fine]);
    assert_eq!(verdicts(vec![opinion("0", "1", "master", "0")]), [Verdict::Warning]);
    assert_eq!(verdicts(vec![opinion("0", "1", "master,s_down", "1")]), [Verdict::Unsafe]);
}
