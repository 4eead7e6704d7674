//! Who calls, and what for: API keys and their scopes.

use super::Api;
use super::door;
use super::problem::{Code, Problem};
use crate::api_key::{Key, KeyHash, KeyHasher, KeyId, Scopes};
use crate::audit::{self, Asker};
use crate::clock::Clock;
use crate::config::{ApiKey, CoordinatorSecret};
use crate::names::Scope;
use crate::store::{Store, StoreError};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// The header that carries the key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What an unknown key is compared with, so that it takes as long as a known one.
const NO_HASH: KeyHash = [0; 32];

/// Which key a caller shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum KeyName {
    /// The one that the coordinator was started with. Whatever has not the form of a stored key is
    /// a guess at it.
    Bootstrap,
    /// One that was made since.
    Stored(KeyId),
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bootstrap => f.write_str("bootstrap"),
            Self::Stored(id) => id.fmt(f),
        }
    }
}

/// Who calls: an extension of every request that a key has opened the API for.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The key's name, for people.
    pub(crate) name: String,
    pub(crate) id: KeyName,
    pub(crate) scopes: Scopes,
}

impl Caller {
    /// Who asks, for the audit log.
    pub(crate) fn asker(&self) -> Asker {
        Asker::ApiKey { key: self.id, name: self.name.clone() }
    }
}

/// The keys that open the API.
pub(crate) struct Keys {
    bootstrap: BootstrapHash,
    pub(crate) hasher: KeyHasher,
    store: Store,
    clock: Clock,
}

/// What a shown key turns out to be.
pub(crate) enum Shown {
    /// A key that opens the API.
    Opens(Caller),
    /// A key that once did. Nobody guessed it.
    Past,
    /// A guess at this key, for all that can be told: one that was made under another coordinator
    /// secret cannot be told from a guess at it.
    Wrong(KeyName),
}

impl Keys {
    pub(crate) fn new(
        bootstrap: &ApiKey,
        secret: &CoordinatorSecret,
        store: Store,
        clock: Clock,
    ) -> Self {
        let bootstrap = BootstrapHash::of(bootstrap);
        Self { bootstrap, hasher: KeyHasher::new(secret), store, clock }
    }

    /// Says when there are keys that cannot work, because the coordinator's secret is another one.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let (secret, now) = (self.hasher.secret_id(), self.clock.wall());
        let keys = self.store.api_keys_of_other_secrets(secret, now).await?;
        if keys > 0 {
            tracing::warn!(
                keys,
                "API keys were made under another coordinator secret and will be refused: start \
                 with that secret, or revoke them and make new ones"
            );
        }
        Ok(())
    }

    /// What a key is now: nothing is remembered from one request to the next.
    async fn look(&self, shown: &[u8]) -> Result<Shown, StoreError> {
        if self.bootstrap.opens_for(shown) {
            return Ok(Shown::Opens(Caller {
                name: "bootstrap".to_owned(),
                id: KeyName::Bootstrap,
                scopes: Scopes::all(),
            }));
        }
        let Some(key) = Key::parse(shown) else {
            return Ok(Shown::Wrong(KeyName::Bootstrap));
        };
        let wrong = Shown::Wrong(KeyName::Stored(key.id));
        let Some(stored) = self.store.api_key(key.id).await? else {
            self.hasher.is_hash_of(&NO_HASH, &key, &Scopes::all(), None);
            return Ok(wrong);
        };
        let fits = self.hasher.is_hash_of(&stored.hash, &key, &stored.scopes, stored.expires_at);
        if !fits {
            Ok(wrong)
        } else if !stored.is_valid(self.clock.wall()) {
            Ok(Shown::Past)
        } else {
            let id = KeyName::Stored(stored.id);
            Ok(Shown::Opens(Caller { name: stored.name, id, scopes: stored.scopes }))
        }
    }
}

/// The hash of the bootstrap key: comparing hashes takes the same time whatever was shown, its
/// length included.
struct BootstrapHash([u8; 32]);

impl BootstrapHash {
    fn of(key: &ApiKey) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    fn opens_for(&self, shown: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.0.ct_eq(&shown).into()
    }
}

/// Lets only requests pass that show a key, and says who calls.
pub(crate) async fn require_key(
    api: web::Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let source = door::source_of(&request)?;
    // Before anything is looked up or hashed.
    api.door.refuse_locked_out(source)?;
    // None, or more than one, is no guess at a key.
    let shown = shown(request.headers()).ok_or_else(unauthorized)?;
    let caller = match api.keys.look(shown).await.map_err(Problem::from)? {
        Shown::Opens(caller) => caller,
        Shown::Past => return Err(unauthorized().into()),
        Shown::Wrong(key) => {
            if let Some(lock_outs) = api.door.wrong_key(source, key) {
                let note = audit::locked_out(source.network(), key, lock_outs);
                api.store.note(note).await.map_err(Problem::from)?;
            }
            return Err(unauthorized().into());
        }
    };
    // A guess must not come through because others were under way at the same time.
    api.door.refuse_locked_out(source)?;
    api.door.take_key(caller.id)?;
    request.extensions_mut().insert(caller);
    next.call(request).await
}

/// Lets only callers pass whose key has the scope.
pub(crate) async fn require_scope(
    scope: Scope,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let has_scope = match request.extensions().get::<Caller>() {
        Some(caller) => caller.scopes.contains(scope),
        None => return Err(unauthorized().into()),
    };
    if !has_scope {
        let detail = format!("use an API key with the scope `{scope}`");
        return Err(Problem::new(Code::InsufficientScope, detail).with("scope", scope).into());
    }
    next.call(request).await
}

/// The one key that the headers carry.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let mut keys = headers.get_all(API_KEY);
    let key = keys.next()?.as_bytes();
    (keys.next().is_none() && !key.is_empty()).then_some(key)
}

/// The same for every key that does not open the API: why it does not is nobody's business.
fn unauthorized() -> Problem {
    Problem::new(Code::Unauthorized, "show your API key in the header X-API-Key")
}
