//! A party as a whole.

use crate::control::server::ControlSocket;
pub use crate::control::server::ControlSocketError;
use crate::cpu::CpuPool;
use crate::dial::{AddressError, GatewayAddress, LinkTls};
use crate::link::Standing;
use crate::pending_actor::{Caller, Drain, RotateIdentity};
use crate::policy::LivePolicy;
use crate::runner::{EngineRunners, Runners};
use crate::standing::{LinkStatus, Pass};
use crate::supervisor::{Factory, Stop, Submit, Supervisor};
use crate::vault::{RotateIdentityError, Vault};
use actix::prelude::*;
use mpc_wire::limits::MAX_LABEL;
use mpc_wire::{
    AttemptOutcome, DeclineReason, EnrolmentToken, Intent, PartyId, ProvenKey, SessionRefusal,
    Transport,
};
use std::path::PathBuf;
use std::rc::Rc;
use tokio::sync::{oneshot, watch};

/// What a party needs to know to run.
#[derive(Debug, Clone)]
pub struct PartyConfig {
    /// The gateway's endpoint: `ws://host:port/path`, or `wss://` over TLS.
    pub gateway_url: String,
    /// How the bytes to it travel.
    pub transport: Transport<LinkTls>,
    /// The name that the gateway must give; a party refuses another.
    pub server_name: String,
    /// A label for people, at most [`MAX_LABEL`] bytes; may be empty.
    pub label: String,
    /// Lets the party in if it is not registered. It is shown until the party is welcomed for the
    /// first time, and forgotten then.
    pub enrolment_token: Option<EnrolmentToken>,
    /// Where the party's engines run their jobs.
    pub cpu: CpuPool,
    /// What the party takes part in.
    pub policy: LivePolicy,
    /// Where the party listens to its own people: see [`crate::control`]. Without it they can
    /// neither approve nor refuse.
    pub control: Option<PathBuf>,
}

impl PartyConfig {
    /// Refuses what no party can start with, before anything is made for one.
    ///
    /// # Errors
    /// [`StartError`] but for its control socket, which takes a folder.
    pub fn check(&self) -> Result<(), StartError> {
        self.gateway().map(drop)
    }

    fn gateway(&self) -> Result<GatewayAddress, StartError> {
        if self.label.len() > MAX_LABEL {
            return Err(StartError::Label(self.label.len()));
        }
        let (transport, name) = (self.transport.clone(), self.server_name.clone());
        Ok(GatewayAddress::new(&self.gateway_url, transport, name)?)
    }
}

/// Why a party cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The label is too long.
    #[error("label of {0} bytes; at most {MAX_LABEL} are allowed")]
    Label(usize),
    /// The gateway's address cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The control socket cannot be made.
    #[error(transparent)]
    Control(#[from] ControlSocketError),
}

/// Why a session that this party asked for has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The coordinator refused it.
    #[error("the coordinator refused the session: {0}")]
    Refused(#[from] SessionRefusal),
    /// This party does not take part itself: nobody was asked.
    #[error("this party does not take part in the session: {0}")]
    Declined(DeclineReason),
    /// It ended without an outcome in this party.
    #[error("the session ended without an outcome in this party")]
    Ended,
    /// The party's actors are being made again; the session, if stored, goes on with them.
    #[error("the party is restarting")]
    Restarting,
}

/// Why the key of a running party was not rotated. It goes on with its old one then.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The vault refuses.
    #[error(transparent)]
    Vault(#[from] RotateIdentityError),
    /// The party has stopped; whether its vault has a new key shows when it is started again.
    #[error("the party has stopped")]
    Stopped,
}

/// A running party. Its actors live on the arbiter that started it.
#[derive(Debug, Clone)]
pub struct Party {
    id: PartyId,
    supervisor: Addr<Supervisor>,
    status: watch::Receiver<LinkStatus>,
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
        let gateway = config.gateway()?;
        let PartyConfig { label, enrolment_token, policy, control, .. } = config;
        let id = vault.party();
        let control = control.as_deref().map(ControlSocket::bind).transpose()?;
        let (told, status) = watch::channel(LinkStatus::Down);
        let standing = Standing { label, pass: Pass::new(enrolment_token), status: told };
        let factory = Factory { vault, policy, runners, gateway, standing };
        let supervisor = Supervisor::new(factory, control).start();
        Ok(Self { id, supervisor, status })
    }

    /// The party's id.
    pub fn id(&self) -> PartyId {
        self.id
    }

    /// How the party stands to its gateway, and every change of that.
    pub fn status(&self) -> watch::Receiver<LinkStatus> {
        self.status.clone()
    }

    /// Gives the party a new key, which the present one vouches for. The new key is durable before
    /// this returns; the party reconnects with it at once, and what it joins from here on is signed
    /// with it. Attempts under way may end, or fail with the connection and be tried again.
    ///
    /// Every backup from before holds the old key only: make a new one.
    ///
    /// # Errors
    /// [`RotateError`]; the party goes on with its old key then.
    pub async fn rotate_identity(&self) -> Result<ProvenKey, RotateError> {
        let rotated = self.supervisor.send(RotateIdentity).await;
        Ok(rotated.map_err(|_| RotateError::Stopped)??)
    }

    /// Asks the coordinator for a session. The intent is stored before the request leaves, so it
    /// does not matter when this call returns: the session may have started, and even ended,
    /// before.
    ///
    /// The caller is one of the party's own people: no requester's signature, approval or hours are
    /// asked for. The party's own records, its quarantine and bans, its limits, and that a request is
    /// good for one session, hold all the same.
    ///
    /// # Errors
    /// [`RequestError`] if this party or the coordinator refuses, or the intent cannot be used.
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

    /// Has the party take up nothing new, and waits until the attempts under way have ended: at
    /// most five seconds. To be followed by [`Self::stop`].
    pub async fn drain(&self) {
        if let Err(error) = self.supervisor.send(Drain).await {
            tracing::debug!(%error, "the party was stopped before");
        }
    }

    /// Stops the party at once. What it has stored it will take up when it is started again.
    pub async fn stop(self) {
        if let Err(error) = self.supervisor.send(Stop).await {
            tracing::debug!(%error, "the party was stopped before");
        }
    }
}
