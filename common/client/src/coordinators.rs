//! Calls about the coordinators themselves.

use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use convoy_proto::v1;
use convoy_proto::v1::coordinators_client::CoordinatorsClient as Stub;

use crate::caller::Caller;
use crate::error::ClientError;

/// A change is committed within milliseconds; this leaves time for a hand-over and an election before it.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// A leader answers at once. Where there is none, whoever answers is asked about itself.
const LEADER_LIMIT: Duration = Duration::from_secs(3);

/// Calls about the coordinators themselves. Every one of them may be repeated: what was done already stays as it is.
#[derive(Clone, Debug)]
pub struct CoordinatorsClient {
    caller: Caller,
}

impl CoordinatorsClient {
    /// Calls by `caller`.
    #[must_use]
    pub fn of(caller: Caller) -> Self {
        Self { caller }
    }

    /// How the coordinators are doing, as the leader knows; where none is found, as one of them knows.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn status(&self) -> Result<v1::StatusReply, ClientError> {
        match self.status_of(false, LEADER_LIMIT).await {
            Err(ClientError::Unreachable(_)) => self.status_of(true, CALL_LIMIT).await,
            answered => answered,
        }
    }

    async fn status_of(&self, any: bool, limit: Duration) -> Result<v1::StatusReply, ClientError> {
        let ask = |connection| async move {
            Stub::new(connection)
                .status(v1::StatusRequest { any })
                .await
        };
        self.caller
            .ask("tell how the coordinators are doing", limit, ask)
            .await
    }

    /// Adds a coordinator, which votes as soon as it has caught up.
    ///
    /// # Errors
    /// If the leader refuses, with its reason, or can't be found.
    pub async fn add(&self, id: u64, address: &CoordinatorAddress) -> Result<(), ClientError> {
        let request = v1::AddRequest {
            id,
            address: address.to_string(),
        };
        let add = |connection| {
            let request = request.clone();
            async move { Stub::new(connection).add(request).await }
        };
        self.caller
            .ask("add a coordinator", CALL_LIMIT, add)
            .await?;
        Ok(())
    }

    /// Removes a coordinator for good.
    ///
    /// # Errors
    /// If the leader refuses, with its reason, or can't be found.
    pub async fn remove(&self, id: u64) -> Result<(), ClientError> {
        let remove = |connection| async move {
            Stub::new(connection).remove(v1::RemoveRequest { id }).await
        };
        self.caller
            .ask("remove a coordinator", CALL_LIMIT, remove)
            .await?;
        Ok(())
    }

    /// Does the next step of a replacement; none is left, or what it waits for.
    ///
    /// # Errors
    /// If the leader refuses, with its reason, or can't be found.
    pub async fn replace(
        &self,
        old_id: u64,
        new_id: u64,
        address: &CoordinatorAddress,
    ) -> Result<Option<String>, ClientError> {
        let request = v1::ReplaceRequest {
            old_id,
            new_id,
            address: address.to_string(),
        };
        let replace = |connection| {
            let request = request.clone();
            async move { Stub::new(connection).replace(request).await }
        };
        let reply = self
            .caller
            .ask("replace a coordinator", CALL_LIMIT, replace)
            .await?;
        Ok((!reply.is_done).then_some(reply.waits_for))
    }

    /// Hands leadership over, to whoever has caught up best if nobody is named; who leads now.
    ///
    /// # Errors
    /// If the leader refuses, with its reason, or can't be found; if nobody took over.
    pub async fn transfer_leader(&self, to: Option<u64>) -> Result<u64, ClientError> {
        let transfer = |connection| async move {
            Stub::new(connection)
                .transfer_leader(v1::TransferLeaderRequest { to })
                .await
        };
        let reply = self
            .caller
            .ask("hand leadership over", CALL_LIMIT, transfer)
            .await?;
        Ok(reply.leader)
    }
}
