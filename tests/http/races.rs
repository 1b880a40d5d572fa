//! Requests of one session that run at the same time.

use std::collections::HashSet;
use std::future::Future;

use tokio::task::JoinSet;

use super::stage::Stage;
use super::visitor::{Answer, Me, Visitor};

const REQUESTS: usize = 20;

/// Sends what `request` makes of each number, all at once, from tabs of one browser: the tabs as
/// they were left, and what they were answered.
async fn at_once<F>(visitor: &Visitor, request: impl Fn(Visitor, usize) -> F) -> Vec<(Visitor, Answer)>
where
    F: Future<Output = (Visitor, Answer)> + Send + 'static,
{
    let mut tabs = JoinSet::new();
    for number in 0..REQUESTS {
        tabs.spawn(request(visitor.clone(), number));
    }
    tabs.join_all().await
}

async fn buy(mut tab: Visitor, number: usize) -> (Visitor, Answer) {
    let answer = tab.buy(&item(number)).await;
    (tab, answer)
}

async fn visit(mut tab: Visitor, _: usize) -> (Visitor, Answer) {
    let answer = tab.visit().await;
    (tab, answer)
}

fn item(number: usize) -> String {
    format!("item {number}")
}

pub(crate) async fn everything_put_into_the_cart_at_once_is_there(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    for (_, answer) in at_once(&visitor, buy).await {
        answer.expect_status(200).expect_no_cookie();
    }
    let cart: HashSet<_> = visitor.me().await.cart.into_iter().collect();
    assert_eq!(cart, (0..REQUESTS).map(item).collect());
}

pub(crate) async fn visits_at_once_are_all_counted(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    for (_, answer) in at_once(&visitor, visit).await {
        answer.expect_status(200).expect_no_cookie();
    }
    assert_eq!(visitor.me().await.visits as usize, 1 + REQUESTS);
}

/// SECURITY 3 and 12.
pub(crate) async fn a_logout_among_writes_is_final(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::new(&app);
    visitor.sign_in("ada").await.expect_status(200);
    let ended = visitor.clone();

    let (writes, logout) = tokio::join!(at_once(&ended, buy), visitor.log_out());
    logout.expect_status(200);
    for (tab, answer) in writes {
        // Before the logout: stored. During: a conflict. After: a session of its own.
        assert!([200, 409].contains(&answer.status), "{answer:?}");
        assert_eq!(answer.set_cookie().is_some(), tab.id() != ended.id());
    }
    assert_eq!(ended.clone().me().await, Me::anonymous());
}

/// SECURITY 7.
pub(crate) async fn a_sign_in_among_writes_takes_along_what_was_accepted(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    let before = visitor.clone();

    let (writes, sign_in) = tokio::join!(at_once(&before, buy), visitor.sign_in("ada"));
    sign_in.expect_status(200);
    let mut accepted = 0;
    for (_, answer) in writes {
        assert!([200, 409].contains(&answer.status), "{answer:?}");
        accepted += usize::from(answer.status == 200);
        answer.expect_no_cookie();
    }
    let me = visitor.me().await;
    assert_eq!((me.user.as_deref(), me.cart.len()), (Some("ada"), accepted));
}

pub(crate) async fn first_visits_at_once_get_sessions_of_their_own(stage: Stage) {
    let app = stage.app().await;
    let tabs = at_once(&Visitor::new(&app), visit).await;
    let ids: HashSet<_> = tabs.iter().map(|(tab, _)| tab.id()).collect();
    assert_eq!(ids.len(), REQUESTS);
}
