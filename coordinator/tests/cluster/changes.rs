//! Coordinators join, leave, and take each other's place.

use convoy_coordinator::{Begin, ReplicaLimits};
use convoy_proto::v1;
use convoy_proto::v1::coordinators_client::CoordinatorsClient;
use tonic::transport::Channel;

use crate::group::{Group, assert_known, assert_mentions, submit};

pub(crate) async fn at_leader(group: &Group) -> CoordinatorsClient<Channel> {
    let leader = group.leader().await;
    CoordinatorsClient::new(group.channel(leader).await.unwrap())
}

pub(crate) async fn voters(group: &Group) -> Option<Vec<u64>> {
    let members = group.leader_now().await?.members;
    let voters = members
        .iter()
        .filter(|member| member.standing() == v1::CoordinatorStanding::Voter);
    Some(voters.map(|member| member.id).collect())
}

pub(crate) async fn wait_for_voters(group: &Group, expected: &[u64]) {
    let there = || async { (voters(group).await? == expected).then_some(()) };
    let what = format!("the voters {expected:?}");
    group.eventually(&what, there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newcomer_gets_everything_votes_and_lets_another_go() {
    let mut group = Group::three().await;
    let jobs = group.jobs().await;
    let first = submit(&jobs).await;
    group.add_member(4, Begin::Join, ReplicaLimits::default());
    group.start(4).await.unwrap();
    let add = v1::AddRequest {
        id: 4,
        address: group.endpoint(4).to_string(),
    };
    at_leader(&group).await.add(add).await.unwrap();
    wait_for_voters(&group, &[1, 2, 3, 4]).await;
    let gone = group.follower().await;
    let remove = v1::RemoveRequest { id: gone };
    at_leader(&group).await.remove(remove).await.unwrap();
    group.kill(gone);
    let left: Vec<u64> = (1..=4).filter(|id| *id != gone).collect();
    wait_for_voters(&group, &left).await;
    let second = submit(&jobs).await;
    assert_known(&jobs, &[&first, &second]).await;
    let known = group.leader_now().await.unwrap().members;
    assert!(
        known.iter().all(|member| !member.address.is_empty()),
        "{known:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_that_is_gone_is_replaced() {
    let mut group = Group::three().await;
    let jobs = group.jobs().await;
    let first = submit(&jobs).await;
    let old_id = group.follower().await;
    group.kill(old_id);
    group.add_member(5, Begin::Join, ReplicaLimits::default());
    group.start(5).await.unwrap();
    let replace = v1::ReplaceRequest {
        old_id,
        new_id: 5,
        address: group.endpoint(5).to_string(),
    };
    let done = || async {
        let reply = at_leader(&group).await.replace(replace.clone()).await;
        reply
            .is_ok_and(|reply| reply.get_ref().is_done)
            .then_some(())
    };
    group.eventually("the replacement", done).await;
    let mut expected: Vec<u64> = [1, 2, 3, 5].into();
    expected.retain(|id| *id != old_id);
    wait_for_voters(&group, &expected).await;
    let second = submit(&jobs).await;
    assert_known(&jobs, &[&first, &second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_hands_over_to_whom_it_is_told() {
    let group = Group::three().await;
    let to = group.follower().await;
    let transfer = v1::TransferLeaderRequest { to: Some(to) };
    let reply = at_leader(&group).await.transfer_leader(transfer).await;
    assert_eq!(reply.unwrap().into_inner().leader, to);
    assert_eq!(group.leader().await, to);
    let nobody = v1::TransferLeaderRequest { to: Some(9) };
    let refused = at_leader(&group).await.transfer_leader(nobody).await;
    assert_mentions(
        &refused.unwrap_err().message(),
        &["replica 9", "no other voter"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinators_say_who_they_are() {
    let group = Group::three().await;
    let told = || async {
        let members = group.leader_now().await?.members;
        members
            .iter()
            .all(|member| member.supports > 0 && !member.build.is_empty())
            .then_some(members)
    };
    let members = group.eventually("all introductions", told).await;
    for member in members {
        assert_eq!(member.address, group.endpoint(member.id).to_string());
    }
}
