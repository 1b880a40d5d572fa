//! Asking several servers at once for what they may disagree on.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Failure;

/// How long the others have after the first answer: a server that froze must not hold up those that
/// didn't, and one that was cut off must not win by being quick. At most a quarter of the whole time:
/// the rest is for what one does with the answer.
const GRACE: Duration = Duration::from_millis(50);

/// What a server believes, and how recent it is: epochs count failovers.
#[derive(Debug)]
pub(super) struct Vote<T> {
    pub(super) epoch: u64,
    pub(super) opinion: T,
}

/// The latest of the opinions. Whoever calls bounds the time, by `limit`.
pub(super) async fn latest<T, F>(
    limit: Duration,
    questions: impl IntoIterator<Item = F>,
) -> Result<Vote<T>, Failure>
where
    F: Future<Output = Result<Vote<T>, Failure>> + Send + 'static,
    T: Send + 'static,
{
    let mut asked: JoinSet<_> = questions.into_iter().collect();
    let mut best: Option<Vote<T>> = None;
    let mut fault = Failure::NotConnected("there is no server to ask".to_owned());
    let mut deadline = None;
    loop {
        let answer = match deadline {
            None => asked.join_next().await,
            Some(deadline) => timeout_at(deadline, asked.join_next()).await.unwrap_or(None),
        };
        match answer {
            Some(Ok(Ok(vote))) => {
                deadline.get_or_insert_with(|| Instant::now() + GRACE.min(limit / 4));
                if best.as_ref().is_none_or(|best| best.epoch < vote.epoch) {
                    best = Some(vote);
                }
            }
            // What a server said tells more than that another one is not there.
            Some(Ok(Err(failure))) if !fault.was_answered() => fault = failure,
            Some(_) => {}
            None => return best.ok_or(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::Pin;

    use tokio::time::{sleep, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    type Question = Pin<Box<dyn Future<Output = Result<Vote<&'static str>, Failure>> + Send>>;

    fn vote(epoch: u64, opinion: &'static str) -> Question {
        Box::pin(ready(Ok(Vote { epoch, opinion })))
    }

    fn fails(answer: &str) -> Question {
        let error = redis::parse_redis_value(answer.as_bytes()).unwrap().extract_error().unwrap_err();
        Box::pin(ready(Err(Failure::Redis(error))))
    }

    async fn opinion(questions: Vec<Question>) -> &'static str {
        latest(LIMIT, questions).await.unwrap().opinion
    }

    #[tokio::test]
    async fn the_latest_epoch_wins_though_it_comes_late() {
        let late: Question = Box::pin(async {
            sleep(GRACE / 10).await;
            Ok(Vote { epoch: 3, opinion: "new" })
        });
        assert_eq!(opinion(vec![vote(2, "old"), late, vote(1, "older")]).await, "new");
    }

    #[tokio::test]
    async fn one_that_is_silent_holds_nobody_up() {
        assert_eq!(opinion(vec![Box::pin(pending()), vote(1, "it"), fails("-ERR no\r\n")]).await, "it");
    }

    /// Else nobody with a short timeout could connect while a server is frozen.
    #[tokio::test]
    async fn one_that_is_silent_leaves_time_for_the_rest() {
        let questions = vec![Box::pin(pending()), vote(1, "it")];
        assert!(timeout(GRACE / 2, latest(GRACE / 2, questions)).await.is_ok());
    }

    #[tokio::test]
    async fn what_a_server_said_is_the_reason() {
        let broken = || -> Question { Box::pin(ready(Err(Failure::NotConnected("gone".to_owned())))) };
        for questions in [vec![broken(), fails("-NOAUTH no\r\n")], vec![fails("-NOAUTH no\r\n"), broken()]] {
            assert!(latest(LIMIT, questions).await.unwrap_err().to_string().contains("NOAUTH"));
        }
        assert!(latest(LIMIT, vec![broken()]).await.unwrap_err().to_string().contains("gone"));
        assert!(latest(LIMIT, Vec::<Question>::new()).await.is_err());
    }
}
