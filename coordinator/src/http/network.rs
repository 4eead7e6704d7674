//! `/api/v1/aux` and `/health`.

use super::Api;
use super::problem::Problem;
use super::views::AuxSetView;
use actix_web::{HttpResponse, web};
use serde_json::json;

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
