//! Sessions in the process's own memory.

use super::stage::Stage;
use super::visitor::{Me, Visitor};
use crate::support::app::App;

pub(crate) async fn settings_are_optional_and_their_absence_is_said(stage: Stage) {
    let app = App::start(stage.host, &[]).await;
    let mut visitor = Visitor::returning(&app).await;
    assert_eq!(visitor.me().await.visits, 1);

    let output = app.into_output().await;
    for warning in ["sessions are kept in memory and end with this process", "SESSION_SECRET is not set"] {
        assert!(output.contains(warning), "no {warning:?} in {output}");
    }
}

pub(crate) async fn sessions_end_with_the_process(stage: Stage) {
    let app = stage.app().await;
    let visitor = Visitor::returning(&app).await;
    drop(app);
    let app = stage.app().await;
    assert_eq!(visitor.at(&app).me().await, Me::anonymous());
}
