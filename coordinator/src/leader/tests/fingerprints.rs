//! Who does not fit together is refused, with both values: protocols, builds, datasets.

use convoy_common::ids::ReplicaId as MemberId;
use convoy_proto::PROTOCOL_VERSION;
use convoy_state_machine::job::JobPhase;
use convoy_state_machine::replica::Replica;
use convoy_state_machine::version::ClusterVersion;

use super::scene::{Scene, agent_hello, dataset, worker_hello};
use super::standing::{lose, win};

#[test]
fn agent_of_another_protocol_is_refused_with_both_versions() {
    let mut scene = Scene::placed();
    let mut hello = agent_hello("n2", 2);
    hello.offer.protocol_version = PROTOCOL_VERSION + 1;
    hello.offer.build = "9.9.9".to_owned();
    let refused = scene.attach_agent_with(hello).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the agent of node n2 (build 9.9.9) speaks protocol 2, this coordinator speaks 1: use the same version of Convoy on \
         both ends"
    );
}

#[test]
fn agent_of_another_build_works_while_a_cluster_is_upgraded() {
    let mut scene = Scene::placed();
    let mut hello = agent_hello("n2", 2);
    hello.offer.build = "9.9.9".to_owned();
    scene.attach_agent_with(hello).unwrap();
}

#[test]
fn worker_of_another_protocol_fails_its_job_with_both_versions() {
    let mut scene = Scene::placed();
    scene.attach(0);
    let mut hello = worker_hello(&scene.worker(1));
    hello.protocol_version = PROTOCOL_VERSION + 1;
    let refused = scene.attach_with(hello).unwrap_err().to_string();
    assert!(
        refused.contains("speaks protocol 2, this coordinator speaks 1"),
        "{refused}"
    );
    scene.pass_ms(100, &[0]);
    scene.failed_with(&[&refused]);
}

#[test]
fn worker_of_another_build_than_its_fellows_fails_their_job_with_both_builds() {
    let mut scene = Scene::placed();
    scene.attach(0);
    let mut hello = worker_hello(&scene.worker(1));
    hello.build = "9.9.9".to_owned();
    let refused = scene.attach_with(hello).unwrap_err().to_string();
    assert_eq!(
        refused,
        "worker 1 on node n1 of job talk-1 is of build 9.9.9, worker 0 on node n1 of build test: the numbers of two builds \
         may differ; install the same version of Convoy on both nodes"
    );
    scene.pass_ms(100, &[0]);
    scene.failed_with(&[&refused]);
}

#[test]
fn worker_of_another_build_that_is_the_first_to_find_a_new_leader_turns_no_member_away() {
    let mut scene = Scene::training();
    lose(&mut scene, None);
    win(&mut scene, 3);
    scene.attach_agent("n1", 2);
    let mut hello = worker_hello(&scene.worker(1));
    hello.build = "9.9.9".to_owned();
    let refused = scene.attach_with(hello).unwrap_err().to_string();
    assert_eq!(
        refused,
        "worker 1 on node n1 of job talk-1 is of build 9.9.9, the members of its generation 1 of build test: the numbers of \
         two builds may differ; install the same version of Convoy on both nodes"
    );
    scene.attach(0);
    scene.attach(1);
    scene.pass_ms(10_000, &[0, 1]);
    assert_eq!(scene.phase(), JobPhase::Training);
}

#[test]
fn build_with_too_long_a_name_is_refused_with_its_length() {
    let mut scene = Scene::placed();
    let mut hello = worker_hello(&scene.worker(1));
    hello.build = "9".repeat(129);
    let refused = scene.attach_with(hello).unwrap_err().to_string();
    assert!(refused.contains("129"), "{refused}");
    assert!(refused.contains("128"), "{refused}");
}

#[test]
fn worker_that_comes_back_is_not_compared_with_itself() {
    let mut scene = Scene::placed();
    let mut hello = worker_hello(&scene.worker(1));
    hello.build = "9.9.9".to_owned();
    scene.attach_with(hello).unwrap();
    let again = worker_hello(&scene.worker(1));
    scene.attach_with(again).unwrap();
    assert_eq!(scene.phase(), JobPhase::Forming);
}

#[test]
fn workers_with_different_data_fail_their_job_with_both_fingerprints() {
    let mut scene = Scene::attached();
    let attempt = scene.stop_attempt(0);
    let mut more = dataset(9);
    more.train_samples = 17;
    scene.stopped_on(0, attempt, dataset(7));
    scene.stopped_on(1, attempt, more.clone());
    scene.pass_ms(100, &[0, 1]);
    let (usual, other) = (dataset(7).to_string(), more.to_string());
    assert!(usual.starts_with("16 training and 4 test samples with index hash 0707"));
    assert!(other.starts_with("17 training and 4 test samples with index hash 0909"));
    scene.failed_with(&[
        "worker 0 on node n1 and worker 1 on node n1",
        &usual,
        &other,
    ]);
}

#[test]
fn coordinator_that_is_too_old_for_the_cluster_is_refused_with_both_versions() {
    let mut scene = Scene::training();
    let member = |supports| Replica {
        raft_address: "127.0.0.1:7701".to_owned(),
        api_address: "127.0.0.1:7701".to_owned(),
        build: "0.0.9".to_owned(),
        supports,
    };
    let refused = scene.introduce(MemberId(2), member(ClusterVersion(0)));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "coordinator 2 (build 0.0.9) supports cluster version 0, not 1: upgrade it first"
    );
    let newer = ClusterVersion(ClusterVersion::NEWEST.0 + 1);
    scene.introduce(MemberId(2), member(newer)).unwrap();
}
