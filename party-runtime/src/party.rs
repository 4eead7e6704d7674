//! A party as a whole.

use crate::cpu::CpuPool;
use crate::link::GatewayAddress;
use crate::pending_actor::Caller;
use crate::runner::{EngineRunners, Runners};
use crate::supervisor::{Factory, Stop, Submit, Supervisor};
use crate::vault::Vault;
use actix::prelude::*;
use mpc_wire::limits::MAX_LABEL;
use mpc_wire::{AttemptOutcome, Intent, PartyId, SessionRefusal};
use std::rc::Rc;
use tokio::sync::oneshot;

/// What a party needs to know to run.
#[derive(Debug, Clone)]
pub struct PartyConfig {
    /// The gateway's endpoint: `ws://host:port/path`.
    pub gateway_url: String,
    /// The name that the gateway must give; a party refuses another.
    pub server_name: String,
    /// A label for people, at most [`MAX_LABEL`] bytes; may be empty.
    pub label: String,
    /// Where the party's engines run their jobs.
    pub cpu: CpuPool,
}

/// Why a party cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The label is too long.
    #[error("label of {0} bytes; at most {MAX_LABEL} are allowed")]
    Label(usize),
}

/// Why a session that this party asked for has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The coordinator refused it.
    #[error("the coordinator refused the session: {0}")]
    Refused(#[from] SessionRefusal),
    /// It ended without an outcome in this party.
    #[error("the session ended without an outcome in this party")]
    Ended,
    /// The party's actors are being made again; the session, if stored, goes on with them.
    #[error("the party is restarting")]
    Restarting,
}

/// A running party. Its actors live on the arbiter that started it.
#[derive(Debug, Clone)]
pub struct Party {
    id: PartyId,
    supervisor: Addr<Supervisor>,
}

/// A session that the coordinator accepted.
#[derive(Debug)]
pub struct Requested {
    outcome: oneshot::Receiver<AttemptOutcome>,
}

impl Requested {
    /// Waits for the outcome in this party.
    ///
    /// # Errors
    /// [`RequestError::Ended`] if the session ends without one.
    pub async fn outcome(self) -> Result<AttemptOutcome, RequestError> {
        self.outcome.await.map_err(|_| RequestError::Ended)
    }
}

impl Party {
    /// Starts a party with its vault. Must be called inside a running actix system.
    ///
    /// # Errors
    /// [`StartError`] if the configuration cannot be used.
    pub fn start(config: PartyConfig, vault: Vault) -> Result<Self, StartError> {
        let runners = Rc::new(EngineRunners::new(vault.clone(), config.cpu.clone()));
        Self::start_with(config, vault, runners)
    }

    /// As [`Party::start`], with another factory of runners: for tests that want to see launches
    /// without their cryptography.
    ///
    /// # Errors
    /// [`StartError`] if the configuration cannot be used.
    pub fn start_with(
        config: PartyConfig,
        vault: Vault,
        runners: Rc<dyn Runners>,
    ) -> Result<Self, StartError> {
        let PartyConfig { gateway_url: url, server_name, label, cpu: _ } = config;
        if label.len() > MAX_LABEL {
            return Err(StartError::Label(label.len()));
        }
        let id = vault.party();
        let gateway = GatewayAddress { url, server_name };
        let supervisor = Supervisor::new(Factory { vault, runners, gateway, label }).start();
        Ok(Self { id, supervisor })
    }

    /// The party's id.
    pub fn id(&self) -> PartyId {
        self.id
    }

    /// Asks the coordinator for a session. The intent is stored before the request leaves, so it
    /// does not matter when this call returns: the session may have started, and even ended,
    /// before.
    ///
    /// # Errors
    /// [`RequestError`] if the coordinator refuses, or the intent cannot be used.
    pub async fn request_session(&self, intent: Intent) -> Result<Requested, RequestError> {
        let (accepted, answer) = oneshot::channel();
        let (sender, outcome) = oneshot::channel();
        let caller = Caller { accepted: Some(accepted), outcome: sender };
        self.supervisor
            .send(Submit { intent, caller })
            .await
            .map_err(|_| RequestError::Restarting)?
            .map_err(|_| RequestError::Restarting)?;
        answer.await.map_err(|_| RequestError::Ended)??;
        Ok(Requested { outcome })
    }

    /// Stops the party. What it has stored it will take up when it is started again.
    pub async fn stop(self) {
        if let Err(error) = self.supervisor.send(Stop).await {
            tracing::debug!(%error, "the party was stopped before");
        }
    }
}
