//! Everything below `/api/v1`: the one place that names each route and the scope that it needs.
//!
//! Beside its own refusals, any route may answer 503 with a `Retry-After`: `store_unavailable` while
//! the store does not answer, `shutting_down` while the coordinator stops. What opens a session also
//! answers 429 `overloaded`, with a `Retry-After`, while as many run as may.

use super::problem::Problem;
use super::{accounts, api_keys, auth, network, parties, sessions, sign};
use crate::names::Scope;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{Resource, Route, web};
use std::collections::BTreeSet;

/// What the paths of the table stand below.
pub(crate) const BASE: &str = "/api/v1";

/// `read` looks, `sign` is what a backend does, `admin` is for whoever runs the house.
const TABLE: &[Entry] = &[
    Entry::new(Verb::Get, "/accounts", Scope::Read, |route| route.to(accounts::list)),
    Entry::new(Verb::Post, "/accounts", Scope::Sign, |route| route.to(accounts::create)),
    Entry::new(Verb::Get, "/accounts/{id}", Scope::Read, |route| route.to(accounts::show)),
    Entry::new(Verb::Post, "/accounts/{id}/sign", Scope::Sign, |route| route.to(sign::sign)),
    Entry::new(Verb::Get, "/sessions/{id}", Scope::Read, |route| route.to(sessions::show)),
    Entry::new(Verb::Delete, "/sessions/{id}", Scope::Sign, |route| route.to(sessions::cancel)),
    Entry::new(Verb::Get, "/parties", Scope::Read, |route| route.to(parties::list)),
    Entry::new(Verb::Post, "/parties", Scope::Admin, |route| route.to(parties::register)),
    Entry::new(Verb::Post, "/parties/{id}/revoke", Scope::Admin, |route| route.to(parties::revoke)),
    Entry::new(Verb::Post, "/enrolment-tokens", Scope::Admin, |route| {
        route.to(parties::create_token)
    }),
    Entry::new(Verb::Delete, "/enrolment-tokens/{id}", Scope::Admin, |route| {
        route.to(parties::cancel_token)
    }),
    Entry::new(Verb::Get, "/aux", Scope::Read, |route| route.to(network::aux_sets)),
    Entry::new(Verb::Get, "/api-keys", Scope::Admin, |route| route.to(api_keys::list)),
    Entry::new(Verb::Post, "/api-keys", Scope::Admin, |route| route.to(api_keys::create)),
    Entry::new(Verb::Delete, "/api-keys/{id}", Scope::Admin, |route| route.to(api_keys::revoke)),
];

/// A route of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    /// Its method.
    pub method: &'static str,
    /// Its path; `{id}` stands for an id.
    pub path: String,
    /// The scope that a key needs for it.
    pub scope: Scope,
}

/// Every route that needs a key.
pub fn routes() -> impl Iterator<Item = RouteInfo> {
    TABLE.iter().map(|entry| RouteInfo {
        method: entry.verb.name(),
        path: format!("{BASE}{}", entry.path),
        scope: entry.scope,
    })
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Get,
    Post,
    Delete,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    const fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Delete => Method::DELETE,
        }
    }
}

struct Entry {
    verb: Verb,
    path: &'static str,
    scope: Scope,
    handled: fn(Route) -> Route,
}

impl Entry {
    const fn new(
        verb: Verb,
        path: &'static str,
        scope: Scope,
        handled: fn(Route) -> Route,
    ) -> Self {
        Self { verb, path, scope, handled }
    }

    fn route(&self) -> Route {
        let scope = self.scope;
        (self.handled)(web::method(self.verb.method()))
            .wrap(from_fn(move |request, next| auth::require_scope(scope, request, next)))
    }
}

/// Serves the table, one resource a path.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let paths: BTreeSet<&str> = TABLE.iter().map(|entry| entry.path).collect();
    for path in paths {
        let entries = || TABLE.iter().filter(|entry| entry.path == path);
        let verbs: Vec<_> = entries().map(|entry| entry.verb.name()).collect();
        config.service(resource(path, &verbs.join(", "), entries().map(Entry::route)));
    }
}

/// A resource that names its methods to who uses another one.
pub(crate) fn resource(path: &str, methods: &str, routes: impl Iterator<Item = Route>) -> Resource {
    let methods = methods.to_owned();
    let refuse = move || {
        let problem = Problem::method_not_allowed(&methods);
        async move { Err::<String, _>(problem) }
    };
    routes.fold(web::resource(path), Resource::route).default_service(web::to(refuse))
}
