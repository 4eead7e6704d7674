//! A database that cannot be written: locked by somebody else, or on a full disk.

use super::backend::{Answer, Request};
use super::judge::Judge;
use super::site::{Disk, OFFICE, Setting, Site, UP, disks_can_be_small};
use actix_rt::System;
use mpc_wire::SessionId;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// By when a request must have an answer while nothing can be stored.
const ANSWER: Duration = Duration::from_secs(2);

/// By when requests must be taken again once something can.
const RECOVERY: Duration = Duration::from_secs(5);

/// The pause between two requests of a backend that goes on asking.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a session may take, in seconds.
const LIFE: u64 = 120;

/// Somebody who holds a database's write lock.
struct Locked(DatabaseConnection);

impl Locked {
    async fn new(database: &Path) -> Self {
        let held = Database::connect(format!("sqlite://{}", database.display())).await.unwrap();
        held.execute_unprepared("PRAGMA busy_timeout = 30000; BEGIN IMMEDIATE").await.unwrap();
        Self(held)
    }

    async fn release(self) {
        self.0.execute_unprepared("ROLLBACK").await.unwrap();
        self.0.close().await.unwrap();
    }
}

/// Sessions that were taken.
type Taken = Vec<(Request, SessionId)>;

/// Asks again and again while something cannot be stored: each time there is an answer in time.
/// Returns what was taken all the same, and how many requests were refused.
async fn ask_meanwhile(site: &Site, lasting: Duration) -> (Taken, usize) {
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    let (mut taken, mut refused) = (Taken::new(), 0);
    while begun.elapsed() < lasting {
        let request = site.request(LIFE);
        let asking = Instant::now();
        match site.backend.ask(&request).await {
            Answer::Refused(problem) => {
                assert_eq!((problem.status, &*problem.code), (503, "store_unavailable"));
                refused += 1;
            }
            Answer::Session(session) => taken.push((request, session.session_id)),
            Answer::None(error) => panic!("{error}"),
        }
        slowest = slowest.max(asking.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    println!("{refused} refused, {} taken, the slowest after {slowest:?}", taken.len());
    assert!(slowest < ANSWER, "{slowest:?}");
    (taken, refused)
}

/// What was taken before and during the trouble ends well, and so does a new session, soon.
async fn all_is_well_again(site: &Site, taken: &Taken) {
    let mut judge = Judge::default();
    let since = Instant::now();
    let request = site.request(LIFE);
    let id = site.backend.place(&request, RECOVERY).await;
    println!("a request was taken again after {:?}", since.elapsed());
    judge.completed(&request, &site.backend.end(id, UP).await);
    for (request, id) in taken {
        judge.completed(request, &site.backend.end(*id, UP).await);
        judge.replayed(&site.backend, request, *id).await;
    }
}

async fn the_database_is_locked(lasting: Duration) {
    let site = Site::start(3).await;
    let process = site.office_id();
    let request = site.request(LIFE);
    let id = site.backend.place(&request, UP).await;
    let locked = Locked::new(&site.data.path().join(OFFICE).join("coordinator.sqlite")).await;
    let (taken, refused) = ask_meanwhile(&site, lasting).await;
    assert!(taken.is_empty() && refused > 0, "{taken:?}");
    locked.release().await;
    all_is_well_again(&site, &vec![(request, id)]).await;
    assert_eq!(site.office_id(), process);
}

#[test]
fn row_22_the_coordinators_database_is_locked_for_6_seconds() {
    System::new().block_on(the_database_is_locked(Duration::from_secs(6)));
}

#[test]
#[ignore = "the full figure of row 22"]
fn row_22_the_coordinators_database_is_locked_for_60_seconds() {
    System::new().block_on(the_database_is_locked(Duration::from_secs(60)));
}

/// While a party cannot write, others take its place; then it is back without a restart, where
/// nobody could take its place.
async fn is_missed_and_comes_back<T>(
    site: &Site,
    party: usize,
    trouble: T,
    end: impl AsyncFnOnce(T),
) {
    let mut judge = Judge::default();
    let process = site.party_process(party);
    for _ in 0..3 {
        let request = site.request(LIFE);
        let id = site.backend.place(&request, UP).await;
        judge.completed(&request, &site.backend.end(id, UP).await);
    }
    end(trouble).await;
    site.backend.await_parties(3, UP).await;
    let other = (party + 1) % 3;
    site.link(other).cut();
    site.backend.await_parties(2, UP).await;
    let request = site.request(LIFE);
    let id = site.backend.place(&request, UP).await;
    let session = site.backend.end(id, UP).await;
    judge.completed(&request, &session);
    assert!(session.signers.contains(&site.party(party)), "{session:#?}");
    assert_eq!(site.party_process(party), process);
}

#[test]
fn row_22_a_partys_vault_is_locked() {
    System::new().block_on(async {
        let site = Site::start(3).await;
        let locked = Locked::new(&site.party_disk(0).join("vault.sqlite")).await;
        is_missed_and_comes_back(&site, 0, locked, Locked::release).await;
    });
}

#[test]
fn row_22_a_partys_disk_is_full() {
    if !disks_can_be_small() {
        return;
    }
    System::new().block_on(async {
        let party_disks = [Disk::Small, Disk::Large, Disk::Large];
        let setting = Setting { party_disks, ..Setting::default() };
        let site = Site::start_as(setting, 3).await;
        let filler = Filler::fill(&site.party_disk(0));
        is_missed_and_comes_back(&site, 0, filler, async |filler| drop(filler)).await;
    });
}

/// Fills a disk to the last byte; what was written is removed when dropped.
struct Filler(std::path::PathBuf);

impl Filler {
    fn fill(folder: &Path) -> Self {
        let path = folder.join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            let bytes = vec![0; size];
            loop {
                match file.write_all(&bytes) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn row_22_the_coordinators_disk_is_full() {
    if !disks_can_be_small() {
        return;
    }
    System::new().block_on(async {
        let setting = Setting { office_disk: Disk::Small, ..Setting::default() };
        let site = Site::start_as(setting, 3).await;
        let process = site.office_id();
        let request = site.request(LIFE);
        let id = site.backend.place(&request, UP).await;
        let filler = Filler::fill(&site.office_disk());
        // What SQLite has allocated before still serves it: not every request is refused.
        let (mut taken, refused) = ask_meanwhile(&site, Duration::from_secs(6)).await;
        assert!(refused > 0);
        drop(filler);
        taken.push((request, id));
        all_is_well_again(&site, &taken).await;
        assert_eq!(site.office_id(), process);
    });
}
