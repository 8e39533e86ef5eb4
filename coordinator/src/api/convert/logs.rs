//! Parts of logs.

use convoy_common::limits::{MAX_LOG_PART_BYTES, MAX_TAIL_LINES};
use convoy_proto::v1;
use convoy_proto::v1::log_read::Outcome;
use convoy_proto::v1::read_log_request::From as WireFrom;
use convoy_wire as words;
use tonic::Status;

use super::incoming::malformed;
use crate::leader::{LogFrom, LogPart, LogWanted};

pub(in crate::api) fn parse_wanted(request: v1::ReadLogRequest) -> Result<LogWanted, Status> {
    let from = match request.from {
        None => LogFrom::Offset(0),
        Some(WireFrom::Offset(offset)) => LogFrom::Offset(offset),
        Some(WireFrom::LastLines(lines)) if lines <= MAX_TAIL_LINES => LogFrom::LastLines(lines),
        Some(WireFrom::LastLines(lines)) => {
            return Err(Status::invalid_argument(format!(
                "the last {lines} lines of a log are wanted: at most {MAX_TAIL_LINES} are looked for"
            )));
        }
    };
    Ok(LogWanted {
        worker: words::parse_worker_ref(request.worker.as_ref()).map_err(malformed)?,
        from,
    })
}

pub(super) fn wanted(wanted: &LogWanted) -> v1::ReadLogRequest {
    let from = match wanted.from {
        LogFrom::Offset(offset) => WireFrom::Offset(offset),
        LogFrom::LastLines(lines) => WireFrom::LastLines(lines),
    };
    v1::ReadLogRequest {
        worker: Some(words::worker_ref(&wanted.worker)),
        from: Some(from),
    }
}

/// What an agent read, or why it read nothing.
pub(super) fn outcome(outcome: Outcome) -> Result<Result<LogPart, String>, Status> {
    let part = match outcome {
        Outcome::Failure(why) => return Ok(Err(why)),
        Outcome::Part(part) => part,
    };
    if part.bytes.len() > MAX_LOG_PART_BYTES {
        return Err(Status::invalid_argument(format!(
            "a part of a log has {} bytes, of at most {MAX_LOG_PART_BYTES}",
            part.bytes.len()
        )));
    }
    Ok(Ok(LogPart {
        offset: part.offset,
        bytes: part.bytes,
        length: part.length,
        is_complete: false,
    }))
}

pub(in crate::api) fn part(part: LogPart) -> v1::LogPart {
    v1::LogPart {
        offset: part.offset,
        bytes: part.bytes,
        length: part.length,
        is_complete: part.is_complete,
    }
}
