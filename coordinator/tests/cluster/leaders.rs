//! Leaders come and go.

use convoy_client::{AgentSide, Link, LinkEvent};
use convoy_proto::v1::jobs_client::JobsClient as Stub;
use convoy_proto::{PROTOCOL_VERSION, v1};
use convoy_wire::redirect::Redirect;
use tokio::time::timeout;

use crate::group::{Group, PATIENCE, SPEC, assert_known, submit};

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_when_the_leader_is_killed() {
    let mut group = Group::three().await;
    let jobs = group.jobs().await;
    let first = submit(&jobs).await;
    for _ in 0..2 {
        let leader = group.leader().await;
        group.kill(leader);
        let next = submit(&jobs).await;
        assert_ne!(first, next);
        assert_known(&jobs, &[&first, &next]).await;
        group.start(leader).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_lives_leads_on_when_all_its_connections_break_together() {
    let group = Group::through_proxies().await;
    let jobs = group.jobs().await;
    submit(&jobs).await;
    let leader = group.eventually("a leader", || group.leader_now()).await;
    for _ in 0..3 {
        group.break_connections_from(leader.id);
        // What both followers have got came on new connections.
        group.write_to_all(&jobs).await;
    }
    let now = group.leader_now().await.unwrap();
    assert_eq!((now.id, now.term), (leader.id, leader.term));
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_names_the_leader() {
    let group = Group::three().await;
    let (leader, follower) = (group.leader().await, group.follower().await);
    let known = || async {
        let status = group.status(follower).await?;
        (status.leader == Some(leader)).then_some(())
    };
    group
        .eventually("the follower to hear of the leader", known)
        .await;
    let mut stub = Stub::new(group.channel(follower).await.unwrap());
    let refused = stub.submit(submission(1)).await.unwrap_err();
    let expected = Redirect {
        leader: Some(group.endpoint(leader)),
    };
    assert_eq!(Redirect::of(&refused), Some(expected), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn submission_that_is_sent_again_to_the_next_leader_runs_once() {
    let mut group = Group::three().await;
    let leader = group.leader().await;
    let first = submitted(&group, leader, 7).await.unwrap();
    group.kill(leader);
    let again = || async {
        let leader = group.leader().await;
        submitted(&group, leader, 7).await
    };
    let again = group.eventually("the next leader's answer", again).await;
    assert_eq!(first, again);
    let next = || async { submitted(&group, group.leader().await, 8).await };
    let next = group.eventually("another submission", next).await;
    assert_eq!((first.as_str(), next.as_str()), ("talk-1", "talk-2"));
}

fn submission(sequence: u64) -> v1::SubmitRequest {
    v1::SubmitRequest {
        client_id: "cli".to_owned(),
        sequence,
        spec_json: SPEC.to_owned(),
        workers: 2,
    }
}

async fn submitted(group: &Group, id: u64, sequence: u64) -> Option<String> {
    let mut stub = Stub::new(group.channel(id).await?);
    let reply = stub.submit(submission(sequence)).await.ok()?;
    Some(reply.into_inner().job_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_leads_before_a_leader_that_shuts_down_has_ended() {
    let mut group = Group::three().await;
    let jobs = group.jobs().await;
    let first = submit(&jobs).await;
    let leader = group.leader().await;
    group.shut_down(leader).await;
    let next = group.leader_now().await.expect("no election is waited for");
    assert_ne!(next.id, leader);
    assert_known(&jobs, &[&first]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_goes_on_at_the_next_leader_and_its_node_is_not_lost() {
    let mut group = Group::three().await;
    let hello = v1::AgentHello {
        protocol_version: PROTOCOL_VERSION,
        build: "test".to_owned(),
        node_id: "n1".to_owned(),
        incarnation: 1,
        slots: 2,
        advertised_host: "127.0.0.1".to_owned(),
        ..Default::default()
    };
    let mut link = Link::<AgentSide>::start(group.endpoints(), hello, PATIENCE);
    let first = opened(&mut link).await;
    let leader = group.leader().await;
    assert_eq!(first, group.endpoint(leader).to_string());
    group.kill(leader);
    let second = opened(&mut link).await;
    assert_ne!(first, second);
    let nodes = || async {
        let mut stub = Stub::new(group.channel(group.leader().await).await?);
        let reply = stub.list_nodes(v1::ListNodesRequest::default()).await;
        Some(reply.ok()?.into_inner().nodes)
    };
    let nodes = group.eventually("the list of nodes", nodes).await;
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].lost, None);
    link.close().await;
}

/// Where the next session is open.
async fn opened(link: &mut Link<AgentSide>) -> String {
    loop {
        match timeout(PATIENCE, link.next()).await.unwrap() {
            LinkEvent::Opened { coordinator, .. } => return coordinator.to_string(),
            LinkEvent::Directive(_) | LinkEvent::Lost { .. } => {}
            LinkEvent::Gone { reason } => panic!("{reason}"),
        }
    }
}
