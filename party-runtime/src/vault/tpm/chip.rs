//! The conversation with the TPM.

use super::{Blob, BlobForm, PcrSlots, TpmError};
use std::str::FromStr;
use tss_esapi::attributes::{ObjectAttributesBuilder, SessionAttributesBuilder};
use tss_esapi::constants::{SessionType, Tss2ResponseCodeKind};
use tss_esapi::handles::KeyHandle;
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    Digest, EccPoint, KeyedHashScheme, PcrSelectionList, PcrSlot, Private, Public, PublicBuffer,
    PublicBuilder, PublicEccParametersBuilder, PublicKeyedHashParameters, SensitiveData,
    SymmetricDefinition, SymmetricDefinitionObject,
};
use tss_esapi::traits::{Marshall, UnMarshall};
use tss_esapi::{Context, TctiNameConf};
use zeroize::Zeroizing;

/// What ends at the TPM: an error of the library, and the step that it stopped.
type Step<T> = Result<T, TpmError>;

/// A TPM that answers, with the primary key that everything is sealed under. What was loaded is
/// flushed when this is dropped.
pub(super) struct Chip {
    context: Context,
    primary: KeyHandle,
}

impl Chip {
    pub(super) fn open(address: &str) -> Step<Self> {
        let conf =
            TctiNameConf::from_str(address).map_err(|_| TpmError::Address(address.to_owned()))?;
        let mut context = Context::new(conf).map_err(|_| TpmError::NoTpm(address.to_owned()))?;
        let template = primary_template().map_err(refused("describe the primary key"))?;
        let primary = context
            .execute_with_nullauth_session(|context| {
                context.create_primary(Hierarchy::Owner, template, None, None, None, None)
            })
            .map_err(refused("make the primary key of the storage hierarchy"))?
            .key_handle;
        Ok(Self { context, primary })
    }

    /// Seals a key to this TPM, and to the present values of the PCRs.
    pub(super) fn seal(&mut self, key: &[u8; 32], pcrs: &PcrSlots) -> Step<Blob> {
        let policy = match selection(pcrs)? {
            Some(selection) => Some(self.policy_of(selection)?),
            None => None,
        };
        let template = sealed_template(policy).map_err(refused("describe the sealed key"))?;
        let secret = SensitiveData::try_from(key.as_slice()).map_err(refused("take the key"))?;
        let session = self.session(SessionType::Hmac, Hidden::BothWays)?;
        let primary = self.primary;
        let made = self
            .context
            .execute_with_session(Some(session), |context| {
                context.create(primary, template, None, Some(secret), None, None)
            })
            .map_err(refused("seal the key"))?;
        let public = PublicBuffer::try_from(made.out_public)
            .and_then(|public| public.marshall())
            .map_err(refused("hand over the sealed key"))?;
        Ok(Blob {
            form: BlobForm::V1,
            pcrs: pcrs.clone(),
            public: hex::encode(public),
            private: hex::encode(sized(made.out_private.value())),
        })
    }

    /// The key in a blob.
    pub(super) fn unseal(&mut self, blob: &Blob) -> Step<Zeroizing<[u8; 32]>> {
        let (public, private) = parts(blob).ok_or(TpmError::ForeignBlob)?;
        let primary = self.primary;
        let loaded = self
            .context
            .execute_with_nullauth_session(|context| context.load(primary, private, public))
            .map_err(|error| match kind(&error) {
                // Integrity: not sealed under this primary key. The others: not even of that form.
                Some(
                    Tss2ResponseCodeKind::Integrity
                    | Tss2ResponseCodeKind::Size
                    | Tss2ResponseCodeKind::Value
                    | Tss2ResponseCodeKind::Insufficient
                    | Tss2ResponseCodeKind::Attributes
                    | Tss2ResponseCodeKind::Type
                    | Tss2ResponseCodeKind::Binding,
                ) => TpmError::ForeignBlob,
                _ => refused("load the blob")(error),
            })?;
        let session = match selection(&blob.pcrs)? {
            Some(selection) => {
                let session = self.session(SessionType::Policy, Hidden::Answers)?;
                let policy = policy_session(session)?;
                self.context
                    .policy_pcr(policy, Digest::default(), selection)
                    .map_err(refused("look at the PCRs"))?;
                session
            }
            None => self.session(SessionType::Hmac, Hidden::Answers)?,
        };
        let data = self
            .context
            .execute_with_session(Some(session), |context| context.unseal(loaded.into()))
            .map_err(|error| match kind(&error) {
                Some(Tss2ResponseCodeKind::PolicyFail | Tss2ResponseCodeKind::PcrChanged) => {
                    TpmError::PcrsChanged(blob.pcrs.clone())
                }
                _ => refused("unseal the key")(error),
            })?;
        data.value().try_into().map(Zeroizing::new).map_err(|_| TpmError::NotAKey)
    }

    /// The policy that the PCRs have their present values.
    fn policy_of(&mut self, selection: PcrSelectionList) -> Step<Digest> {
        let session = self.session(SessionType::Trial, Hidden::Answers)?;
        let policy = policy_session(session)?;
        self.context
            .policy_pcr(policy, Digest::default(), selection)
            .and_then(|()| self.context.policy_get_digest(policy))
            .map_err(refused("make a policy of the PCRs"))
    }

    /// A session, salted by the primary key, that hides what is secret on the bus.
    fn session(&mut self, session_type: SessionType, hidden: Hidden) -> Step<AuthSession> {
        let step = "begin a session";
        let session = self
            .context
            .start_auth_session(
                Some(self.primary),
                None,
                None,
                session_type,
                SymmetricDefinition::AES_128_CFB,
                HashingAlgorithm::Sha256,
            )
            .map_err(refused(step))?
            .ok_or_else(|| TpmError::Refused { step, detail: "it gave none".to_owned() })?;
        if session_type == SessionType::Trial {
            return Ok(session);
        }
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_decrypt(hidden == Hidden::BothWays)
            .with_encrypt(true)
            .build();
        self.context.tr_sess_set_attributes(session, attributes, mask).map_err(refused(step))?;
        Ok(session)
    }
}

/// Which way parameters are encrypted. A command without a parameter cannot hide one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hidden {
    BothWays,
    Answers,
}

fn policy_session(session: AuthSession) -> Step<PolicySession> {
    PolicySession::try_from(session).map_err(refused("begin a policy session"))
}

/// A storage key on P-256, the same each time as long as the hierarchy's seed is.
fn primary_template() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_decrypt(true)
        .with_restricted(true)
        // Its password is empty: nothing to guess, so no lock-out by failed guesses.
        .with_no_da(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    )
    .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// A sealed object that opens by the policy alone, or by its TPM alone if there is none.
fn sealed_template(policy: Option<Digest>) -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_no_da(true)
        .with_admin_with_policy(policy.is_some())
        .with_user_with_auth(policy.is_none())
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(policy.unwrap_or_default())
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Digest::default())
        .build()
}

fn selection(pcrs: &PcrSlots) -> Step<Option<PcrSelectionList>> {
    if pcrs.0.is_empty() {
        return Ok(None);
    }
    // The library names a PCR by its bit.
    let slots: Option<Vec<PcrSlot>> = pcrs
        .0
        .iter()
        .map(|slot| PcrSlot::try_from(1_u32.checked_shl((*slot).into())?).ok())
        .collect();
    PcrSelectionList::builder()
        .with_selection(HashingAlgorithm::Sha256, &slots.ok_or(TpmError::Pcrs)?)
        .build()
        .map(Some)
        .map_err(refused("select the PCRs"))
}

/// Bytes behind their length, as the `TPM2B` structures are.
fn sized(bytes: &[u8]) -> Vec<u8> {
    // A TPM's buffers are some hundred bytes long.
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

fn parts(blob: &Blob) -> Option<(Public, Private)> {
    let public = PublicBuffer::unmarshall(&hex::decode(&blob.public).ok()?).ok()?;
    let private = hex::decode(&blob.private).ok()?;
    let (length, private) = private.split_first_chunk::<2>()?;
    if usize::from(u16::from_be_bytes(*length)) != private.len() {
        return None;
    }
    Some((Public::try_from(public).ok()?, Private::try_from(private).ok()?))
}

fn kind(error: &tss_esapi::Error) -> Option<Tss2ResponseCodeKind> {
    match error {
        tss_esapi::Error::Tss2Error(code) => code.kind(),
        tss_esapi::Error::WrapperError(_) => None,
    }
}

fn refused(step: &'static str) -> impl Fn(tss_esapi::Error) -> TpmError {
    move |error| TpmError::Refused { step, detail: error.to_string() }
}
