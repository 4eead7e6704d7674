//! The commits: each changes the facts, or leaves them as they were, and only then is anything said.

use super::activation::check;
use super::{EpochFault, EpochRecord, Refusing};
use crate::audit::notes;
use crate::vault::{Kind, Place, ShareRecord, Vault, VaultError, VaultTransaction};
use mpc_wire::{AccountId, ActivationRefusal, Epoch, EpochPlan, EpochStatement, Verdict};
use std::collections::BTreeMap;

impl Vault {
    /// What the party keeps of an epoch that is not active yet.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn epoch(&self, account: AccountId, epoch: Epoch) -> Result<EpochRecord, VaultError> {
        let record = self.read_record(Kind::Prepared, &account.to_string(), epoch).await?;
        Ok(record.unwrap_or_default())
    }

    /// Every epoch that is not active yet.
    ///
    /// # Errors
    /// [`VaultError`] if one of them cannot be read.
    pub async fn epochs(&self) -> Result<Vec<(Place, EpochRecord)>, VaultError> {
        self.list_records(Kind::Prepared).await
    }

    /// The share that an attempt made, active or not.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn share_of(&self, of: EpochPlan) -> Result<Option<ShareRecord>, VaultError> {
        match self.share(of.account, of.epoch).await? {
            Some(active) => Ok(Some(active).filter(|active| active.plan == of.plan)),
            None => Ok(self.epoch(of.account, of.epoch).await?.share(of.plan).cloned()),
        }
    }

    /// Stores a share beside those of other attempts, and reads it back: the engine has checked it,
    /// with the public shares of all. The statement is for whoever wants to hear it.
    ///
    /// # Errors
    /// [`EpochFault`] if the party has refused the attempt, or there is no room; [`VaultError`] else
    /// if the share cannot be stored.
    pub async fn prepare_share(
        &self,
        account: AccountId,
        epoch: Epoch,
        share: &ShareRecord,
    ) -> Result<EpochStatement, VaultError> {
        let name = account.to_string();
        let of = EpochPlan { account, epoch, plan: share.plan };
        let mut transaction = self.begin().await?;
        let mut record = transaction.open_epoch(account, epoch).await?;
        record.prepare(share)?;
        transaction.put(Kind::Prepared, &name, epoch, &record).await?;
        let back: Option<EpochRecord> = transaction.read(Kind::Prepared, &name, epoch).await?;
        if !back.is_some_and(|back| back.share(share.plan).is_some_and(|back| back.is(share))) {
            return Err(EpochFault::ReadBack.into());
        }
        transaction.enter(notes::share_prepared(of, share.session));
        transaction.commit().await?;
        Ok(self.says(of, Verdict::Stored(share.key())))
    }

    /// Takes note that a share has signed a canary that verified.
    ///
    /// # Errors
    /// [`EpochFault`] if there is no such share, or another one has proven itself before;
    /// [`VaultError`] else if that cannot be stored.
    pub async fn prove_share(&self, of: EpochPlan) -> Result<EpochStatement, VaultError> {
        let EpochPlan { account, epoch, plan } = of;
        let mut transaction = self.begin().await?;
        if let Some(active) = transaction.active(account, epoch).await? {
            transaction.give_up().await?;
            let share = Some(active).filter(|active| active.plan == plan);
            let share = share.ok_or(EpochFault::OtherProven)?;
            return Ok(self.says(of, Verdict::Proven(share.key())));
        }
        let mut record = transaction.open_epoch(account, epoch).await?;
        if record.prove(plan)? {
            transaction.put(Kind::Prepared, &account.to_string(), epoch, &record).await?;
            transaction.enter(notes::share_proven(of));
        }
        transaction.commit().await?;
        let share = record.share(plan).ok_or(EpochFault::NotPrepared)?;
        Ok(self.says(of, Verdict::Proven(share.key())))
    }

    /// What the party has of an attempt that is dead in it, for good: `Stored`, or `Refused`. None if
    /// it has to be silent: it has erased a share, or the epoch is over.
    ///
    /// # Errors
    /// [`VaultError`] if that cannot be read or stored.
    pub async fn attest_share(&self, of: EpochPlan) -> Result<Option<EpochStatement>, VaultError> {
        let EpochPlan { account, epoch, plan } = of;
        if let Some(share) = self.share_of(of).await? {
            return Ok(Some(self.says(of, Verdict::Stored(share.key()))));
        }
        let mut transaction = self.begin().await?;
        let mut record = match transaction.open_epoch(account, epoch).await {
            Ok(record) => record,
            Err(VaultError::Epoch(EpochFault::Active)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let refusing = record.refuse(plan);
        if refusing == Refusing::Now {
            transaction.put(Kind::Prepared, &account.to_string(), epoch, &record).await?;
            transaction.enter(notes::share_refused(of));
            transaction.commit().await?;
        } else {
            transaction.give_up().await?;
        }
        Ok((refusing != Refusing::Never).then(|| self.says(of, Verdict::Refused)))
    }

    /// Erases a prepared share that another holder has refused. Says whether it did.
    ///
    /// # Errors
    /// [`VaultError`] if that cannot be read or stored.
    pub async fn discard_share(&self, refused: &EpochStatement) -> Result<bool, VaultError> {
        let EpochPlan { account, epoch, plan } = refused.of;
        let is_by_another = refused.by != self.party()
            && refused.verdict == Verdict::Refused
            && self
                .epoch(account, epoch)
                .await?
                .share(plan)
                .is_some_and(|share| share.holders.contains(&refused.by))
            && refused.verify().is_ok();
        if !is_by_another {
            return Ok(false);
        }
        let mut transaction = self.begin().await?;
        let mut record = transaction.epoch(account, epoch).await?;
        if !record.discard(plan) {
            transaction.give_up().await?;
            return Ok(false);
        }
        transaction.put(Kind::Prepared, &account.to_string(), epoch, &record).await?;
        transaction.enter(notes::share_discarded(refused));
        transaction.commit().await?;
        Ok(true)
    }

    /// Makes a prepared share the account's active one, if every holder has said `Stored` and
    /// `Proven` of it. In the same commit the floor rises, and older shares and other attempts' are
    /// erased. Doing it again changes nothing. That no statement is signed with a key that its holder
    /// has replaced is for the caller to know.
    ///
    /// # Errors
    /// [`VaultError`] if what is stored cannot be read, or the change not be stored.
    pub async fn activate_share(
        &self,
        of: EpochPlan,
        statements: &[EpochStatement],
    ) -> Result<Result<(), ActivationRefusal>, VaultError> {
        let EpochPlan { account, epoch, plan } = of;
        // Verified before the vault's only connection is taken: a prepared share never changes.
        if self.share(account, epoch).await?.is_none() {
            let record = self.epoch(account, epoch).await?;
            let Some(share) = record.share(plan) else {
                let is_older = self.floor(account).await?.is_some_and(|floor| floor > epoch);
                let refusal = ActivationRefusal::NotPrepared;
                return Ok(Err(if is_older { ActivationRefusal::StaleEpoch } else { refusal }));
            };
            if let Err(refusal) = check(share, of, statements) {
                return Ok(Err(refusal));
            }
        }
        let mut transaction = self.begin().await?;
        let activated = transaction.activate(of).await?;
        match activated {
            Ok(()) => transaction.commit().await?,
            Err(_) => transaction.give_up().await?,
        }
        Ok(activated)
    }

    /// `Stored` of the shares that wait, at most `limit`, behind those up to `behind`; from the first
    /// one again when there are no more.
    pub(crate) async fn waiting(
        &self,
        behind: Option<EpochPlan>,
        limit: usize,
    ) -> Result<Vec<EpochStatement>, VaultError> {
        let mut waiting = BTreeMap::new();
        for (place, record) in self.epochs().await? {
            let account = place.name().parse().map_err(|_| VaultError::Form(place.clone()))?;
            for share in record.shares() {
                let of = EpochPlan { account, epoch: place.epoch(), plan: share.plan };
                waiting.insert(of, share.key());
            }
        }
        let is_new = |of: &EpochPlan| behind.is_none_or(|behind| *of > behind);
        let from_start = !waiting.keys().any(is_new);
        let turn = waiting.into_iter().filter(|(of, _)| from_start || is_new(of)).take(limit);
        Ok(turn.map(|(of, key)| self.says(of, Verdict::Stored(key))).collect())
    }

    fn says(&self, of: EpochPlan, verdict: Verdict) -> EpochStatement {
        EpochStatement::sign(&self.identity(), of, verdict)
    }
}

impl VaultTransaction {
    /// The record of an epoch that may still change: neither it nor a newer one is active.
    async fn open_epoch(
        &mut self,
        account: AccountId,
        epoch: Epoch,
    ) -> Result<EpochRecord, VaultError> {
        let floor: Option<Epoch> = self.read(Kind::Floor, &account.to_string(), Epoch(0)).await?;
        if floor.is_some_and(|floor| floor >= epoch) {
            return Err(EpochFault::Active.into());
        }
        self.epoch(account, epoch).await
    }

    async fn epoch(&mut self, account: AccountId, epoch: Epoch) -> Result<EpochRecord, VaultError> {
        let record = self.read(Kind::Prepared, &account.to_string(), epoch).await?;
        Ok(record.unwrap_or_default())
    }

    async fn active(
        &mut self,
        account: AccountId,
        epoch: Epoch,
    ) -> Result<Option<ShareRecord>, VaultError> {
        self.read(Kind::Share, &account.to_string(), epoch).await
    }

    /// The statements have been checked.
    async fn activate(
        &mut self,
        of: EpochPlan,
    ) -> Result<Result<(), ActivationRefusal>, VaultError> {
        let EpochPlan { account, epoch, plan } = of;
        let name = account.to_string();
        if let Some(active) = self.active(account, epoch).await? {
            let is_this = active.plan == plan;
            return Ok(if is_this { Ok(()) } else { Err(ActivationRefusal::OtherActive) });
        }
        let older: Option<Epoch> = self.read(Kind::Floor, &name, Epoch(0)).await?;
        if older.is_some_and(|floor| floor >= epoch) {
            return Ok(Err(ActivationRefusal::StaleEpoch));
        }
        let record = self.epoch(account, epoch).await?;
        match record.may_prove(plan) {
            Ok(()) => {}
            Err(EpochFault::OtherProven) => return Ok(Err(ActivationRefusal::OtherActive)),
            Err(_) => return Ok(Err(ActivationRefusal::NotPrepared)),
        }
        let Some(share) = record.share(plan) else {
            return Ok(Err(ActivationRefusal::NotPrepared));
        };
        self.put(Kind::Share, &name, epoch, share).await?;
        self.raise_floor(account, epoch).await?;
        self.delete(Kind::Prepared, &name, epoch).await?;
        if let Some(older) = older {
            self.delete(Kind::Share, &name, older).await?;
        }
        self.enter(notes::share_activated(of, older));
        Ok(Ok(()))
    }
}

impl ShareRecord {
    /// Whether the other is this very share.
    fn is(&self, other: &Self) -> bool {
        let Self { session, plan, scheme, threshold, holders, public_key, public_shares, share } =
            self;
        (session, plan, scheme, threshold)
            == (&other.session, &other.plan, &other.scheme, &other.threshold)
            && (holders, public_key, public_shares)
                == (&other.holders, &other.public_key, &other.public_shares)
            && share.expose() == other.share.expose()
    }
}
