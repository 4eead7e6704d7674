//! What all parts of a gateway share.

use crate::admission::Admission;
use crate::config::GatewayConfig;
use crate::roster::Roster;
use crate::stats::Stats;
use mpc_wire::Uplink;
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) struct Office {
    pub(crate) config: GatewayConfig,
    pub(crate) roster: Arc<dyn Roster>,
    pub(crate) uplink: mpsc::Sender<Uplink>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) stats: Arc<Stats>,
}
