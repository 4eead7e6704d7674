//! Signings while something new breaks every two seconds.

use super::backend::Backend;
use super::judge::Judge;
use super::link::Way;
use super::site::{Site, UP};
use actix_rt::System;
use mpc::api::SessionState;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// From one fault to the next.
const PAUSE: Duration = Duration::from_secs(2);

/// How long most faults last. Whatever dies in one loses its work; were something else broken all of
/// the time, most sessions would have none to be done in.
const LASTS: Duration = Duration::from_millis(500);

/// One fault of so many is a party that is gone for long, while others go on.
const LONG_ONE_IN: u8 = 8;

/// How many other faults begin until it is back: it is gone for 8 s.
const LONG: u64 = 3;

/// How long a session may take, in seconds.
const LIFE: u64 = 120;

/// A session must have ended so soon behind its deadline, and say so: a second, and another one for
/// each second in which the office may be gone when it comes, on a busy machine.
const PUNCTUALITY: Duration = Duration::from_secs(10);

/// Sessions that run at a time. More of them would share the CPUs for so long that none is done between
/// two faults.
const AT_A_TIME: usize = 2;

/// What breaks.
#[derive(Debug, Clone, Copy)]
enum Fault {
    OfficeKilled,
    OfficeStopped,
    PartyKilled(usize),
    PartyStopped(usize),
    LinkCut(usize),
    LinkSilent(usize, Way),
}

/// What breaks next, by the seed alone.
fn fault(seed: u64, number: u64) -> Fault {
    let hash = Sha256::digest([seed.to_be_bytes(), number.to_be_bytes()].concat());
    let party = usize::from(hash[1]) % 3;
    match hash[0] % 7 {
        0 => Fault::OfficeKilled,
        1 => Fault::OfficeStopped,
        2 => Fault::PartyKilled(party),
        3 => Fault::PartyStopped(party),
        4 => Fault::LinkCut(party),
        5 => Fault::LinkSilent(party, Way::Up),
        _ => Fault::LinkSilent(party, Way::Down),
    }
}

/// Whether the fault of this number lasts long, if it can.
fn is_long(seed: u64, number: u64) -> bool {
    let hash = Sha256::digest([seed.to_be_bytes(), number.to_be_bytes()].concat());
    hash[2] % LONG_ONE_IN == 0
}

impl Fault {
    /// The party that it strikes, if it is one.
    fn party(self) -> Option<usize> {
        match self {
            Self::OfficeKilled | Self::OfficeStopped => None,
            Self::PartyKilled(party)
            | Self::PartyStopped(party)
            | Self::LinkCut(party)
            | Self::LinkSilent(party, _) => Some(party),
        }
    }

    fn strike(self, site: &mut Site) {
        match self {
            Self::OfficeKilled => site.kill_office(),
            Self::OfficeStopped => site.signal_office("-STOP"),
            Self::PartyKilled(party) => site.kill_party(party),
            Self::PartyStopped(party) => site.signal_party(party, "-STOP"),
            Self::LinkCut(party) => site.link(party).cut(),
            Self::LinkSilent(party, way) => site.link(party).silence(way),
        }
    }

    fn mend(self, site: &mut Site) {
        match self {
            Self::OfficeKilled => site.open_office(),
            Self::OfficeStopped => site.signal_office("-CONT"),
            Self::PartyKilled(party) => site.start_party(party),
            Self::PartyStopped(party) => site.signal_party(party, "-CONT"),
            Self::LinkCut(party) | Self::LinkSilent(party, _) => site.link(party).mend(),
        }
    }
}

/// One client after another asks and waits, whatever it hears meanwhile.
async fn sign(site: Rc<RefCell<Site>>, backend: Backend, judge: Rc<RefCell<Judge>>, times: usize) {
    for _ in 0..times {
        let request = site.borrow().request(LIFE);
        let id = backend.place(&request, UP).await;
        let session = backend.end(id, Duration::from_secs(LIFE) + PUNCTUALITY).await;
        if session.state != SessionState::Completed {
            println!("{session:#?}");
        }
        judge.borrow_mut().ended(&request, &session);
    }
}

async fn a_storm(signings: usize) {
    let seed = std::env::var("MPC_SEED").map_or_else(
        |_| uuid::Uuid::now_v7().as_u64_pair().1,
        |seed| seed.parse().expect("MPC_SEED is a number"),
    );
    println!("MPC_SEED={seed}");
    let site = Site::start(3).await;
    let backend = site.backend.clone();
    let (site, judge) = (Rc::new(RefCell::new(site)), Rc::new(RefCell::new(Judge::default())));
    let begun = Instant::now();
    let client = |_| {
        let (site, judge) = (Rc::clone(&site), Rc::clone(&judge));
        actix_rt::spawn(sign(site, backend.clone(), judge, signings / AT_A_TIME))
    };
    let clients: Vec<_> = (0..AT_A_TIME).map(client).collect();
    let signed = async {
        for client in clients {
            client.await.unwrap();
        }
    };
    let faults = async {
        let mut long: Option<(Fault, u64)> = None;
        for number in 0.. {
            let fault = fault(seed, number);
            if let Some((gone, _)) = long.take_if(|(_, until)| *until == number) {
                println!("{:?}: {gone:?} is over", begun.elapsed());
                gone.mend(&mut site.borrow_mut());
            }
            let is_gone = long.is_some_and(|(gone, _)| gone.party() == fault.party());
            if is_gone && fault.party().is_some() {
                // What is gone already cannot break.
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            println!("{:?}: {fault:?}", begun.elapsed());
            fault.strike(&mut site.borrow_mut());
            tokio::time::sleep(LASTS).await;
            if long.is_none() && fault.party().is_some() && is_long(seed, number) {
                long = Some((fault, number + 1 + LONG));
            } else {
                fault.mend(&mut site.borrow_mut());
            }
            tokio::time::sleep(PAUSE - LASTS).await;
        }
    };
    tokio::select! {
        () = signed => {}
        () = faults => {}
    }
    let (sessions, signatures) = judge.borrow().count();
    println!("{sessions} sessions, {signatures} signatures in {:?}", begun.elapsed());
    assert_eq!(sessions, signings);
    // Each fault is a delay. What a busy machine can sign between two of them is its own affair: on
    // an idle one it is everything.
    assert!(2 * signatures >= sessions, "{signatures} of {sessions}");
}

#[test]
fn a_fault_every_2_seconds_and_6_signings() {
    System::new().block_on(a_storm(6));
}

#[test]
#[ignore = "takes many minutes: the full figure"]
fn a_fault_every_2_seconds_and_200_signings() {
    System::new().block_on(a_storm(200));
}
