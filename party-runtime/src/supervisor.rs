//! Keeps a party's actors alive: makes them by a factory, hears of a death through a drop guard,
//! counts it and answers with fresh actors that begin from the store.

use crate::control::server::ControlSocket;
use crate::control::{ControlAnswer, ControlError};
use crate::dial::GatewayAddress;
use crate::link::{Link, Standing};
use crate::pending_actor::{Caller, Command, Drain, PendingActor, Request, RotateIdentity};
use crate::policy::LivePolicy;
use crate::runner::Runners;
use crate::vault::{RotateIdentityError, Vault};
use actix::prelude::*;
use mpc_wire::{Intent, ProvenKey};
use std::rc::Rc;
use std::time::Duration;

/// Pause before fresh actors are made, so that a store which stays away is not hammered.
const RESTART_PAUSE: Duration = Duration::from_millis(250);

/// Says that its actor is gone, however that came.
pub(crate) struct DeathNotice {
    supervisor: Recipient<Death>,
    generation: u64,
}

/// An actor of this generation is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Death {
    generation: u64,
    panicked: bool,
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        let death = Death { generation: self.generation, panicked: std::thread::panicking() };
        if let Err(error) = self.supervisor.try_send(death) {
            tracing::debug!(%error, "an actor ended after its supervisor");
        }
    }
}

/// Makes the party's actors.
pub(crate) struct Factory {
    pub(crate) vault: Vault,
    pub(crate) policy: LivePolicy,
    pub(crate) runners: Rc<dyn Runners>,
    pub(crate) gateway: GatewayAddress,
    pub(crate) standing: Standing,
}

/// The supervisor of one party.
pub(crate) struct Supervisor {
    factory: Factory,
    /// Until it is served.
    control: Option<ControlSocket>,
    family: Option<Family>,
    generation: u64,
    deaths: u64,
}

/// The actors of one generation. The link serves one pending actor and goes with it.
struct Family {
    pending: Addr<PendingActor>,
    link: Addr<Link>,
}

impl Supervisor {
    pub(crate) fn new(factory: Factory, control: Option<ControlSocket>) -> Self {
        Self { factory, control, family: None, generation: 0, deaths: 0 }
    }

    fn make_family(&mut self, ctx: &mut Context<Self>) {
        self.generation += 1;
        let notice =
            || DeathNotice { supervisor: ctx.address().recipient(), generation: self.generation };
        let Factory { vault, policy, runners, gateway, standing } = &self.factory;
        let pending =
            PendingActor::new(vault.clone(), policy.clone(), Rc::clone(runners), notice()).start();
        let link =
            Link::new(gateway.clone(), standing.clone(), vault.clone(), pending.clone(), notice())
                .start();
        self.family = Some(Family { pending, link });
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.make_family(ctx);
        if let Some(socket) = self.control.take() {
            let me = ctx.address();
            // Lives in this actor: it is gone, and its file with it, when the party has stopped.
            let serve = socket.serve(move |request, person| {
                let me = me.clone();
                Box::pin(async move {
                    let answer = me.send(Command { request, person }).await;
                    answer.unwrap_or_else(|_| ControlAnswer::refused(ControlError::Restarting))
                })
            });
            ctx.spawn(serve.into_actor(self));
        }
    }
}

impl Handler<Command> for Supervisor {
    type Result = ResponseFuture<ControlAnswer>;

    fn handle(&mut self, command: Command, _: &mut Self::Context) -> Self::Result {
        let pending = self.family.as_ref().map(|family| family.pending.clone());
        Box::pin(async move {
            let restarting = || ControlAnswer::refused(ControlError::Restarting);
            let Some(pending) = pending else { return restarting() };
            pending.send(command).await.unwrap_or_else(|_| restarting())
        })
    }
}

impl Handler<Death> for Supervisor {
    type Result = ();

    fn handle(&mut self, death: Death, ctx: &mut Self::Context) {
        if death.generation != self.generation {
            return;
        }
        self.deaths += 1;
        let (party, deaths) = (self.factory.vault.party(), self.deaths);
        tracing::error!(%party, panicked = death.panicked, deaths, "an actor of the party died");
        // The other one of the two goes with it; its own notice is of an old generation then.
        self.generation += 1;
        if let Some(Family { pending, link }) = self.family.take() {
            let link = link.try_send(crate::link::Stop).is_ok();
            let pending = pending.try_send(crate::pending_actor::Stop).is_ok();
            tracing::debug!(link, pending, "what was left of the party's actors was stopped");
        }
        ctx.run_later(RESTART_PAUSE, Self::make_family);
    }
}

impl Handler<Drain> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Drain: Drain, _: &mut Self::Context) -> Self::Result {
        let pending = self.family.as_ref().map(|family| family.pending.clone());
        Box::pin(async move {
            if let Some(pending) = pending
                && let Err(error) = pending.send(Drain).await
            {
                tracing::warn!(%error, "the party's actors died while they were to drain");
            }
        })
    }
}

/// Ends the party's actors.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

impl Handler<Stop> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) -> Self::Result {
        let family = self.family.take();
        ctx.stop();
        Box::pin(async move {
            let Some(Family { pending, link }) = family else { return };
            // The link first: what it would still bring in nobody will answer.
            let link = link.send(crate::link::Stop).await;
            let pending = pending.send(crate::pending_actor::Stop).await;
            if link.is_err() || pending.is_err() {
                tracing::debug!("an actor of the party was gone before its stop");
            }
        })
    }
}

impl Handler<RotateIdentity> for Supervisor {
    type Result = ResponseFuture<Result<ProvenKey, RotateIdentityError>>;

    fn handle(&mut self, _: RotateIdentity, _: &mut Self::Context) -> Self::Result {
        let pending = self.family.as_ref().map(|family| family.pending.clone());
        let vault = self.factory.vault.clone();
        Box::pin(async move {
            if let Some(pending) = pending
                && let Ok(rotated) = pending.send(RotateIdentity).await
            {
                return rotated;
            }
            // The actors are being made again, and take the newest key from the vault. If the one
            // that was asked has died over it, the party may have two new keys in a row.
            Ok(vault.rotate_identity().await?.proven_key())
        })
    }
}

/// A local caller wants a session.
#[derive(Message)]
#[rtype(result = "Result<(), NotRunning>")]
pub(crate) struct Submit {
    pub(crate) intent: Intent,
    pub(crate) caller: Caller,
}

/// The party's actors are being made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotRunning;

impl Handler<Submit> for Supervisor {
    type Result = ResponseFuture<Result<(), NotRunning>>;

    fn handle(&mut self, Submit { intent, caller }: Submit, _: &mut Self::Context) -> Self::Result {
        let pending = self.family.as_ref().map(|family| family.pending.clone());
        Box::pin(async move {
            let pending = pending.ok_or(NotRunning)?;
            pending.send(Request { intent, caller }).await.map_err(|_| NotRunning)
        })
    }
}
