//! Requests that are given up before they are answered: by their clients, or by a time limit around
//! the layer.

use tokio::task::JoinHandle;

use crate::browser::Answer;
use crate::lab::Notes;
use crate::site::{Site, Stage};
use crate::store::Call;

/// Who gives up.
#[derive(Clone, Copy, Debug)]
enum By {
    Client,
    TimeLimit,
}

const EITHER: [By; 2] = [By::Client, By::TimeLimit];

impl By {
    /// Gives the request up. Answers whether the host lets go of it then.
    async fn give_up(self, site: &Site, request: JoinHandle<reqwest::Result<Answer>>) -> bool {
        match self {
            Self::Client => {
                request.abort();
                assert!(request.await.is_err(), "the request was given up");
                if !site.host().notices_hang_ups {
                    return false;
                }
            }
            Self::TimeLimit => {
                site.lab.patience.open();
                request.await.unwrap().unwrap().expect_status(504).expect_no_cookie();
            }
        }
        site.idle().await;
        true
    }
}

pub(crate) async fn a_request_given_up_in_its_handler_leaves_the_stored_session_whole(stage: Stage) {
    let site = stage.open();
    for by in EITHER {
        let mut browser = site.browser_with_text("old").await;
        let request = browser.begin("/notes/text/new/wait");
        site.lab.gate.arrival().await;
        if by.give_up(&site, request).await {
            assert_eq!(site.store().calls(), [Call::Load], "{by:?}");
            assert_eq!(browser.notes().await, Notes::with_text("old"), "{by:?}");
        } else {
            site.lab.gate.open();
            site.idle().await;
            assert_eq!(site.store().calls(), [Call::Load, Call::Update], "{by:?}");
            assert_eq!(browser.notes().await, Notes::with_text("new"), "{by:?}");
        }
    }
}

pub(crate) async fn a_request_given_up_while_it_is_stored_is_stored(stage: Stage) {
    let site = stage.open();
    for (by, path) in
        EITHER.into_iter().flat_map(|by| [(by, "/notes/text/new"), (by, "/notes/text/new/save")])
    {
        let mut browser = site.browser_with_text("old").await;
        let update = site.store().hold(Call::Update);
        let request = browser.begin(path);
        update.arrival().await;
        by.give_up(&site, request).await;
        update.open();
        update.departure().await;
        site.idle().await;
        assert_eq!(browser.notes().await, Notes::with_text("new"), "{by:?} {path}");
    }
}

/// SECURITY 5. The new id reaches nobody, but neither does the old one live on.
pub(crate) async fn a_request_given_up_in_a_sign_in_leaves_no_way_back(stage: Stage) {
    let site = stage.open();
    for by in EITHER {
        let mut browser = site.browser_with_text("old").await;
        let rotation = site.store().hold(Call::Rotate);
        let request = browser.begin("/notes/sign_in/ada");
        rotation.arrival().await;
        by.give_up(&site, request).await;
        rotation.open();
        rotation.departure().await;
        site.idle().await;
        assert_eq!(browser.notes().await, Notes::default(), "{by:?}");
    }
}

/// SECURITY 12. Whoever presses "log out" and closes the tab has logged out.
pub(crate) async fn a_request_given_up_in_a_logout_is_logged_out(stage: Stage) {
    let site = stage.open();
    for by in EITHER {
        let mut browser = site.browser_with_text("old").await;
        let deletion = site.store().hold(Call::Delete);
        let request = browser.begin("/notes/log_out");
        deletion.arrival().await;
        by.give_up(&site, request).await;
        deletion.open();
        deletion.departure().await;
        site.idle().await;
        assert_eq!(browser.notes().await, Notes::default(), "{by:?}");
    }
}
