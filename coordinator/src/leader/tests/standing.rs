//! Leadership is won and lost.

use convoy_consensus::{Rejected, ReplicaId, Role};
use convoy_state_machine::job::JobPhase;
use tokio::sync::oneshot;

use super::super::{ClientRequest, Event, Refused, Reply, WorkerDirective};
use super::scene::{Scene, job_id};
use crate::consensus::{Log, LogEvent};

fn role<L: Log>(scene: &mut Scene<L>, role: Role) {
    scene.handle(Event::Log(vec![LogEvent::RoleChanged(role)]));
}

pub(super) fn lose<L: Log>(scene: &mut Scene<L>, leader: Option<ReplicaId>) {
    role(scene, Role::Follower { term: 2, leader });
}

pub(super) fn win<L: Log>(scene: &mut Scene<L>, term: u64) {
    let is_settled = true;
    role(scene, Role::Leader { term, is_settled });
}

#[test]
fn sessions_end_when_the_next_leader_is_known() {
    let mut scene = Scene::training();
    lose(&mut scene, None);
    assert_eq!(scene.closed(0), None, "it waits to be told who leads");
    lose(&mut scene, Some(ReplicaId(2)));
    let why = scene.closed(0);
    assert!(matches!(why, Some(Refused::NotLeader { .. })), "{why:?}");
}

#[test]
fn sessions_end_without_a_name_when_nobody_is_elected() {
    let mut scene = Scene::training();
    lose(&mut scene, None);
    scene.pass_ms(600, &[]);
    let why = scene.closed(0);
    assert_eq!(why, Some(Refused::NotLeader { leader: None }));
}

#[test]
fn follower_answers_nobody() {
    let mut scene = Scene::training();
    lose(&mut scene, None);
    let refused = Err(Refused::NotLeader { leader: None });
    assert_eq!(scene.submit(2, 2), refused);
    let job = job_id("talk-1");
    let described = scene.ask(|reply| ClientRequest::Describe { job, reply });
    assert!(matches!(described, Err(Refused::NotLeader { .. })));
}

#[test]
fn what_comes_before_a_leader_may_act_is_answered_when_it_may() {
    let mut scene = Scene::training();
    lose(&mut scene, None);
    let is_settled = false;
    role(
        &mut scene,
        Role::Leader {
            term: 3,
            is_settled,
        },
    );
    let (reply, mut answer) = oneshot::channel();
    let job = job_id("talk-1");
    let reply = Reply(reply);
    scene.handle(Event::Client(ClientRequest::Describe { job, reply }));
    assert!(answer.try_recv().is_err(), "not yet");
    win(&mut scene, 3);
    let view = answer.try_recv().unwrap().unwrap();
    assert_eq!(view.term, 3);
}

#[test]
fn new_leader_gives_everyone_one_grace_period_more() {
    let mut scene = Scene::training();
    lose(&mut scene, None);
    win(&mut scene, 3);
    scene.agent_is_heard = false;
    scene.pass_ms(5_800, &[]);
    assert_eq!(scene.phase(), JobPhase::Training);
    scene.pass_ms(1_000, &[]);
    scene.failed_with(&["nothing was heard of its agent for 6."]);
}

#[test]
fn workers_that_come_back_to_a_new_leader_train_on() {
    let mut scene = Scene::training();
    lose(&mut scene, None);
    win(&mut scene, 3);
    scene.attach_agent("n1", 2);
    for worker in 0..2 {
        scene.attach(worker);
        let told = scene.read_all(worker);
        assert!(
            matches!(told.as_slice(), [WorkerDirective::Go { .. }]),
            "{told:?}"
        );
    }
    scene.pass_ms(10_000, &[0, 1]);
    assert_eq!(scene.phase(), JobPhase::Training);
}

#[test]
fn attempts_of_a_new_leader_have_its_term() {
    let mut scene = Scene::attached();
    lose(&mut scene, None);
    win(&mut scene, 9);
    scene.attach_agent("n1", 2);
    scene.attach(0);
    scene.attach(1);
    assert_eq!(scene.stop_attempt(0).term, 9);
}

#[test]
fn read_that_nobody_confirms_is_refused() {
    let scene = Scene::training();
    let refused = scene.leader.refused(Rejected::TimedOut { ticks: 18 });
    assert!(matches!(refused, Refused::NotNow(_)), "{refused}");
}

#[test]
fn client_whose_command_may_still_be_applied_is_told_so() {
    let scene = Scene::training();
    let refused = scene.leader.refused(Rejected::Unknown);
    assert_eq!(refused, Refused::Undecided { leader: None });
    assert!(
        refused.to_string().ends_with("may be done all the same"),
        "{refused}"
    );
}
