//! Between the messages of the session and the roster's types.

use convoy_common::ids::SlotIndex;
use convoy_proto::v1;
use convoy_proto::v1::agent_report::Report;
use convoy_wire::{MalformedMessage, parse_worker_ref, worker_ref};

use crate::roster::{Assignment, Obituary, Started};

pub(crate) fn parse_desired(
    desired: v1::DesiredWorkers,
) -> Result<Vec<Assignment>, MalformedMessage> {
    desired
        .workers
        .into_iter()
        .map(|assignment| {
            Ok(Assignment {
                worker: parse_worker_ref(assignment.worker.as_ref())?,
                slot: SlotIndex(assignment.slot),
                spec_json: assignment.spec_json,
            })
        })
        .collect()
}

pub(crate) fn started(started: &Started) -> Report {
    Report::WorkerStarted(v1::WorkerStarted {
        worker: Some(worker_ref(&started.worker)),
        pid: started.pid,
        log_path: started.log_path.to_string_lossy().into_owned(),
    })
}

pub(crate) fn ended(obituary: Obituary) -> Report {
    let log_path = obituary.log_path.unwrap_or_default();
    Report::WorkerExited(v1::WorkerExited {
        worker: Some(worker_ref(&obituary.worker)),
        pid: obituary.pid.unwrap_or(0),
        how: obituary.how,
        clean: obituary.clean,
        last_lines: obituary.last_lines,
        log_path: log_path.to_string_lossy().into_owned(),
    })
}
