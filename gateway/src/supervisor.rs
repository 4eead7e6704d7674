//! Keeps a router alive. A dead one is never revived: its connections are cut, the parties come
//! back to a fresh one, and what the coordinator was told is carried over, so that those who do
//! not come back are reported as gone.

use crate::office::Office;
use crate::presence::Presence;
use crate::router::{Ending, Route, Router};
use actix::Addr;
use mpc_wire::Downlink;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};

/// Replaces every router that dies, until one finishes.
pub(crate) async fn supervise(
    office: Arc<Office>,
    current: watch::Sender<Addr<Router>>,
    mut ending: oneshot::Receiver<Ending>,
) {
    loop {
        let presence = match ending.await {
            Ok(Ending::Finished) => return,
            Ok(Ending::Died(presence)) => presence,
            // The will is sent before the router is gone; without it there is nothing to inherit.
            Err(_) => Presence::default(),
        };
        office.stats.panics.increment();
        tracing::error!("the router died; every connection is cut and a new router starts");
        let (router, next) = Router::launch(Arc::clone(&office), presence);
        current.send_replace(router);
        // After the new address is out: who joins the dead router from here on fails by itself.
        office.admission.cut_all(Instant::now());
        ending = next;
    }
}

/// Hands what comes down to the router, one message after the other, so that the coordinator's
/// bounded channel fills when the router is busy.
pub(crate) async fn pump(
    office: Arc<Office>,
    router: watch::Receiver<Addr<Router>>,
    mut downlink: mpsc::Receiver<Downlink>,
) {
    while let Some(message) = downlink.recv().await {
        let current = router.borrow().clone();
        if current.send(Route(message)).await.is_err() {
            tracing::debug!("no router to route a message");
            office.stats.undeliverable.increment();
        }
    }
    tracing::debug!("the coordinator sends nothing any more");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;
    use crate::config::GatewayConfig;
    use crate::link::ConnectionId;
    use crate::roster::{Admission as Decision, Answer, Claim, Roster};
    use crate::router::Finish;
    use actix::{Context, Handler, Message};
    use mpc_wire::{PartyId, ProvenKey, Uplink};
    use std::time::Duration;
    use tokio::time::timeout;

    /// Makes a router die as a bug in it would.
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Crash;

    impl Handler<Crash> for Router {
        type Result = ();

        fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
            panic!("a bug in the router");
        }
    }

    struct Nobody;

    impl Roster for Nobody {
        fn admit(&self, _: Claim) -> Answer<'_> {
            Box::pin(async { Ok(Decision::NotEnrolled) })
        }

        fn confirm(&self, _: PartyId, _: ProvenKey) -> Answer<'_> {
            Box::pin(async { Ok(Decision::NotEnrolled) })
        }
    }

    #[actix_rt::test]
    async fn a_dead_router_is_replaced_and_its_parties_are_reported_gone() {
        let (uplink, mut reports) = mpsc::channel(1);
        let config = GatewayConfig::new(([127, 0, 0, 1], 0).into(), "test");
        let office = Arc::new(Office {
            admission: Arc::new(Admission::new(&config, Arc::default())),
            stats: Arc::default(),
            config,
            roster: Arc::new(Nobody),
            uplink,
        });
        // The coordinator knows of a party, and there is no room to tell it more for now.
        let party = PartyId::new([1; 32]);
        let mut presence = Presence::default();
        presence.touch(party);
        presence.next(|_| Some(ConnectionId(1)));
        let blocker = office.uplink.clone().reserve_owned().await.unwrap();
        let (first, ending) = Router::launch(Arc::clone(&office), presence);
        let (current, mut watched) = watch::channel(first.clone());
        let supervisor = actix_rt::spawn(supervise(Arc::clone(&office), current, ending));

        first.send(Crash).await.unwrap_err();

        watched.changed().await.unwrap();
        drop(blocker);
        let report = timeout(Duration::from_secs(10), reports.recv());
        assert_eq!(report.await.unwrap(), Some(Uplink::Offline { party }));
        assert_eq!(office.stats.panics.value(), 1);
        let second = watched.borrow().clone();
        second.send(Finish).await.unwrap();
        supervisor.await.unwrap();
    }
}
