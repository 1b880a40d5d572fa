use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::*;

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_millis(150) };

/// A job of so many attempts.
struct Work {
    background: Background,
    left: AtomicUsize,
    attempts: Mutex<Vec<Instant>>,
    abandoned: AtomicUsize,
}

impl Work {
    fn new(left: usize) -> Arc<Self> {
        Arc::new(Self {
            background: Background::new(RuntimeHandle::default()),
            left: AtomicUsize::new(left),
            attempts: Mutex::default(),
            abandoned: AtomicUsize::new(0),
        })
    }

    fn ask(self: &Arc<Self>, delay: Duration) {
        self.background.ask(self, delay);
    }

    fn attempts(&self) -> usize {
        self.attempts.lock().unwrap().len()
    }

    fn abandoned(&self) -> usize {
        self.abandoned.load(Ordering::Relaxed)
    }

    async fn has_begun(&self) {
        while self.attempts() == 0 {
            yield_now().await;
        }
    }

    async fn is_over(&self) {
        while self.background.is_running() {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Job for Work {
    async fn attempt(self: &Arc<Self>, waited: Duration) -> Next {
        self.attempts.lock().unwrap().push(Instant::now());
        let left = self.left.load(Ordering::Relaxed);
        // An attempt takes its time.
        yield_now().await;
        yield_now().await;
        self.left.fetch_sub(1, Ordering::Relaxed);
        match left {
            1 => Next::Done(BACKOFF.first),
            _ => Next::Retry(BACKOFF.after(waited)),
        }
    }

    fn is_needed(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    fn abandoned(&self) {
        assert!(!self.background.is_running(), "nobody who hears of it could ask for another task");
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn attempts_come_ever_less_often() {
    let work = Work::new(6);
    work.ask(Duration::ZERO);
    work.is_over().await;
    let times = work.attempts.lock().unwrap().clone();
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, delay) in pauses.iter().zip([50, 100, 150, 150, 150].map(Duration::from_millis)) {
        // Timers are good to a millisecond.
        assert!(delay / 2 <= *pause && *pause <= delay + Duration::from_millis(2), "{pauses:?}");
    }
    assert_eq!((times.len(), work.abandoned()), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn many_ask_and_one_task_runs() {
    let work = Work::new(1);
    for _ in 0..100 {
        work.ask(Duration::ZERO);
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
    work.is_over().await;
    assert_eq!(work.attempts(), 1);
}

/// It starts no task, since one is running, and is not forgotten either.
#[tokio::test(start_paused = true)]
async fn what_comes_during_the_last_attempt_is_done_too() {
    let work = Work::new(1);
    work.ask(Duration::ZERO);
    work.has_begun().await;
    // As a loss is noticed that is none of this attempt's.
    work.left.fetch_add(1, Ordering::Relaxed);
    work.ask(Duration::ZERO);
    work.is_over().await;
    assert_eq!((work.attempts(), work.left.load(Ordering::Relaxed)), (2, 0));
}

#[test]
fn a_task_that_is_lost_with_its_runtime_begins_again_elsewhere() {
    let work = Work::new(2);
    runtime().block_on(async {
        work.ask(Duration::ZERO);
        work.has_begun().await;
    });
    assert!(!work.background.is_running());
    assert_eq!(work.abandoned(), 1);
    // Outside of any runtime there is nobody to run it.
    work.ask(Duration::ZERO);
    assert!(!work.background.is_running());
    runtime().block_on(async {
        work.ask(Duration::ZERO);
        work.is_over().await;
    });
    assert_eq!((work.abandoned(), work.left.load(Ordering::Relaxed)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_when_its_job_is_gone() {
    let work = Work::new(usize::MAX);
    work.ask(Duration::ZERO);
    work.has_begun().await;
    drop(work);
    sleep(2 * BACKOFF.first).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[cfg(feature = "redis")]
#[tokio::test(start_paused = true)]
async fn an_attempt_can_be_hurried_and_not_without_end() {
    let work = Work::new(usize::MAX);
    work.ask(Duration::from_secs(60));
    for attempt in 1..4 {
        let (begun, news) = (Instant::now(), work.background.news());
        for _ in 0..100 {
            work.background.hurry();
        }
        news.await;
        assert_eq!(work.attempts(), attempt);
        assert!(begun.elapsed() >= LEAST_DELAY, "{:?}", begun.elapsed());
        assert!(begun.elapsed() < 2 * LEAST_DELAY, "{:?}", begun.elapsed());
    }
}

/// Of an attempt, of what somebody tells, and of the end of a task that is lost.
#[cfg(feature = "redis")]
#[test]
fn all_who_wait_hear_the_news() {
    let work = Work::new(usize::MAX);
    let heard = async |tell: fn(&Arc<Work>)| {
        let both = [work.background.news(), work.background.news()];
        tell(&work);
        for news in both {
            timeout(Duration::from_secs(1), news).await.unwrap();
        }
    };
    let first = runtime();
    first.block_on(async {
        heard(|work| work.ask(Duration::ZERO)).await;
        heard(|work| work.background.tell()).await;
    });
    let news = work.background.news();
    drop(first);
    runtime().block_on(async { timeout(Duration::from_secs(1), news).await.unwrap() });
}
