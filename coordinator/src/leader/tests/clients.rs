//! What clients ask and are told.

use convoy_state_machine::command::Origin;
use convoy_state_machine::job::{JobPhase, PhaseName};
use convoy_state_machine::{Outcome, Refusal};

use super::super::{ClientRequest, Note, Refused};
use super::scene::{Scene, job_id, origin};
use crate::consensus::Log;

fn annotate<L: Log>(
    scene: &mut Scene<L>,
    value: Option<&str>,
    origin: Option<Origin>,
) -> Result<(), Refused> {
    let note = Box::new(Note {
        job: job_id("talk-1"),
        key: "note".to_owned(),
        value: value.map(str::to_owned),
        origin,
    });
    scene.ask(|reply| ClientRequest::Annotate { note, reply })
}

fn note<L: Log>(scene: &mut Scene<L>) -> Option<String> {
    let job = job_id("talk-1");
    let view = scene.ask(|reply| ClientRequest::Describe { job, reply });
    let annotations = &view.expect("the job is there").view.annotations;
    annotations.get("note").cloned()
}

fn cancel<L: Log>(scene: &mut Scene<L>, job: &str, sequence: u64) -> Result<(), Refused> {
    scene.ask(|reply| ClientRequest::Cancel {
        job: job_id(job),
        reason: "no more".to_owned(),
        origin: Some(origin(sequence)),
        reply,
    })
}

#[test]
fn note_is_seen_by_whoever_asks_after_the_answer() {
    let mut scene = Scene::training();
    assert_eq!(note(&mut scene), None);
    annotate(&mut scene, Some("1"), None).unwrap();
    assert_eq!(note(&mut scene).as_deref(), Some("1"));
    annotate(&mut scene, None, None).unwrap();
    assert_eq!(note(&mut scene), None);
}

#[test]
fn request_that_is_sent_again_runs_once() {
    let mut scene = Scene::training();
    annotate(&mut scene, Some("first"), Some(origin(2))).unwrap();
    annotate(&mut scene, Some("other"), None).unwrap();
    annotate(&mut scene, Some("first"), Some(origin(2))).unwrap();
    assert_eq!(note(&mut scene).as_deref(), Some("other"));
    assert_eq!(scene.submit(3, 2), Ok(job_id("talk-2")));
    assert_eq!(scene.submit(3, 2), Ok(job_id("talk-2")));
    let stale = Refusal::StaleSequence {
        client_id: "cli".to_owned(),
        given: 2,
        newest: 3,
    };
    assert_eq!(cancel(&mut scene, "talk-1", 2), Err(Refused::State(stale)));
}

#[test]
fn sequence_that_was_used_for_something_else_is_told_so_and_nothing_breaks() {
    let mut scene = Scene::training();
    let outcome = Outcome::Submitted(job_id("talk-1"));
    let reused = Refused::SequenceReused { outcome };
    assert_eq!(cancel(&mut scene, "talk-1", 1), Err(reused));
    assert_eq!(scene.phase(), JobPhase::Training);
    cancel(&mut scene, "talk-1", 2).unwrap();
    let outcome = Outcome::Done;
    assert_eq!(scene.submit(2, 2), Err(Refused::SequenceReused { outcome }));
}

#[test]
fn waiting_jobs_hear_at_once_when_the_queue_moves() {
    let mut scene = Scene::training();
    for sequence in 2..=3 {
        scene.submit(sequence, 2).unwrap();
    }
    let job = job_id("talk-3");
    let views = scene.ask(|reply| ClientRequest::Watch { job, reply });
    let views = views.expect("the job is there");
    let reason = || views.borrow().view.reason.clone();
    assert!(
        reason().starts_with("waits behind job talk-2"),
        "{}",
        reason()
    );
    cancel(&mut scene, "talk-2", 4).unwrap();
    assert!(reason().starts_with("waits for 2 more"), "{}", reason());
    scene.attach_agent("n2", 1);
    assert!(reason().starts_with("waits for 1 more"), "{}", reason());
    scene.attach_agent("n3", 1);
    assert!(
        reason().starts_with("waits for 2 of 2 workers to start"),
        "{}",
        reason()
    );
}

#[test]
fn lists_have_a_line_for_each_job_and_node() {
    let mut scene = Scene::training();
    scene.submit(2, 2).unwrap();
    cancel(&mut scene, "talk-1", 3).unwrap();
    let mut list = |open_only, after| {
        let page = scene.ask(|reply| ClientRequest::ListJobs {
            open_only,
            after,
            reply,
        });
        let page = page.expect("a list is always there");
        assert!(!page.more);
        let lines = page.lines.into_iter();
        lines.map(|job| (job.number, job.phase)).collect::<Vec<_>>()
    };
    let (cancelled, waiting) = ((1, PhaseName::Cancelled), (2, PhaseName::Waiting));
    assert_eq!(list(false, 0), [cancelled, waiting]);
    assert_eq!(list(true, 0), [waiting]);
    assert_eq!(list(false, 1), [waiting]);
    scene.attach_agent("n2", 2);
    let page = scene.ask(|reply| ClientRequest::ListNodes { after: None, reply });
    let lines = page.expect("a list is always there").lines;
    let used: Vec<_> = lines
        .iter()
        .map(|node| (node.id.as_str(), node.used.len()))
        .collect();
    assert_eq!(used, [("n1", 2), ("n2", 2)]);
    let after = Some(lines[0].id.clone());
    let page = scene.ask(|reply| ClientRequest::ListNodes { after, reply });
    assert_eq!(page.expect("a list is always there").lines, lines[1..]);
}

#[test]
fn long_list_comes_in_pages() {
    let mut scene = Scene::training();
    for number in 0..600 {
        scene.attach_agent(&format!("m{number:03}"), 1);
    }
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let asked = after.clone();
        let page = scene.ask(|reply| ClientRequest::ListNodes {
            after: asked,
            reply,
        });
        let page = page.expect("a list is always there");
        seen.extend(page.lines.into_iter().map(|node| node.id));
        after = seen.last().cloned();
        if !page.more {
            break;
        }
    }
    assert_eq!(seen.len(), 601);
    assert!(seen.is_sorted_by(|a, b| a < b));
}

#[test]
fn what_was_submitted_comes_out_again() {
    let mut scene = Scene::training();
    let job = job_id("talk-1");
    let spec = scene.ask(|reply| ClientRequest::Spec { job, reply });
    let spec = spec.expect("the job is there");
    assert!(spec.json.contains("\"talk\""), "{}", spec.json);
    assert_eq!(spec.workers, 2);
}
