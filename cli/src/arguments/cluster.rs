//! What can be typed about a cluster: which one it is, and who coordinates it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use convoy_access::ClusterKey;
use convoy_client::{Caller, CoordinatorAddress, Endpoints};

use super::OutputForm;

/// Which cluster: the same flags and variables for every command that speaks with one.
#[derive(Debug, Args)]
pub(crate) struct Coordinators {
    /// Coordinators of the cluster, any of them, separated by commas or each with its own --coordinator.
    #[arg(
        long = "coordinator",
        alias = "coordinators",
        global = true,
        value_name = "ADDRESSES",
        env = "CONVOY_COORDINATORS",
        default_value = "http://127.0.0.1:7700"
    )]
    lists: Vec<Endpoints>,
    /// File with the cluster's key.
    #[arg(long, global = true, value_name = "FILE", env = "CONVOY_CLUSTER_KEY")]
    cluster_key: Option<PathBuf>,
}

impl Coordinators {
    /// Calls their leader.
    ///
    /// # Errors
    /// If the key can't be read, or there are too many of them.
    pub(crate) fn caller(&self) -> anyhow::Result<Caller> {
        let key = self.cluster_key.as_deref();
        let key = key.map(ClusterKey::read).transpose()?;
        let addresses = self.lists.iter().flat_map(Endpoints::addresses);
        let endpoints = Endpoints::new(addresses.cloned())?;
        Ok(Caller::new(endpoints.with_key(key)))
    }
}

#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    #[command(flatten)]
    pub(crate) coordinators: Coordinators,
    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show who leads and how the others are doing.
    Status {
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = OutputForm::Table)]
        output: OutputForm,
    },
    /// Add a coordinator that was started with `join = true`.
    Add {
        /// Its id, which no other ever had.
        id: u64,
        /// Where it is reached, http://HOST:PORT.
        address: CoordinatorAddress,
    },
    /// Remove a coordinator for good.
    Remove {
        /// Its id.
        id: u64,
    },
    /// Put a new coordinator, started with `join = true`, into the place of an old one.
    Replace {
        /// Who leaves, whether it still runs or not.
        old: u64,
        /// Who comes; no other ever had this id.
        new: u64,
        /// Where the new one is reached, http://HOST:PORT.
        address: CoordinatorAddress,
        /// Give up after so many seconds; what was done stays done.
        #[arg(long, default_value_t = 600)]
        timeout_s: u64,
    },
    /// Hand leadership over.
    TransferLeader {
        /// To whom; whoever has caught up best if it is left out.
        #[arg(long)]
        to: Option<u64>,
    },
}
