//! `convoy validate` and `convoy schema`.

use std::process::ExitCode;

use convoy_common::spec::{JobSpec, check_message, json_schema};
use convoy_output::answer;

use crate::arguments::ValidateArguments;
use crate::spec_file::{self, Workload};
use crate::starting_weights;
use crate::words::{count, grouped};

/// Checks a spec and, unless told otherwise, its data.
pub(crate) fn validate(arguments: &ValidateArguments) -> anyhow::Result<ExitCode> {
    let spec = spec_file::read(&arguments.spec)?;
    if let Some(workers) = arguments.workers {
        spec.check_workers(workers)?;
        check_message(&spec.to_json()?, workers)?;
    }
    let (workload, weights) = if arguments.no_data {
        (None, None)
    } else {
        let workload = spec_file::check_data(&spec)?;
        (Some(workload), starting_weights::check(&spec.model)?)
    };
    let facts = facts(&spec, workload.as_ref());
    answer(format_args!(
        "{} is valid: {facts}",
        arguments.spec.display()
    ));
    if let Some(line) = weights {
        answer(line);
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the schema.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    answer(serde_json::to_string_pretty(&json_schema())?);
    Ok(ExitCode::SUCCESS)
}

fn facts(spec: &JobSpec, workload: Option<&Workload>) -> String {
    let epochs = count(u64::from(spec.training.epochs), "epoch");
    let shards = count(u64::from(spec.data_shards()), "data shard");
    let name = &spec.name;
    match workload {
        None => format!("job {name}, {epochs}, {shards}; data not checked"),
        Some(Workload { plan, test_samples }) => format!(
            "job {name}, {epochs} of {}, {shards}, {} training and {} test samples",
            count(plan.steps(), "step"),
            grouped(plan.samples()),
            grouped(*test_samples)
        ),
    }
}
