//! `/api/v1/parties`, `/api/v1/aux` and `/health`.

use super::Api;
use super::problem::Problem;
use super::views::{AuxSetView, PartyView};
use actix_web::{HttpResponse, web};
use serde_json::json;

/// Lists the registered parties.
pub(crate) async fn parties(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let online = api.roster.online();
    let parties: Vec<_> = api
        .store
        .parties()
        .await?
        .into_iter()
        .map(|party| {
            let is_online = online.contains(&party.id);
            PartyView::new(party, is_online)
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "parties": parties })))
}

/// Lists the aux sets that are ready or on their way.
pub(crate) async fn aux_sets(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let sets: Vec<_> = api.store.aux_sets().await?.into_iter().map(AuxSetView::new).collect();
    Ok(HttpResponse::Ok().json(json!({ "aux_sets": sets })))
}

/// Says whether requests can be served.
pub(crate) async fn health(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    api.store.ping().await?;
    Ok(HttpResponse::Ok().json(json!({ "status": "ok" })))
}
