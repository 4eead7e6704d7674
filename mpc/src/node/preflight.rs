//! What is refused before anything of a node is on the disk.

use super::data_folder::{MasterKey, VAULT_FILE, label};
use super::known_parties::KnownParties;
use super::{NodeConfig, NodeTls};
use crate::tls::OwnTrust;
use anyhow::Context;
use mpc_wire::Transport;
use std::net::SocketAddr;
use std::path::Path;

/// What a node is told that may not fit its host or its data folder.
#[derive(Debug, Clone, Copy)]
pub struct Preflight<'a> {
    /// The data folder; there need not be one yet.
    pub data: &'a Path,
    /// Where the backend API is to listen.
    pub api: SocketAddr,
    /// Where the gateway is to listen.
    pub gateway: SocketAddr,
    /// How the bytes of both are to travel.
    pub transport: &'a Transport<NodeTls>,
    /// How many parties the node is to run.
    pub parties: usize,
    /// Where the master keys of the parties' vaults come from.
    pub master_key: &'a MasterKey,
}

impl<'a> Preflight<'a> {
    pub(super) fn of(config: &'a NodeConfig) -> Self {
        let NodeConfig { api, gateway, transport, parties, master_key, .. } = config;
        let data = config.data.path();
        Self { data, api: *api, gateway: *gateway, transport, parties: *parties, master_key }
    }

    /// Refuses what would make the start fail, as far as it can be known, and makes nothing.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> anyhow::Result<()> {
        self.transport.check_listener(self.api).context("cannot serve the API")?;
        self.transport.check_listener(self.gateway).context("cannot start the gateway")?;
        self.own_trust()?;
        KnownParties::read(self.data)?.check(self.data, self.parties)?;
        let folders = (1..=self.parties).map(|number| self.data.join(label(number)));
        let new = folders.filter(|folder| !folder.join(VAULT_FILE).exists());
        self.master_key.check_new(new).context("cannot make the vaults of the node's parties")
    }

    /// What the node's own parties trust, if there are any and they speak TLS.
    pub(super) fn own_trust(&self) -> anyhow::Result<Option<OwnTrust>> {
        match self.transport.tls() {
            Some(NodeTls { listener, ca }) if self.parties > 0 => {
                Ok(Some(listener.own_trust(self.gateway.ip(), ca.as_deref())?))
            }
            Some(_) | None => Ok(None),
        }
    }
}
