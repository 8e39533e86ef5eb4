//! Watches go on when leaders change, and never go back.

use std::sync::Arc;

use convoy_common::ids::JobId;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::fake::{DEADLINE, Fake, Mood, endpoints};
use crate::{ClientError, Endpoints, JobWatch, JobsClient};

async fn watch(list: &Endpoints) -> JobWatch {
    let jobs = JobsClient::connect(list, DEADLINE).await.unwrap();
    let job = JobId::try_from("toy-1".to_owned()).unwrap();
    jobs.watch(&job).await.unwrap()
}

/// Term and revision of the next view.
async fn next(watch: &mut JobWatch) -> (u64, u64) {
    let view = timeout(DEADLINE, watch.next())
        .await
        .expect("no view came")
        .unwrap()
        .unwrap();
    (view.term, view.revision)
}

#[tokio::test]
async fn views_come_in_order_and_each_once() {
    let mut fake = Fake::leader().await;
    let mut watch = watch(&endpoints([&fake.address])).await;
    let watched = fake.watched().await;
    assert_eq!(watched.request.job_id, "toy-1");
    for revision in [1, 2, 2, 3] {
        watched.show(7, revision).await;
    }
    assert_eq!(next(&mut watch).await, (7, 1));
    assert_eq!(next(&mut watch).await, (7, 2));
    assert_eq!(next(&mut watch).await, (7, 3));
}

#[tokio::test]
async fn watch_goes_on_at_the_new_leader_although_its_counter_begins_anew() {
    let (mut old, mut new) = (
        Fake::leader().await,
        Fake::start(Mood::Follows(None), None).await,
    );
    let mut watch = watch(&endpoints([&old.address, &new.address])).await;
    let watched = old.watched().await;
    watched.show(1, 41).await;
    watched.show(1, 42).await;
    assert_eq!(next(&mut watch).await, (1, 41));
    assert_eq!(next(&mut watch).await, (1, 42));
    old.die();
    new.becomes(Mood::Leads);
    let watched = new.watched().await;
    assert_eq!((watched.request.term, watched.request.revision), (1, 42));
    watched.show(2, 1).await;
    assert_eq!(next(&mut watch).await, (2, 1));
}

#[tokio::test]
async fn broken_watch_is_opened_again_and_shows_only_what_is_new() {
    let mut fake = Fake::leader().await;
    let mut watch = watch(&endpoints([&fake.address])).await;
    let watched = fake.watched().await;
    watched.show(1, 5).await;
    assert_eq!(next(&mut watch).await, (1, 5));
    drop(watched);
    let watched = fake.watched().await;
    watched.show(1, 5).await;
    let unavailable = Status::unavailable("it stepped down");
    watched.views.send(Err(unavailable)).await.unwrap();
    let watched = fake.watched().await;
    watched.show(1, 5).await;
    watched.show(1, 6).await;
    assert_eq!(next(&mut watch).await, (1, 6));
}

#[tokio::test]
async fn leader_that_was_deposed_without_knowing_it_is_not_believed() {
    let (mut old, mut new) = (Fake::leader().await, Fake::leader().await);
    let mut watch = watch(&endpoints([&old.address, &new.address])).await;
    let cut_off = old.watched().await;
    cut_off.show(1, 3).await;
    assert_eq!(next(&mut watch).await, (1, 3));
    // The client is sent to the new leader,
    old.becomes(Mood::Follows(Some(new.address.clone())));
    drop(cut_off);
    let watched = new.watched().await;
    watched.show(2, 1).await;
    assert_eq!(next(&mut watch).await, (2, 1));
    // and back to the old one, which takes itself for the leader again.
    old.becomes(Mood::Leads);
    drop(watched);
    let cut_off = old.watched().await;
    old.becomes(Mood::Follows(Some(new.address.clone())));
    cut_off.show(1, 4).await;
    let watched = new.watched().await;
    watched.show(2, 2).await;
    assert_eq!(next(&mut watch).await, (2, 2));
}

#[tokio::test]
async fn job_that_the_new_leader_does_not_know_ends_the_watch() {
    let mut fake = Fake::leader().await;
    let mut watch = watch(&endpoints([&fake.address])).await;
    let watched = fake.watched().await;
    fake.refuse_next([Status::not_found("there is no job toy-1")]);
    drop(watched);
    let error = timeout(DEADLINE, watch.next()).await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Refused {
                code: Code::NotFound,
                ..
            }
        ),
        "{error}"
    );
    assert!(watch.next().await.unwrap().is_none(), "and that was all");
}

#[tokio::test]
async fn unknown_job_is_told_at_once() {
    let fake = Fake::leader().await;
    fake.refuse_next([Status::not_found("there is no job toy-1")]);
    let jobs = JobsClient::connect(&endpoints([&fake.address]), DEADLINE)
        .await
        .unwrap();
    let job = JobId::try_from("toy-1".to_owned()).unwrap();
    assert!(matches!(
        jobs.watch(&job).await,
        Err(ClientError::Refused { .. })
    ));
}

#[tokio::test]
async fn watch_that_nobody_looks_at_any_more_is_ended() {
    let mut fake = Fake::leader().await;
    let watch = Arc::new(watch(&endpoints([&fake.address])).await);
    let watched = fake.watched().await;
    drop(watch);
    timeout(DEADLINE, watched.views.closed()).await.unwrap();
}
