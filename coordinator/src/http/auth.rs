//! The API key.

use super::Api;
use super::problem::{Code, Problem};
use crate::config::ApiKey;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The header that carries the key.
const API_KEY: &str = "X-API-Key";

/// The hash of the key that opens the API: comparing hashes takes the same time whatever was
/// shown, its length included.
pub(crate) struct KeyHash([u8; 32]);

impl KeyHash {
    pub(crate) fn of(key: &ApiKey) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    fn opens_for(&self, shown: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.0.ct_eq(&shown).into()
    }
}

/// Lets only requests pass that show the key.
pub(crate) async fn require_key(
    api: web::Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let shown = request.headers().get(API_KEY).map(|value| value.as_bytes());
    if shown.is_some_and(|shown| api.key.opens_for(shown)) {
        next.call(request).await
    } else {
        let detail = format!("show your API key in the header {API_KEY}");
        Err(Problem::new(Code::Unauthorized, detail).into())
    }
}
