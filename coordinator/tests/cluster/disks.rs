//! Coordinators that come back: with their data, with too little of it, and with none.

use std::fs;

use convoy_client::JobsClient;
use convoy_coordinator::{Begin, ReplicaLimits};
use tokio::time::timeout;

use crate::group::{Group, PATIENCE, assert_known, assert_mentions, submit};

#[tokio::test(flavor = "multi_thread")]
async fn follower_that_comes_back_gets_what_it_missed() {
    let mut group = Group::three().await;
    let jobs = group.jobs().await;
    let follower = group.follower().await;
    group.kill(follower);
    submit(&jobs).await;
    let leader = group.leader_now().await.unwrap();
    group.start(follower).await.unwrap();
    let status = group.applied(follower, leader.applied).await;
    assert_eq!(status.snapshot_index, 0, "from the log alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_that_missed_more_than_the_log_holds_gets_a_snapshot() {
    let small = ReplicaLimits {
        compact_after_bytes: 4_000,
        ..ReplicaLimits::default()
    };
    let mut group = Group::with(small).await;
    let jobs = group.jobs().await;
    let first = submit(&jobs).await;
    let follower = group.follower().await;
    let behind = group.status(follower).await.unwrap().last_index;
    group.kill(follower);
    // The log is cut to the snapshot before the newest.
    let mut snapshots = std::collections::BTreeSet::new();
    while snapshots.len() < 3 {
        submit(&jobs).await;
        let leader = group.leader_now().await;
        let snapshot = leader.map_or(0, |leader| leader.snapshot_index);
        if snapshot > behind {
            snapshots.insert(snapshot);
        }
    }
    let leader = group.leader_now().await.unwrap();
    group.start(follower).await.unwrap();
    let status = group.applied(follower, leader.applied).await;
    assert!(status.snapshot_index > behind, "{status:?}");
    // What it was given it can give.
    group.kill(group.leader().await);
    assert_known(&jobs, &[&first]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_cluster_that_comes_back_has_forgotten_nothing() {
    let mut group = Group::three().await;
    let jobs = group.jobs().await;
    let first = submit(&jobs).await;
    for id in 1..=3 {
        group.kill(id);
    }
    for id in 1..=3 {
        group.start(id).await.unwrap();
    }
    let jobs = group.jobs().await;
    let second = submit(&jobs).await;
    assert_eq!(second.as_str(), "talk-2");
    assert_known(&jobs, &[&first, &second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_whose_folder_is_empty_is_told_what_it_may_not_do() {
    let mut group = Group::three().await;
    submit(&group.jobs().await).await;
    let follower = group.follower().await;
    group.kill(follower);
    let member = group.members.get_mut(&follower).unwrap();
    let wiped = member.settings.replica.data_dir.with_extension("wiped");
    member.settings.replica.data_dir = wiped;
    let error = group.start(follower).await.unwrap_err();
    assert_mentions(
        &error.to_string(),
        &["--create-cluster", "must not come back"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_that_lost_its_data_is_refused_by_the_others() {
    let mut group = Group::three().await;
    let jobs = group.jobs().await;
    let first = submit(&jobs).await;
    let follower = group.follower().await;
    let applied = group.leader_now().await.unwrap().applied;
    group.applied(follower, applied).await;
    group.kill(follower);
    let member = group.members.get_mut(&follower).unwrap();
    let wiped = member.settings.replica.data_dir.with_extension("wiped");
    member.settings.replica.data_dir = wiped;
    member.settings.replica.begin = Begin::Create;
    group.start(follower).await.unwrap();
    let failures = &mut group.members.get_mut(&follower).unwrap().failures;
    let why = timeout(PATIENCE, failures.recv()).await.unwrap().unwrap();
    assert_mentions(&why, &["under a new id"]);
    assert_known(&jobs, &[&first]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_is_not_created_over_its_data() {
    let mut group = Group::three().await;
    let follower = group.follower().await;
    group.kill(follower);
    let member = group.members.get_mut(&follower).unwrap();
    member.settings.replica.begin = Begin::Create;
    let error = group.start(follower).await.unwrap_err();
    assert_mentions(&error.to_string(), &["start without --create-cluster"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_refuses_writes_with_the_reason_and_serves_reads() {
    let mut group = Group::three().await;
    let first = submit(&group.jobs().await).await;
    for id in 1..=3 {
        group.kill(id);
    }
    for id in 1..=3 {
        let member = group.members.get_mut(&id).unwrap();
        // However much is free, it is too little.
        let journal = &mut member.settings.replica.limits.journal;
        journal.refuse_below_bytes = u64::MAX;
        group.start(id).await.unwrap();
    }
    let jobs: JobsClient = group.jobs().await;
    let refused = jobs.submit(crate::group::SPEC.to_owned(), 2).await;
    assert_mentions(
        &refused.unwrap_err().to_string(),
        &["bytes are free", "writes are refused below"],
    );
    assert_known(&jobs, &[&first]).await;
    // There is room again.
    for id in 1..=3 {
        group.kill(id);
    }
    for id in 1..=3 {
        let member = group.members.get_mut(&id).unwrap();
        member.settings.replica.limits.journal.refuse_below_bytes = 0;
        group.start(id).await.unwrap();
    }
    let jobs = group.jobs().await;
    let second = submit(&jobs).await;
    assert_known(&jobs, &[&first, &second]).await;
    assert!(fs::read_dir(group.folder("1")).unwrap().count() > 0);
}
