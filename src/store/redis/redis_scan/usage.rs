//! How much there is, by a sample of each server's keys.
//!
//! A server goes through its keys by their hashes, so the first of them are as good as any that were
//! drawn by lot.

use redis::Value;

use super::RedisStore;
use super::into_error;
use super::step::unexpected;
use crate::error::Error;
use crate::store::redis::connection::Connection;
use crate::store::redis::failure::Failure;
use crate::store::redis::layout::Keyspace;
use crate::store::redis::server_info::Info;
use crate::store::redis::target::Host;
use crate::store::scan::Usage;

/// So many keys are looked at, of each server, and so many at once.
const SAMPLE: usize = 5_000;
const AT_ONCE: usize = 250;
/// So many sessions are weighed, of each server.
const WEIGHED: usize = 100;

/// What one server has.
#[derive(Debug, Default)]
struct Sample {
    keys: f64,
    looked_at: f64,
    sessions: f64,
    /// Whether all of its keys were looked at.
    whole: bool,
    weights: Vec<f64>,
    used: Option<u64>,
    limit: Option<u64>,
}

impl RedisStore {
    pub(super) async fn sampled(&self) -> Result<Usage, Error> {
        let mut samples = Vec::new();
        if self.connections.are_one_server() {
            samples.push(self.sample(None).await.map_err(into_error)?);
        } else {
            self.look().await?;
            let masters = self.masters.0.load_full();
            for host in masters.values() {
                samples.push(self.sample(Some(host)).await.map_err(into_error)?);
            }
        }
        Ok(total(&samples))
    }

    async fn sample(&self, node: Option<&Host>) -> Result<Sample, Failure> {
        let mut facts = redis::pipe();
        facts.cmd("INFO").arg("memory");
        facts.cmd("DBSIZE");
        let [info, keys] = self.several(node, &facts).await?;
        let info = Info::parse(&redis::from_redis_value::<String>(info)?);
        let mut sample = Sample {
            keys: redis::from_redis_value(keys)?,
            used: info.used_memory(),
            limit: info.memory_limit(),
            ..Sample::default()
        };
        let mut cursor = "0".to_owned();
        let mut looked_at = 0;
        while looked_at < SAMPLE {
            let mut scan = redis::pipe();
            scan.cmd("SCAN").arg(&cursor).arg("COUNT").arg(AT_ONCE);
            let [scanned] = self.several(node, &scan).await?;
            let (next, found): (String, Vec<Vec<u8>>) = redis::from_redis_value(scanned)?;
            looked_at += found.len();
            for keyspace in &*self.keyspaces {
                self.judge(node, &**keyspace, &found, &mut sample).await?;
            }
            cursor = next;
            if cursor == "0" {
                sample.whole = true;
                break;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        {
            sample.looked_at = looked_at as f64;
        }
        Ok(sample)
    }

    /// Counts the sessions among these keys, and weighs some.
    async fn judge(
        &self,
        node: Option<&Host>,
        keyspace: &dyn Keyspace,
        found: &[Vec<u8>],
        sample: &mut Sample,
    ) -> Result<(), Failure> {
        let named: Vec<_> = found.iter().filter_map(|name| keyspace.named(name)).collect();
        if named.is_empty() {
            return Ok(());
        }
        let weighed = WEIGHED.saturating_sub(sample.weights.len());
        let mut commands = redis::pipe();
        for (nth, named) in named.iter().enumerate() {
            commands.cmd("GETRANGE").arg(&named.name).arg(0).arg(0);
            if nth < weighed {
                commands.cmd("MEMORY").arg("USAGE").arg(&named.name).arg("SAMPLES").arg(0);
            }
        }
        let mut answers = self.all(node, &commands).await?.into_iter();
        for nth in 0..named.len() {
            let head = answers.next().unwrap_or(Value::Nil);
            let weight = if nth < weighed { answers.next() } else { None };
            let is_session = match head.extract_error().map_err(Failure::from) {
                Ok(head) => redis::from_redis_value::<Vec<u8>>(head)?.first() == Some(&keyspace.first_byte()),
                // Its name is all that is known of it here.
                Err(failure) if failure.is_redirection() => true,
                Err(failure) if failure.is_wrong_type() => false,
                Err(failure) => return Err(failure),
            };
            if is_session {
                sample.sessions += 1.0;
                let weight = weight.and_then(|it| redis::from_redis_value::<f64>(it).ok());
                sample.weights.extend(weight);
            }
        }
        Ok(())
    }

    async fn all(&self, node: Option<&Host>, commands: &redis::Pipeline) -> Result<Vec<Value>, Failure> {
        let operation = async |mut connection: Connection| connection.send_all(commands).await;
        match self.connections.run_at(node, operation).await? {
            Value::Array(answers) => Ok(answers),
            _ => Err(unexpected("a pipeline")),
        }
    }

    /// The same where none may fail.
    async fn several<const N: usize>(
        &self,
        node: Option<&Host>,
        commands: &redis::Pipeline,
    ) -> Result<[Value; N], Failure> {
        let answers = self.all(node, commands).await?;
        let answers = answers.into_iter().map(Value::extract_error).collect::<Result<Vec<_>, _>>()?;
        answers.try_into().map_err(|_| unexpected("a pipeline"))
    }
}

fn total(samples: &[Sample]) -> Usage {
    let (mut sessions, mut variance) = (0.0, 0.0);
    for sample in samples {
        let (estimate, its_variance) = estimated(sample);
        sessions += estimate;
        variance += its_variance;
    }
    // Each server's sessions count for as many as it has of them.
    let weight = |sample: &Sample| {
        let mean = sample.weights.iter().sum::<f64>() / f64::from(u32::try_from(sample.weights.len()).ok()?);
        (!sample.weights.is_empty()).then(|| (mean * estimated(sample).0, estimated(sample).0))
    };
    let (bytes, weighed) = samples
        .iter()
        .filter_map(weight)
        .fold((0.0, 0.0), |(bytes, of), (more, count)| (bytes + more, of + count));
    let sum = |of: fn(&Sample) -> Option<u64>| samples.iter().map(of).sum::<Option<u64>>();
    Usage {
        sessions,
        error: 1.96 * f64::sqrt(variance),
        used_bytes: sum(|sample| sample.used),
        limit_bytes: sum(|sample| sample.limit),
        bytes_per_session: (weighed > 0.0).then(|| bytes / weighed),
    }
}

/// How many sessions a server has by its sample, and the variance of that.
fn estimated(sample: &Sample) -> (f64, f64) {
    let Sample { keys, looked_at, sessions, whole, .. } = *sample;
    if whole || looked_at == 0.0 {
        return (sessions, 0.0);
    }
    // Drawn without putting back. The share is moved a little towards the middle (Agresti and Coull), or a
    // sample of nothing but sessions would pass for certainty.
    let share = (sessions + 2.0) / (looked_at + 4.0);
    let rest = (1.0 - looked_at / keys).clamp(0.0, 1.0);
    (keys * sessions / looked_at, keys * keys * share * (1.0 - share) / looked_at * rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(keys: f64, looked_at: f64, sessions: f64) -> Sample {
        Sample { keys, looked_at, sessions, whole: looked_at >= keys, ..Sample::default() }
    }

    #[test]
    fn a_sample_of_everything_is_exact() {
        let usage = total(&[sample(300.0, 300.0, 200.0), sample(0.0, 0.0, 0.0)]);
        assert!((usage.sessions - 200.0).abs() < 1e-9 && usage.error == 0.0, "{usage:?}");
        assert_eq!((usage.bytes_per_session, usage.used_bytes), (None, None));
    }

    #[test]
    fn the_error_is_that_of_a_sample() {
        let usage = total(&[sample(1e6, 5000.0, 2500.0)]);
        // 1.96 * 10^6 * sqrt(0.25 / 5000)
        assert!((usage.sessions - 5e5).abs() < 1.0 && (usage.error - 13_859.0).abs() < 50.0, "{usage:?}");
        let all = total(&[sample(1e6, 5000.0, 5000.0)]);
        assert!(all.error > 0.0 && all.error < 1000.0, "{all:?}");
        let two = total(&[sample(1e6, 5000.0, 2500.0), sample(1e6, 5000.0, 2500.0)]);
        assert!((two.error - usage.error * 2_f64.sqrt()).abs() < 1.0, "{two:?}");
    }

    #[test]
    fn sessions_weigh_by_how_many_a_server_has() {
        let heavy = Sample { weights: vec![300.0], ..sample(10.0, 10.0, 10.0) };
        let light = Sample { weights: vec![100.0, 100.0], used: Some(5), ..sample(30.0, 30.0, 30.0) };
        let usage = total(&[heavy, light]);
        assert_eq!((usage.bytes_per_session, usage.used_bytes), (Some(150.0), None));
    }
}
