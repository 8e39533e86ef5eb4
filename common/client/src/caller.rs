//! Calls to whoever leads.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use tonic::{Response, Status};

use crate::connection::{Connection, dial};
use crate::endpoints::Endpoints;
use crate::error::ClientError;
use crate::find::{Failure, Operation, find};
use crate::random::random_u64;

/// Which command of which client. A command that is tried again carries the same two and so runs once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client, a random number.
    pub client_id: String,
    /// Counts the commands of this client, from 1.
    pub sequence: u64,
}

/// Calls the leader, whichever coordinator that is: follows the hints of followers, tries others when one is down, and
/// tries again while there is no leader. Clones share one connection and are one client.
#[derive(Clone, Debug)]
pub struct Caller {
    endpoints: Endpoints,
    line: Line,
    client: Arc<Client>,
}

/// A client as the state machine knows it.
#[derive(Debug)]
struct Client {
    id: String,
    /// The number of the last command. Held while a command runs: only the newest answer of a client is kept, so it must
    /// not begin another before it has that.
    sequence: tokio::sync::Mutex<u64>,
}

/// The connection in use.
#[derive(Clone, Debug, Default)]
struct Line(Arc<Mutex<Option<(CoordinatorAddress, Connection)>>>);

impl Caller {
    /// Connects to any of the coordinators; tries again while nobody answers.
    ///
    /// # Errors
    /// If nobody answers within `limit`.
    pub async fn connect(endpoints: &Endpoints, limit: Duration) -> Result<Self, ClientError> {
        let caller = Self::new(endpoints.clone());
        let (line, key) = (&caller.line, endpoints.key());
        let connect = |address: CoordinatorAddress| async move {
            let connection = dial(&address, key).await?;
            line.keep(&address, connection);
            Ok(())
        };
        let (address, ()) = find(endpoints, Operation::reading("connect"), limit, connect).await?;
        // It may well be a follower.
        endpoints.forget(&address);
        Ok(caller)
    }

    /// A client that connects with its first call.
    #[must_use]
    pub fn new(endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            line: Line::default(),
            client: Client::new(),
        }
    }

    /// Another client on the same connection, whose commands need not wait for those of this one.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            client: Client::new(),
            ..self.clone()
        }
    }

    /// The coordinators that it calls.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Asks something that changes nothing; `what` says it after "to". Tries for at most `limit`.
    ///
    /// # Errors
    /// If the leader refuses, with its reason, or can't be found, with what every coordinator answered.
    pub async fn ask<T, Answer>(
        &self,
        what: &'static str,
        limit: Duration,
        request: impl Fn(Connection) -> Answer,
    ) -> Result<T, ClientError>
    where
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let asked = self.call(Operation::reading(what), limit, request).await;
        asked.map(|(_, answer)| answer)
    }

    /// Has something done, once, however often it is tried. Commands of one client are done one after the other.
    ///
    /// # Errors
    /// As [`Caller::ask`]; if the leader can't be found, or refuses for a reason that has nothing to do with the command, an
    /// earlier try may have been carried out all the same, and the error says so.
    pub async fn command<T, Answer>(
        &self,
        what: &'static str,
        limit: Duration,
        request: impl Fn(Connection, Origin) -> Answer,
    ) -> Result<T, ClientError>
    where
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let done = self.command_at(what, limit, request).await;
        done.map(|(_, answer)| answer)
    }

    pub(crate) async fn command_at<T, Answer>(
        &self,
        what: &'static str,
        limit: Duration,
        request: impl Fn(Connection, Origin) -> Answer,
    ) -> Result<(CoordinatorAddress, T), ClientError>
    where
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let mut sequence = self.client.sequence.lock().await;
        *sequence += 1;
        let origin = Origin {
            client_id: self.client.id.clone(),
            sequence: *sequence,
        };
        let request = |connection| request(connection, origin.clone());
        self.call(Operation::changing(what), limit, request).await
    }

    pub(crate) async fn call<T, Answer>(
        &self,
        operation: Operation,
        limit: Duration,
        request: impl Fn(Connection) -> Answer,
    ) -> Result<(CoordinatorAddress, T), ClientError>
    where
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let request = &request;
        find(&self.endpoints, operation, limit, |address| async move {
            let connection = match self.line.to(&address) {
                Some(connection) => connection,
                None => {
                    let connection = dial(&address, self.endpoints.key()).await?;
                    self.line.keep(&address, connection.clone());
                    connection
                }
            };
            // Given up half-way, a call leaves a connection on which nothing may come any more.
            let mut in_use = UseOfLine {
                line: &self.line,
                address: &address,
                went_well: false,
            };
            let answered = request(connection).await.map(Response::into_inner);
            let answered =
                answered.map_err(|status| Failure::of(&address, operation.what, &status));
            in_use.went_well = !matches!(answered, Err(Failure::Lost { .. }));
            answered
        })
        .await
    }
}

impl Client {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            id: format!("{:016x}", random_u64()),
            sequence: tokio::sync::Mutex::new(0),
        })
    }
}

impl Line {
    fn to(&self, address: &CoordinatorAddress) -> Option<Connection> {
        let held = self.held();
        let (held_to, connection) = held.as_ref()?;
        (held_to == address).then(|| connection.clone())
    }

    fn keep(&self, address: &CoordinatorAddress, connection: Connection) {
        *self.held() = Some((address.clone(), connection));
    }

    fn drop_to(&self, address: &CoordinatorAddress) {
        self.held().take_if(|(held_to, _)| held_to == address);
    }

    fn held(&self) -> MutexGuard<'_, Option<(CoordinatorAddress, Connection)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the connection unless the call on it went well.
struct UseOfLine<'a> {
    line: &'a Line,
    address: &'a CoordinatorAddress,
    went_well: bool,
}

impl Drop for UseOfLine<'_> {
    fn drop(&mut self) {
        if !self.went_well {
            self.line.drop_to(self.address);
        }
    }
}
