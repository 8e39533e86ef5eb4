//! Clusters with a key.

use convoy_access::ClusterKey;

use super::fake::{DEADLINE, Fake, Mood, endpoints, hello};
use crate::{AgentSession, ClientError, JobsClient};

fn key(first: u8) -> ClusterKey {
    let secret: [u8; 32] = std::array::from_fn(|at| first.wrapping_add(at as u8));
    ClusterKey::new(&secret).unwrap()
}

#[tokio::test]
async fn calls_and_sessions_carry_the_key() {
    let mut fake = Fake::start(Mood::Leads, Some(key(1))).await;
    let list = endpoints([&fake.address]).with_key(Some(key(1)));
    let jobs = JobsClient::connect(&list, DEADLINE).await.unwrap();
    jobs.submit("toy-1".to_owned(), 1).await.unwrap();
    fake.command().await;
    let _session = AgentSession::open(&list, hello(), DEADLINE).await.unwrap();
    assert!(fake.session().await.report().await.is_some());
}

#[tokio::test]
async fn hint_of_a_follower_with_the_key_is_followed() {
    let leader = Fake::start(Mood::Leads, Some(key(1))).await;
    let mood = Mood::Follows(Some(leader.address.clone()));
    let follower = Fake::start(mood, Some(key(1))).await;
    let list = endpoints([&follower.address]).with_key(Some(key(1)));
    let jobs = JobsClient::connect(&list, DEADLINE).await.unwrap();
    jobs.submit("toy-1".to_owned(), 1).await.unwrap();
    assert_eq!(list.leader(), Some(leader.address.clone()));
}

#[tokio::test]
async fn wrong_key_missing_key_and_false_coordinator_are_told_at_once() {
    let cases = [
        (Some(1), Some(2), "not the one of this cluster"),
        (Some(1), None, "no proof of the cluster key came"),
        (None, Some(1), "answered without a proof of the cluster key"),
    ];
    for (theirs, ours, expected) in cases {
        let fake = Fake::start(Mood::Leads, theirs.map(key)).await;
        let list = endpoints([&fake.address]).with_key(ours.map(key));
        let error = AgentSession::open(&list, hello(), DEADLINE)
            .await
            .unwrap_err();
        assert!(matches!(error, ClientError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
