//! `mpc demo`: the main job from end to end, in one command.

use crate::cli::{DemoArgs, Digest};
use crate::own_node::{MadeAccount, OwnNode};
use crate::report::{Report, ReportedSignature, Timings};
use crate::signals::Signals;
use crate::steps::Steps;
use crate::verify::{VerifyError, verify};
use anyhow::{Context, bail};
use mpc::api::{Session, SignRequest};
use sha2::{Digest as _, Sha256};
use std::io::Write;
use std::time::Instant;

/// What is signed if nothing else is asked for.
const TEXT: &str = "A private key that exists nowhere signed this.";

/// Runs `mpc demo`.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let steps = Steps::start();
    let own = OwnNode::start(args.data.as_deref(), &steps).await?;
    let result = tokio::select! {
        result = tour(&own, &args, &steps) => result,
        signal = signals.next() => Err(anyhow::anyhow!("ended by {signal}")),
    };
    // On errors, too: the temporary folder holds keys.
    let stopped = own.stop().await;
    drop(steps);
    let (report, verdict) = result?;
    stopped?;

    let mut stdout = std::io::stdout();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string(&report)?)?;
    } else {
        if args.message.is_none() {
            writeln!(stdout, "text        \"{TEXT}\", hashed with SHA-256")?;
        }
        writeln!(stdout, "{report}")?;
    }
    verdict.context("the signature is not believed")
}

async fn tour(
    own: &OwnNode,
    args: &DemoArgs,
    steps: &Steps,
) -> anyhow::Result<(Report, Result<(), VerifyError>)> {
    own.parties_online(steps).await?;
    let made = own.make_account("demo", args.scheme, steps).await?;
    let Digest(digest) = args.message.unwrap_or_else(|| Digest(Sha256::digest(TEXT).into()));

    steps.show("two of three parties sign");
    let began = Instant::now();
    let request = SignRequest::new(hex::encode(digest), None);
    let session = own.client().sign(made.account.account_id, &request).await?;
    let sign_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    steps.done(&format!("signed in {sign_ms} ms"));
    report(made, session, digest, sign_ms)
}

fn report(
    made: MadeAccount,
    session: Session,
    digest: [u8; 32],
    sign_ms: u64,
) -> anyhow::Result<(Report, Result<(), VerifyError>)> {
    let MadeAccount { account, aux_ms } = made;
    let Some(signature) = session.signature else {
        bail!("the signing session ended as {}", session.state);
    };
    let public_key = account.public_key.context("the active account has no public key")?;
    let compact = hex::decode(&signature.compact).context("the signature is not hexadecimal")?;
    let ecdsa = signature.ecdsa.context("the signature is none of ECDSA")?;
    let verdict = verify(&public_key, digest, &compact, ecdsa.recovery_id);
    let report = Report {
        account_id: account.account_id,
        scheme: account.scheme,
        public_key,
        message: hex::encode(digest),
        signature: ReportedSignature {
            r: signature.r,
            s: signature.s,
            recovery_id: ecdsa.recovery_id,
            compact: signature.compact,
        },
        signers: session.signers,
        verified: verdict.is_ok(),
        timings_ms: Timings {
            aux: aux_ms.unwrap_or(0),
            keygen: account.timings_ms.keygen.unwrap_or(0),
            canary: account.timings_ms.canary.unwrap_or(0),
            sign: sign_ms,
        },
    };
    Ok((report, verdict))
}
