//! Reads of logs that agents answer late, or never.

use convoy_common::limits::MAX_LOG_READS;
use convoy_consensus::Role;
use tokio::sync::oneshot;

use super::super::{
    AgentDirective, AgentReport, ClientRequest, Event, LogFrom, LogPart, LogWanted, Refused, Reply,
};
use super::scene::Scene;
use crate::consensus::{Log, LogEvent};

type Answer = oneshot::Receiver<Result<LogPart, Refused>>;

fn read<L: Log>(scene: &mut Scene<L>) -> Answer {
    let (reply, answer) = oneshot::channel();
    let wanted = LogWanted {
        worker: scene.worker(0),
        from: LogFrom::Offset(0),
    };
    let reply = Reply(reply);
    scene.handle(Event::Client(ClientRequest::ReadLog { wanted, reply }));
    answer
}

/// The numbers of the reads that the agent was asked for since it was last looked at.
fn requests<L: Log>(scene: &mut Scene<L>) -> Vec<u64> {
    let told = scene.read_agent().into_iter();
    let requests = told.filter_map(|told| match told {
        AgentDirective::ReadLog { request, .. } => Some(request),
        AgentDirective::Welcome { .. }
        | AgentDirective::Desired(_)
        | AgentDirective::Shutdown { .. } => None,
    });
    requests.collect()
}

fn answers<L: Log>(scene: &mut Scene<L>, request: u64) {
    let part = Ok(LogPart {
        offset: 0,
        bytes: b"a line\n".to_vec(),
        length: 7,
        is_complete: false,
    });
    scene.agent_reports(AgentReport::LogRead { request, part });
}

fn is_away(answer: &mut Answer, words: &str) {
    let refused = answer.try_recv().expect("answered").unwrap_err();
    assert!(matches!(refused, Refused::NodeAway { .. }), "{refused}");
    assert!(refused.to_string().contains(words), "{refused}");
}

#[test]
fn agent_has_a_few_reads_under_way_and_others_try_again() {
    let mut scene = Scene::training();
    let mut waiting: Vec<Answer> = (0..MAX_LOG_READS).map(|_| read(&mut scene)).collect();
    let requests = requests(&mut scene);
    assert_eq!(requests.len(), MAX_LOG_READS);
    let refused = read(&mut scene).try_recv().unwrap().unwrap_err();
    assert!(matches!(refused, Refused::NotNow(_)), "{refused}");
    answers(&mut scene, requests[0]);
    let part = waiting[0].try_recv().unwrap().unwrap();
    assert_eq!(
        (part.bytes.as_slice(), part.is_complete),
        (b"a line\n".as_slice(), false)
    );
    assert!(
        read(&mut scene).try_recv().is_err(),
        "there is room again, so it waits"
    );
}

#[test]
fn agent_that_does_not_answer_is_not_waited_for_without_end() {
    let mut scene = Scene::training();
    let mut answer = read(&mut scene);
    let requests = requests(&mut scene);
    scene.pass_ms(4_900, &[0, 1]);
    assert!(answer.try_recv().is_err(), "not yet");
    scene.pass_ms(200, &[0, 1]);
    is_away(&mut answer, "its agent did not answer within 5");
    // Too late, and to nobody.
    answers(&mut scene, requests[0]);
}

#[test]
fn reads_end_with_the_session_that_they_were_asked_in() {
    let mut scene = Scene::training();
    let mut answer = read(&mut scene);
    let requests = requests(&mut scene);
    scene.attach_agent("n1", 2);
    answers(&mut scene, requests[0]);
    assert!(
        answer.try_recv().is_err(),
        "the session of before was asked"
    );
    scene.pass_ms(100, &[0, 1]);
    is_away(&mut answer, "its agent's session ended meanwhile");
}

#[test]
fn answer_to_a_leader_of_before_is_not_taken_for_one_to_the_next() {
    let mut scene = Scene::training();
    let mut before = read(&mut scene);
    let asked_before = requests(&mut scene);
    for role in [
        Role::Follower {
            term: 2,
            leader: None,
        },
        Role::Leader {
            term: 3,
            is_settled: true,
        },
    ] {
        scene.handle(Event::Log(vec![LogEvent::RoleChanged(role)]));
    }
    let refused = before.try_recv().unwrap().unwrap_err();
    assert!(matches!(refused, Refused::NotLeader { .. }), "{refused}");
    scene.attach_agent("n1", 2);
    let mut answer = read(&mut scene);
    let asked = requests(&mut scene);
    answers(&mut scene, asked_before[0]);
    assert!(answer.try_recv().is_err(), "that was another question");
    answers(&mut scene, asked[0]);
    assert!(answer.try_recv().unwrap().is_ok());
}
