//! A session that is a map of named values.

use session_store::{Error, SessionManager, Values};

use crate::world::{Browser, World};

fn manager(world: &World) -> SessionManager<Values> {
    world.version(session_store::Codec::Json)
}

#[tokio::test]
async fn values_are_read_and_written_without_a_closure() {
    let world = World::new();
    let manager = manager(&world);
    let mut visitor = Browser::default();
    visitor
        .visit(&manager, |session| {
            assert_eq!(session.get::<u32>("visits"), None);
            session.insert("visits", 1)?;
            session.insert("flash", "saved")
        })
        .await
        .unwrap();
    let flash = visitor
        .visit(&manager, |session| {
            assert_eq!(session.get::<u32>("visits"), Some(1));
            assert_eq!(session.get::<String>("visits"), None, "it is no text");
            assert_eq!(session.take::<u32>("flash").unwrap(), None, "it is no number");
            session.take::<String>("flash")
        })
        .await;
    assert_eq!(flash.unwrap().as_deref(), Some("saved"));
    let removed = visitor.visit(&manager, |session| {
        assert_eq!(session.get::<String>("flash"), None);
        assert_eq!(session.remove("flash").unwrap(), None);
        session.remove("visits")
    });
    assert_eq!(removed.await.unwrap(), Some(1.into()));
    assert_eq!(visitor.sees(&manager).await, Values::default());
}

#[tokio::test]
async fn a_value_without_a_json_form_is_refused_and_the_others_stay() {
    let world = World::new();
    let manager = manager(&world);
    let mut visitor = Browser::default();
    visitor.visit(&manager, |session| session.insert("name", "ada")).await.unwrap();
    let refused = visitor.visit(&manager, |session| session.insert("odds", f64::NAN)).await;
    assert!(matches!(refused, Err(Error::Encode { .. })), "{refused:?}");
    assert_eq!(visitor.sees(&manager).await.get::<String>("name").as_deref(), Some("ada"));
}
