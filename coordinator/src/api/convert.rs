//! Between the wire and the coordinator's own words.

mod incoming;
mod lists;
mod logs;
mod outgoing;

pub(super) use incoming::{
    agent_hello, agent_report, job_id, node_id, note, origin, submission, worker_hello,
    worker_report,
};
pub(super) use lists::{jobs, nodes, submitted_spec};
pub(super) use logs::{parse_wanted as log_wanted, part as log_part};
pub(super) use outgoing::{agent_directive, job_view, status, worker_directive};
