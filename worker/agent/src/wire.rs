//! Between the messages of the session and the roster's types.

use convoy_common::ids::{SlotIndex, WorkerRef};
use convoy_common::limits::MAX_TAIL_LINES;
use convoy_proto::v1;
use convoy_proto::v1::agent_report::Report;
use convoy_proto::v1::log_read::Outcome;
use convoy_proto::v1::read_log_request::From as WireFrom;
use convoy_wire::{MalformedMessage, parse_worker_ref, worker_ref};

use crate::log_part::{From, LogPart};
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

/// Whose log is to be read, and from where.
pub(crate) fn parse_log_wanted(
    wanted: Option<v1::ReadLogRequest>,
) -> Result<(WorkerRef, From), MalformedMessage> {
    let wanted = wanted.unwrap_or_default();
    let from = match wanted.from {
        None => From::Offset(0),
        Some(WireFrom::Offset(offset)) => From::Offset(offset),
        Some(WireFrom::LastLines(lines)) => From::LastLines(lines.min(MAX_TAIL_LINES)),
    };
    Ok((parse_worker_ref(wanted.worker.as_ref())?, from))
}

pub(crate) fn log_read(request: u64, part: Result<LogPart, String>) -> Report {
    let outcome = match part {
        Ok(part) => Outcome::Part(v1::LogPart {
            offset: part.offset,
            bytes: part.bytes,
            length: part.length,
            is_complete: false,
        }),
        Err(why) => Outcome::Failure(why),
    };
    Report::LogRead(v1::LogRead {
        request,
        outcome: Some(outcome),
    })
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
