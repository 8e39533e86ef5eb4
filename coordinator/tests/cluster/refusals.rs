//! Changes of coordinators that can't be meant are refused, and nothing changes.

use convoy_coordinator::{Begin, ReplicaLimits};
use convoy_proto::v1;
use tonic::Status;

use crate::changes::{at_leader, voters, wait_for_voters};
use crate::group::{Group, assert_mentions};

/// An id that no coordinator ever had.
const NOBODY: u64 = 9;

async fn add(group: &Group, id: u64, at: u64) -> Result<(), Status> {
    let address = group.endpoint(at).to_string();
    let request = v1::AddRequest { id, address };
    at_leader(group).await.add(request).await.map(|_| ())
}

async fn remove(group: &Group, id: u64) -> Result<(), Status> {
    let request = v1::RemoveRequest { id };
    at_leader(group).await.remove(request).await.map(|_| ())
}

async fn replace(
    group: &Group,
    old_id: u64,
    new_id: u64,
    at: u64,
) -> Result<v1::ReplaceReply, Status> {
    let request = v1::ReplaceRequest {
        old_id,
        new_id,
        address: group.endpoint(at).to_string(),
    };
    let reply = at_leader(group).await.replace(request).await;
    reply.map(tonic::Response::into_inner)
}

fn assert_elsewhere(group: &Group, refused: &Status, id: u64, given: u64) {
    let (known, given) = (group.endpoint(id), group.endpoint(given));
    let told = format!("coordinator {id} is a member at {known} already, not at {given}: ");
    assert_mentions(&refused.message(), &[&told]);
}

/// Two that follow, once the leader has heard of both.
async fn followers(group: &Group) -> [u64; 2] {
    let heard = || async {
        let leader = group.leader_now().await?;
        let members = leader.members.iter();
        let followers = members.filter(|member| {
            let progress = member.progress.as_ref();
            progress.is_some_and(|progress| progress.matched >= leader.commit)
        });
        let followers: Vec<u64> = followers.map(|member| member.id).collect();
        followers.try_into().ok()
    };
    group.eventually("both followers", heard).await
}

/// Coordinator 4, which never starts, and so only learns.
async fn with_a_learner() -> Group {
    let mut group = Group::three().await;
    group.add_member(4, Begin::Join, ReplicaLimits::default());
    add(&group, 4, 4).await.unwrap();
    group
}

#[tokio::test(flavor = "multi_thread")]
async fn voter_takes_anothers_place_only_where_it_is_known_to_be() {
    let group = Group::three().await;
    let [old, new] = followers(&group).await;
    let refused = replace(&group, old, new, NOBODY).await.unwrap_err();
    assert_elsewhere(&group, &refused, new, NOBODY);
    assert_eq!(voters(&group).await.unwrap(), [1, 2, 3]);
    // As one that goes on after an interruption.
    let goes_on = replace(&group, old, new, new).await.unwrap();
    assert_eq!(goes_on.waits_for, format!("{old} to leave"));
    let left: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    wait_for_voters(&group, &left).await;
    assert!(replace(&group, old, new, new).await.unwrap().is_done);
}

#[tokio::test(flavor = "multi_thread")]
async fn member_is_added_again_only_where_it_is_known_to_be() {
    let group = with_a_learner().await;
    for id in [1, 4] {
        add(&group, id, id).await.unwrap();
        let refused = add(&group, id, NOBODY).await.unwrap_err();
        assert_elsewhere(&group, &refused, id, NOBODY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn learner_takes_anothers_place_only_where_it_is_known_to_be() {
    let group = with_a_learner().await;
    let refused = replace(&group, 1, 4, NOBODY).await.unwrap_err();
    assert_elsewhere(&group, &refused, 4, NOBODY);
    let goes_on = replace(&group, 1, 4, 4).await.unwrap();
    assert_eq!(goes_on.waits_for, "4 to catch up");
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_that_there_never_was_neither_leaves_nor_is_replaced() {
    let group = with_a_learner().await;
    let nobody = "there is no coordinator 9, there are 1, 2, 3, 4";
    let refused = remove(&group, NOBODY).await.unwrap_err();
    assert_mentions(&refused.message(), &[nobody]);
    for new in [1, 5] {
        let refused = replace(&group, NOBODY, new, new).await.unwrap_err();
        assert_mentions(&refused.message(), &[nobody]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coordinator_that_left_may_be_removed_again_but_not_come_back() {
    let mut group = Group::three().await;
    let [gone, stays] = followers(&group).await;
    remove(&group, gone).await.unwrap();
    group.kill(gone);
    let left: Vec<u64> = (1..=3).filter(|id| *id != gone).collect();
    wait_for_voters(&group, &left).await;
    remove(&group, gone).await.unwrap();
    let used = format!("there was a coordinator {gone} before");
    let refused = add(&group, gone, gone).await.unwrap_err();
    assert_mentions(&refused.message(), &[&used]);
    let refused = replace(&group, stays, gone, gone).await.unwrap_err();
    assert_mentions(&refused.message(), &[&used]);
    assert_eq!(voters(&group).await.unwrap(), left);
}

#[tokio::test(flavor = "multi_thread")]
async fn newcomer_that_was_never_heard_may_be_added_anew_elsewhere() {
    let group = with_a_learner().await;
    remove(&group, 4).await.unwrap();
    add(&group, 4, NOBODY).await.unwrap();
}
