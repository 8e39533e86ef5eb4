//! The answering side.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use tonic::Status;
use tower_layer::Layer;
use tower_service::Service;

use super::token::{self, Refusal};
use super::{AUTH, PROOF, unix_seconds};
use crate::key::ClusterKey;

/// Lets in only calls that prove the cluster key: `Server::builder().layer(AccessLayer::new(access.key().cloned()))`.
/// Without a key it lets in all.
#[derive(Clone, Debug)]
pub struct AccessLayer {
    key: Option<ClusterKey>,
}

impl AccessLayer {
    /// With this key.
    #[must_use]
    pub fn new(key: Option<ClusterKey>) -> Self {
        Self { key }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            key: self.key.clone(),
        }
    }
}

/// A service behind an [`AccessLayer`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    key: Option<ClusterKey>,
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
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
        // Nothing behind this needs it.
        let token = request.headers_mut().remove(AUTH);
        let Some(key) = &self.key else {
            return Box::pin(self.inner.call(request));
        };
        let token = token.as_ref().map(|value| value.to_str().unwrap_or(""));
        let proof = match token::check_call(key, request.uri().path(), token, unix_seconds()) {
            Ok(proof) => proof,
            Err(refusal) => {
                log(request.uri().path(), &refusal);
                let status = Status::unauthenticated(refusal.to_string());
                return Box::pin(async move { Ok(status.into_http()) });
            }
        };
        // Hexadecimal digits are a header's value.
        let proof = HeaderValue::try_from(token::answer(key, proof));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            if let Ok(proof) = proof {
                answer.headers_mut().insert(PROOF, proof);
            }
            Ok(answer)
        })
    }
}

/// Strangers are many and could fill the log; who has a key of some cluster was set up wrong, and someone looks for it.
fn log(method: &str, refusal: &Refusal) {
    match refusal {
        Refusal::Missing | Refusal::Malformed => {
            tracing::debug!(method, %refusal, "refused a call");
        }
        Refusal::WrongKey | Refusal::Clock { .. } => {
            tracing::warn!(method, %refusal, "refused a call");
        }
    }
}
