//! The calling side.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use tonic::{Code, Status};
use tower_service::Service;

use super::token::{self, CallProof};
use super::{AUTH, PROOF, unix_seconds};
use crate::key::ClusterKey;
use crate::proof::Nonce;

/// A channel whose calls prove the cluster key, and whose answers must. Without a key it changes nothing.
#[derive(Clone, Debug)]
pub struct Authenticated<S> {
    inner: S,
    key: Option<ClusterKey>,
}

impl<S> Authenticated<S> {
    /// Around `inner`, a `tonic::transport::Channel` as a rule.
    #[must_use]
    pub fn new(inner: S, key: Option<ClusterKey>) -> Self {
        Self { inner, key }
    }
}

impl<S, B, R> Service<Request<B>> for Authenticated<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(key) = self.key.clone() else {
            return Box::pin(self.inner.call(request));
        };
        let proof = match attach(&key, &mut request) {
            Ok(proof) => proof,
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(believed(&key, proof, answer.await?)) })
    }
}

fn attach<B>(key: &ClusterKey, request: &mut Request<B>) -> Result<CallProof, Status> {
    let failed = |what: &dyn std::fmt::Display| {
        Status::internal(format!("cannot prove the cluster key: {what}"))
    };
    let nonce = Nonce::fresh().map_err(|error| failed(&error))?;
    let (token, proof) = token::call(key, request.uri().path(), unix_seconds(), nonce);
    let mut value = HeaderValue::try_from(token).map_err(|error| failed(&error))?;
    // Kept out of the transport's own logs.
    value.set_sensitive(true);
    request.headers_mut().insert(AUTH, value);
    Ok(proof)
}

/// The answer, or an error in its place if it does not come from the cluster. That a server refuses our key is believed:
/// it can't prove what it does not know, and nothing follows from its words but an error.
fn believed<R: Default>(key: &ClusterKey, call: CallProof, answer: Response<R>) -> Response<R> {
    let proof = answer
        .headers()
        .get(PROOF)
        .and_then(|value| value.to_str().ok());
    if token::is_answer(key, call, proof) {
        return answer;
    }
    let refused = Status::from_header_map(answer.headers())
        .is_some_and(|status| status.code() == Code::Unauthenticated);
    if refused {
        return answer;
    }
    Status::unauthenticated(
        "the other end answered without a proof of the cluster key: it runs without --cluster-key, \
         or is no part of this cluster",
    )
    .into_http()
}
