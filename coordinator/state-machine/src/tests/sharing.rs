//! A clone of the state shares everything that did not change since.

use super::fixtures::*;
use crate::codec;
use crate::command::Command;

/// A state with so many jobs that they lie in several chunks.
fn full() -> Story {
    let mut story = Story::training();
    for number in 2..500 {
        story.ok(submit(number, 2));
    }
    for number in 0..300 {
        story.ok(register(&format!("n{number}"), 1, 2));
    }
    story
}

#[test]
fn clone_is_the_same_memory_as_the_state() {
    let story = full();
    assert!(story.cluster.is_same_memory(&story.cluster.clone()));
}

#[test]
fn change_after_a_clone_copies_what_it_changes_and_nothing_else() {
    let mut story = full();
    let kept = story.cluster.clone();
    story.ok(annotate(&story.id.clone(), "a", Some("b")));
    story.ok(register("n7", 2, 2));
    assert_eq!(story.cluster.shared_jobs(&kept), 498);
    assert_eq!(story.cluster.shared_nodes(&kept), 300);
    assert!(kept.job(&story.id).unwrap().annotations.is_empty());
}

#[test]
fn refused_command_copies_no_job() {
    let mut story = full();
    let kept = story.cluster.clone();
    let by = by(&story.id, 7);
    let _ = story.cluster.apply(Command::RecordProgress {
        by,
        progress: progress(1),
    });
    assert_eq!(story.cluster.shared_jobs(&kept), 499);
}

#[test]
fn snapshot_is_written_on_another_thread_while_the_state_goes_on() {
    let mut story = full();
    let kept = story.cluster.clone();
    let mut expected = Vec::new();
    codec::write_snapshot(&kept, &mut expected).unwrap();
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut bytes = Vec::new();
            codec::write_snapshot(&kept, &mut bytes).map(|()| bytes)
        });
        for step in 0..200 {
            let by = by(&story.id, 1);
            let progress = progress(step);
            story.ok(Command::RecordProgress { by, progress });
        }
        writer.join().unwrap()
    });
    assert_eq!(written.unwrap(), expected);
}
