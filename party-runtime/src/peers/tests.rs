use super::*;
use crate::KeySource;
use crate::quarantine::{BackedUpShare, RestoreMode};
use mpc_engine::SecretBytes;
use mpc_wire::{
    Identity, PlanHash, PublicKey, Scheme, SessionId, SharesHash, Threshold, UnixMillis,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

async fn vault(folder: &TempDir, name: &str) -> Vault {
    let key = KeySource::Hex(Zeroizing::new("1".repeat(64)));
    Vault::create(&folder.path().join(name), &key).await.unwrap()
}

fn share(holders: BTreeSet<PartyId>) -> ShareRecord {
    ShareRecord {
        session: SessionId::generate(),
        plan: PlanHash::new([0x91; 32]),
        public_shares: SharesHash::new([0x92; 32]),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
        holders,
        public_key: PublicKey::new([2; 33]),
        share: SecretBytes::new(vec![7; 32]),
    }
}

/// A restored party, two peers, and an account of the three.
struct World {
    _folder: TempDir,
    restored: Vault,
    peers: [Vault; 2],
    account: AccountId,
    quarantine: Quarantine,
}

/// What the peers have of the account.
#[derive(Clone, Copy)]
enum Held {
    Active,
    Prepared,
}

impl World {
    async fn new() -> Self {
        Self::with(Held::Active).await
    }

    async fn with(held: Held) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let restored = vault(&folder, "restored.sqlite").await;
        let peers = [vault(&folder, "one.sqlite").await, vault(&folder, "two.sqlite").await];
        let account = AccountId::generate();
        let others: BTreeSet<_> = peers.iter().map(Vault::party).collect();
        let mut holders = others.clone();
        holders.insert(restored.party());
        for peer in &peers {
            let share = share(holders.clone());
            match held {
                Held::Active => peer.store_share(account, Epoch(1), &share).await.unwrap(),
                Held::Prepared => {
                    peer.prepare_share(account, Epoch(1), &share).await.unwrap();
                }
            }
        }
        let quarantine = Quarantine::default();
        quarantine.set(Some(Restoration::new(
            RestoreMode::Quarantined,
            UnixMillis(1),
            UnixMillis(2),
            [BackedUpShare { account, epoch: Epoch(1), threshold: 2, others }],
        )));
        Self { _folder: folder, restored, peers, account, quarantine }
    }

    fn ask(&self) -> Inquiry {
        let restoration = self.quarantine.current().unwrap();
        let mut inquiries = inquiries(&self.restored, &restoration);
        assert_eq!(inquiries.len(), 1);
        inquiries.remove(0)
    }

    async fn hear(&self, asked: &Inquiry, testimony: &Testimony) -> Heard {
        let nonces = BTreeSet::from([asked.nonce]);
        let me = self.restored.party();
        match Answer::check(me, &self.quarantine, &nonces, testimony.clone()) {
            Some(answer) => hear(&self.restored, &self.quarantine, &answer).await.unwrap().0,
            None => Heard::default(),
        }
    }
}

#[tokio::test]
async fn two_peers_release_the_account_and_that_is_durable() {
    let world = World::new().await;
    let asked = world.ask();
    for peer in &world.peers {
        let testimony = testify(peer, &asked).await.unwrap().unwrap();
        world.hear(&asked, &testimony).await;
    }
    assert!(world.quarantine.current().unwrap().confined().is_empty());
    let stored = restoration(&world.restored).await.unwrap();
    assert_eq!(stored, world.quarantine.current());
}

/// Else an account whose holder was restored on its way would never become active.
#[tokio::test]
async fn peers_whose_shares_wait_testify_too() {
    let world = World::with(Held::Prepared).await;
    let asked = world.ask();
    for peer in &world.peers {
        assert!(fellow_holders(peer).await.unwrap().contains(&world.restored.party()));
        let testimony = testify(peer, &asked).await.unwrap().unwrap();
        assert_eq!(testimony.floors, BTreeMap::from([(world.account, Epoch(1))]));
        world.hear(&asked, &testimony).await;
    }
    assert!(world.quarantine.current().unwrap().confined().is_empty());
}

#[tokio::test]
async fn only_fresh_answers_of_the_peers_themselves_are_heard() {
    let world = World::new().await;
    let old = world.ask();
    let stale = testify(&world.peers[0], &old).await.unwrap().unwrap();
    let asked = world.ask();
    assert_eq!(world.hear(&asked, &stale).await, Heard::default(), "answers an old question");

    let honest = testify(&world.peers[0], &asked).await.unwrap().unwrap();
    let floors = honest.floors.clone();
    let stranger = Identity::generate();
    let by_stranger = Testimony::sign(&stranger, &asked, floors.clone(), Vec::new());
    let in_its_name = Testimony { by: world.peers[1].party(), ..by_stranger.clone() };
    let to_another = Testimony { to: stranger.party(), ..honest.clone() };
    let mut raised = honest.clone();
    raised.floors.insert(world.account, Epoch(9));
    for forged in [by_stranger, in_its_name, to_another, raised] {
        let heard = world.hear(&asked, &forged).await;
        assert!(!heard.is_news, "{forged:?}");
    }
    // One peer, however often it is heard, is one peer.
    for _ in 0..3 {
        world.hear(&asked, &honest).await;
    }
    assert_eq!(world.quarantine.current().unwrap().confined().len(), 1);
}

#[tokio::test]
async fn nobody_is_told_of_accounts_that_it_has_no_share_of() {
    let world = World::new().await;
    let curious = Identity::generate();
    let accounts = BTreeSet::from([world.account]);
    let inquiry = Inquiry::sign(&curious, Nonce::generate(), accounts.clone());
    assert_eq!(testify(&world.peers[0], &inquiry).await.unwrap(), None);
    // Nor in another's name.
    let forged = Inquiry { by: world.restored.party(), ..inquiry };
    assert_eq!(testify(&world.peers[0], &forged).await.unwrap(), None);
}

#[tokio::test]
async fn own_bans_come_back_and_invented_ones_do_not() {
    let world = World::new().await;
    let cheater = Identity::generate().party();
    let ban = SignedBan::sign(&world.restored.identity(), cheater);
    keep_ban(&world.peers[0], &ban).await.unwrap();
    let asked = world.ask();
    let told = testify(&world.peers[0], &asked).await.unwrap().unwrap();
    assert_eq!(told.bans.as_slice(), std::slice::from_ref(&ban));

    // A peer that invents a ban cannot sign it.
    let victim = world.peers[1].party();
    let invented = SignedBan { banned: victim, ..ban };
    let lie = Testimony::sign(
        &world.peers[0].identity(),
        &asked,
        BTreeMap::new(),
        vec![invented, told.bans[0].clone()],
    );
    world.hear(&asked, &lie).await;
    let own = bans::own(&world.restored).await.unwrap();
    assert_eq!(bans::banned(&own), BTreeSet::from([cheater]));
}

#[tokio::test]
async fn a_lying_holder_can_neither_raise_a_floor_nor_spread_its_lie() {
    let world = World::new().await;
    let asked = world.ask();
    let floors = BTreeMap::from([(world.account, Epoch(u32::MAX))]);
    let lie = Testimony::sign(&world.peers[0].identity(), &asked, floors, Vec::new());
    assert_eq!(world.hear(&asked, &lie).await.stale.len(), 1);
    assert_eq!(world.restored.floor(world.account).await.unwrap(), None);

    // The liar thinks again, or is outvoted: the account is released.
    let asked = world.ask();
    for peer in &world.peers {
        let testimony = testify(peer, &asked).await.unwrap().unwrap();
        assert_eq!(testimony.floors[&world.account], Epoch(1));
        world.hear(&asked, &testimony).await;
    }
    assert!(world.quarantine.current().unwrap().confined().is_empty());
}

#[tokio::test]
async fn only_bans_by_their_makers_are_kept() {
    let world = World::new().await;
    let me = &world.peers[0];
    let fellow = world.restored.party();
    let stranger = Identity::generate();
    let ban = SignedBan::sign(&stranger, fellow);
    let forged = SignedBan { by: fellow, ..ban };
    keep_ban(me, &forged).await.unwrap();
    assert!(bans::made_by(me, fellow).await.unwrap().is_empty());
    let fellows = fellow_holders(me).await.unwrap();
    assert!(fellows.contains(&fellow) && !fellows.contains(&stranger.party()));
}
