//! Coordinators that don't fit together are told so, with what each of them has.

use convoy_proto::raft::v1::raft_client::RaftClient;
use convoy_proto::raft::{PROTOCOL_VERSION, v1};
use convoy_proto::v1::CoordinatorMember;
use tonic::{Code, Status};

use crate::group::{Group, submit};

/// What a fourth coordinator says of itself that fits into the group.
fn fitting(group: &Group) -> v1::Introduction {
    v1::Introduction {
        cluster: group.members[&1].settings.replica.cluster,
        replica: 4,
        raft_address: "127.0.0.1:7700".to_owned(),
        api_address: "127.0.0.1:7700".to_owned(),
        build: "9.9.9".to_owned(),
        supports: 1,
        protocol_version: PROTOCOL_VERSION,
    }
}

/// What coordinator `to` answers to a stream that begins so.
async fn answer(
    group: &Group,
    to: u64,
    introduction: Option<v1::Introduction>,
) -> Result<(), Status> {
    let first = v1::Delivery {
        introduction,
        messages: Vec::new(),
    };
    deliver(group, to, first).await
}

/// What it answers to a stream of one delivery.
async fn deliver(group: &Group, to: u64, first: v1::Delivery) -> Result<(), Status> {
    let mut client = RaftClient::new(group.channel(to).await.unwrap());
    let answered = client.deliver(tokio_stream::once(first)).await;
    answered.map(drop)
}

async fn refused(group: &Group, change: impl FnOnce(&mut v1::Introduction)) -> String {
    let mut introduction = fitting(group);
    change(&mut introduction);
    let status = answer(group, 1, Some(introduction)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    status.message().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_that_does_not_fit_is_refused_with_both_values() {
    let group = Group::three().await;
    group.leader().await;
    let own = fitting(&group).cluster;
    let other = own + 1;
    assert_eq!(
        refused(&group, |introduction| introduction.cluster = other).await,
        format!(
            "this is a coordinator of cluster {own:016x}, not of {other:016x}: the name of the cluster differs"
        )
    );
    let build = env!("CARGO_PKG_VERSION");
    assert_eq!(
        refused(&group, |introduction| introduction.protocol_version = 7).await,
        format!(
            "coordinator 4 (build 9.9.9) speaks protocol 7 with other coordinators, this one (build {build}) speaks \
             {PROTOCOL_VERSION}: use the same version of Convoy for both"
        )
    );
    assert_eq!(
        refused(&group, |introduction| introduction.supports = 0).await,
        "coordinator 4 (build 9.9.9) supports cluster version 0, not 1: upgrade it first"
    );
    answer(&group, 1, Some(fitting(&group))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_without_an_introduction_is_refused() {
    let group = Group::three().await;
    let status = answer(&group, 1, None).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert_eq!(status.message(), "a stream begins with an introduction");
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_may_differ_within_a_protocol_and_are_shown() {
    let group = Group::three().await;
    let leader = group.leader().await;
    let address = group.address(2).to_string();
    let upgraded = v1::Introduction {
        replica: 2,
        raft_address: address.clone(),
        api_address: address,
        ..fitting(&group)
    };
    answer(&group, leader, Some(upgraded)).await.unwrap();
    let shown = || async {
        let members = group.status(leader).await?.members;
        let is_upgraded = |member: &CoordinatorMember| member.id == 2 && member.build == "9.9.9";
        members.iter().any(is_upgraded).then_some(())
    };
    group.eventually("the build to be shown", shown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_that_claims_to_be_the_leaders_does_not_depose_it_when_it_ends() {
    let group = Group::through_proxies().await;
    let jobs = group.jobs().await;
    submit(&jobs).await;
    let leader = group.eventually("a leader", || group.leader_now()).await;
    for birth in 1..=3 {
        for id in (1..=3).filter(|id| *id != leader.id) {
            let claimed = v1::RaftMessage {
                cluster: fitting(&group).cluster,
                from: leader.id,
                to: id,
                birth,
                ..Default::default()
            };
            let first = v1::Delivery {
                introduction: Some(v1::Introduction {
                    replica: leader.id,
                    ..fitting(&group)
                }),
                messages: vec![claimed],
            };
            deliver(&group, id, first).await.unwrap();
        }
        group.write_to_all(&jobs).await;
    }
    let now = group.leader_now().await.unwrap();
    assert_eq!((now.id, now.term), (leader.id, leader.term));
}
