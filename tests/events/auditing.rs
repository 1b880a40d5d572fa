//! The lines of the audit log.

use session_store::{EventDetail, SessionManagerBuilder};

use crate::support::log::Log;
use crate::world::{Account, World};

/// The fields of what was audited at this level.
fn audited_at(level: &str, log: &Log) -> Vec<String> {
    let text = log.text();
    let lines = text.lines().filter_map(|line| line.split_once(&format!(" {level} ")));
    lines.filter_map(|(_, line)| Some(line.split_once("session_store::audit: ")?.1.to_owned())).collect()
}

fn audited(log: &Log) -> Vec<String> {
    audited_at("INFO", log)
}

/// What a service may have to hide, in a life of a session.
async fn a_life(
    owner: &str,
    settings: impl FnOnce(SessionManagerBuilder<Account>) -> SessionManagerBuilder<Account>,
) -> (World, Vec<String>, [String; 3]) {
    let world = World::with(settings);
    let mut browser = world.visitor(3).await;
    let (mut cookies, mut keys) = (vec![browser.cookie.clone().unwrap()], Vec::new());
    keys.push(browser.key(&world.manager).await.to_string());
    browser
        .visit(&world.manager, |session| {
            session.set_label("private label")?;
            session.sign_in(owner, |a| "private note".clone_into(&mut a.name))
        })
        .await
        .unwrap();
    cookies.push(browser.cookie.clone().unwrap());
    keys.push(browser.key(&world.manager).await.to_string());
    browser.visit(&world.manager, session_store::Session::renew).await.unwrap();
    cookies.push(browser.cookie.clone().unwrap());
    keys.push(browser.key(&world.manager).await.to_string());
    world.manager.revoke_all(owner).await.unwrap();
    world.manager.begin(Some("id=forged"));
    let secrets = cookies.iter().flat_map(|cookie| cookie.trim_start_matches("id=").split('.'));
    let secrets = secrets.map(str::to_owned).chain(["private note".to_owned()]).collect();
    (world, secrets, keys.try_into().unwrap())
}

/// SECURITY 21.
#[tokio::test]
async fn each_event_is_a_line_and_names_nobody() {
    let log = Log::begin();
    let (world, secrets, [visitor, signed_in, renewed]) = a_life("ada.lovelace", |builder| builder).await;
    let at = session_store::Clock::now(&world.clock).as_millis();
    let expected = [
        format!("event=\"signed_in\" session={signed_in} previous={visitor} at={at} returning=false"),
        format!("event=\"renewed\" session={renewed} previous={signed_in} at={at}"),
        format!("event=\"revoked\" by=\"all\" session={renewed} at={at}"),
    ];
    assert_eq!(audited(&log), expected);
    // Nobody fills the log with these.
    assert_eq!(audited_at("DEBUG", &log), [format!("event=\"forged\" at={at}")]);
    let text = log.text();
    for secret in secrets.iter().map(String::as_str).chain(["lovelace", "private label"]) {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn owner_and_label_are_in_it_where_they_are_asked_for() {
    for (detail, shows) in [
        (EventDetail::new().owner(), [true, false]),
        (EventDetail::new().label(), [false, true]),
        (EventDetail::new().owner().label(), [true, true]),
    ] {
        let log = Log::begin();
        let (_, secrets, _) = a_life("ada.lovelace", |builder| builder.audit_with(detail)).await;
        let lines = audited(&log);
        let told =
            ["owner=\"ada.lovelace\"", "label=\"private label\""].map(|field| lines[0].contains(field));
        assert_eq!(told, shows, "{lines:?}");
        assert_eq!(lines[2].contains("owner=\"ada.lovelace\""), shows[0], "{lines:?}");
        assert!(!secrets.iter().any(|secret| lines.join(" ").contains(secret)), "{lines:?}");
        // Listeners are none of it, and so is the rest of the log.
        let rest =
            log.text().lines().filter(|line| !line.contains("session_store::audit")).collect::<String>();
        assert!(!rest.contains("lovelace"), "{rest}");
    }
}

#[tokio::test]
async fn an_owner_cannot_write_lines_of_its_own() {
    let log = Log::begin();
    let owner = "ada\n2026-01-01T00:00:00Z  INFO session_store::audit: event=\"signed_out\"";
    a_life(owner, |builder| builder.audit_with(EventDetail::new().owner())).await;
    assert_eq!(audited(&log).len(), 3, "{}", log.text());
}

#[tokio::test]
async fn nobody_is_told_of_a_visitor() {
    let log = Log::begin();
    let world = World::new();
    let visitor = world.visitor(3).await;
    visitor.sees(&world.manager).await;
    assert_eq!(audited(&log), Vec::<String>::new());
}
