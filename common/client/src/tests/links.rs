//! Sessions that are opened again.

use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use convoy_proto::v1::agent_directive::Directive;
use convoy_proto::v1::agent_report::Report;
use tokio::time::timeout;
use tonic::Status;

use super::fake::{DEADLINE, Fake, Mood, endpoints, hello, leaving, welcome};
use crate::{AgentSide, Endpoints, Link, LinkEvent, Reporter};

fn link(list: &Endpoints) -> Link<AgentSide> {
    Link::start(list.clone(), hello(), DEADLINE)
}

async fn next(link: &mut Link<AgentSide>) -> LinkEvent<AgentSide> {
    timeout(DEADLINE, link.next())
        .await
        .expect("nothing happened on the link")
}

async fn opened(link: &mut Link<AgentSide>) -> (CoordinatorAddress, Reporter<AgentSide>) {
    let event = next(link).await;
    let shown = format!("{event:?}");
    let LinkEvent::Opened {
        coordinator,
        reporter,
    } = event
    else {
        panic!("{shown} instead of a session")
    };
    (coordinator, reporter)
}

async fn lost(link: &mut Link<AgentSide>) -> String {
    let event = next(link).await;
    let shown = format!("{event:?}");
    let LinkEvent::Lost { reason } = event else {
        panic!("{shown} instead of a loss")
    };
    reason
}

async fn gone(link: &mut Link<AgentSide>) -> String {
    let event = next(link).await;
    let shown = format!("{event:?}");
    let LinkEvent::Gone { reason } = event else {
        panic!("{shown} instead of the end")
    };
    reason
}

async fn directive(link: &mut Link<AgentSide>) -> Directive {
    let event = next(link).await;
    let shown = format!("{event:?}");
    let LinkEvent::Directive(directive) = event else {
        panic!("{shown} instead of a directive")
    };
    directive
}

#[tokio::test]
async fn session_is_opened_again_at_the_new_leader_when_the_old_one_dies() {
    let (mut old, mut new) = (
        Fake::leader().await,
        Fake::start(Mood::Follows(None), None).await,
    );
    let list = endpoints([&old.address, &new.address]);
    let mut link = link(&list);
    assert_eq!(opened(&mut link).await.0, old.address);
    old.session().await.direct(welcome(1)).await;
    assert_eq!(directive(&mut link).await, welcome(1));

    old.die();
    assert!(lost(&mut link).await.contains(&old.address.to_string()));
    new.becomes(Mood::Leads);
    let (coordinator, reporter) = opened(&mut link).await;
    assert_eq!(coordinator, new.address);
    let mut seen = new.session().await;
    assert_eq!(seen.report().await, Some(Report::Hello(hello())));
    reporter.send(leaving("again")).await.unwrap();
    assert_eq!(seen.spoken().await, Some(leaving("again")));
}

#[tokio::test]
async fn leader_that_steps_down_sends_its_sessions_to_its_successor() {
    let (mut old, mut new) = (Fake::leader().await, Fake::leader().await);
    // The successor is not even on the list.
    let list = endpoints([&old.address]);
    let mut link = link(&list);
    opened(&mut link).await;
    let session = old.session().await;
    old.becomes(Mood::Follows(Some(new.address.clone())));
    drop(session);
    lost(&mut link).await;
    assert_eq!(opened(&mut link).await.0, new.address);
    new.session().await;
}

#[tokio::test]
async fn refused_peer_does_not_come_back() {
    let mut fake = Fake::leader().await;
    let list = endpoints([&fake.address]);
    let mut link = link(&list);
    opened(&mut link).await;
    fake.refuse_next([Status::failed_precondition("incarnation 3 was evicted")]);
    drop(fake.session().await);
    lost(&mut link).await;
    assert!(gone(&mut link).await.ends_with("incarnation 3 was evicted"));
}

#[tokio::test]
async fn session_that_is_replaced_is_not_fought_for() {
    let mut fake = Fake::leader().await;
    let list = endpoints([&fake.address]);
    let mut link = link(&list);
    opened(&mut link).await;
    let seen = fake.session().await;
    let replaced = Status::aborted("node local opened a newer session, which replaces this one");
    seen.directives.send(Err(replaced)).await.unwrap();
    assert!(gone(&mut link).await.contains("newer session"));
}

#[tokio::test]
async fn coordinators_that_stay_away_are_given_up() {
    let mut fake = Fake::leader().await;
    let list = endpoints([&fake.address]);
    let mut link = Link::<AgentSide>::start(list, hello(), Duration::from_millis(200));
    opened(&mut link).await;
    fake.die();
    lost(&mut link).await;
    let reason = gone(&mut link).await;
    assert!(
        reason.starts_with("no coordinator could be reached at "),
        "{reason}"
    );
}

#[tokio::test]
async fn coordinator_that_ends_every_session_at_once_is_given_up() {
    let mut fake = Fake::leader().await;
    let list = endpoints([&fake.address]);
    let mut link = Link::<AgentSide>::start(list, hello(), Duration::from_millis(200));
    let ending = tokio::spawn(async move {
        loop {
            drop(fake.session().await);
        }
    });
    loop {
        match next(&mut link).await {
            LinkEvent::Opened { .. } | LinkEvent::Lost { .. } => {}
            LinkEvent::Gone { .. } => break,
            LinkEvent::Directive(directive) => panic!("{directive:?}"),
        }
    }
    ending.abort();
}

#[tokio::test]
async fn closing_delivers_what_was_reported() {
    let mut fake = Fake::leader().await;
    let list = endpoints([&fake.address]);
    let mut link = link(&list);
    let (_, reporter) = opened(&mut link).await;
    let coordinator = tokio::spawn(async move {
        let mut seen = fake.session().await;
        // More than the link holds while nobody listens.
        for term in 0..200 {
            let _ = seen
                .directives
                .try_send(Ok(convoy_proto::v1::AgentDirective {
                    directive: Some(welcome(term)),
                }));
        }
        let mut last = None;
        while let Some(report) = seen.spoken().await {
            last = Some(report);
        }
        (last, fake)
    });
    for number in 0..100 {
        let report = leaving(&number.to_string());
        reporter.send(report).await.unwrap();
    }
    timeout(DEADLINE, link.close()).await.unwrap();
    assert_eq!(coordinator.await.unwrap().0, Some(leaving("99")));
}

#[tokio::test]
async fn closing_ends_a_search_that_goes_on() {
    let mut fake = Fake::start(Mood::Silent, None).await;
    let list = endpoints([&fake.address]);
    let link = link(&list);
    timeout(DEADLINE, link.close()).await.unwrap();
    fake.die();
}
