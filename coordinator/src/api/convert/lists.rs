//! Lists of jobs and nodes.

use convoy_proto::v1;
use convoy_state_machine::view::{JobSummary, NodeView, SlotUse};
use convoy_wire as words;

use super::outgoing::job_state;
use crate::leader::{Page, SubmittedSpec};

pub(in crate::api) fn jobs(page: Page<JobSummary>) -> v1::ListJobsReply {
    v1::ListJobsReply {
        jobs: page.lines.into_iter().map(job_summary).collect(),
        more: page.more,
    }
}

pub(in crate::api) fn nodes(page: Page<NodeView>) -> v1::ListNodesReply {
    v1::ListNodesReply {
        nodes: page.lines.into_iter().map(node_view).collect(),
        more: page.more,
    }
}

pub(in crate::api) fn submitted_spec(spec: &SubmittedSpec) -> v1::JobSpecReply {
    v1::JobSpecReply {
        spec_json: spec.json.to_string(),
        workers: spec.workers,
    }
}

fn job_summary(job: JobSummary) -> v1::JobSummary {
    v1::JobSummary {
        job_id: job.id.to_string(),
        number: job.number,
        name: job.name,
        state: job_state(job.phase).into(),
        reason: job.reason,
        workers_wanted: job.wanted,
        workers_live: job.live,
        generation: job.generation.0,
        step: job.step.map(|step| step.0),
        steps: job.steps,
        images_per_second: job.images_per_second,
    }
}

fn node_view(node: NodeView) -> v1::NodeView {
    v1::NodeView {
        node_id: node.id.to_string(),
        lost: node.lost,
        slots: node.slots,
        used: node.used.iter().map(slot_use).collect(),
        advertised_host: node.advertised_host,
        labels: node.labels,
        build: node.build,
        protocol_version: node.protocol_version,
        worker_memory_bytes: node.worker_memory_bytes,
    }
}

fn slot_use(used: &SlotUse) -> v1::SlotUse {
    v1::SlotUse {
        slot: used.slot.0,
        worker: Some(words::worker_ref(&used.worker)),
    }
}
