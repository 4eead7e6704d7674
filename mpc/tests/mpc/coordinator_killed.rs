//! The process of gateway and coordinator is killed between two signings and started again; the
//! parties, in another process, are left alone.

use crate::command::Demo;
use crate::running::{KEY, RunningNode, node_at};
use gateway::CONNECT_PATH;
use mpc::node::SERVER_NAME;
use mpc_wire::Transport;
use mpc_wire::limits::MAX_PARTIES;
use party_runtime::policy::Profile;
use party_runtime::{CpuPool, KeySource, LivePolicy, Party, PartyConfig, Vault};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;

/// What is signed.
const DIGEST: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[test]
fn parties_reconnect_by_themselves_to_a_coordinator_that_was_killed() {
    let demo = Demo::shared();
    let data = demo.copy();
    let account = demo.report()["account_id"].as_str().unwrap().to_owned();
    // Taken and given back, so that the gateway comes back to the same port.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run_parties(data.path().to_owned(), port);

    for _ in 0..2 {
        let office = office(data.path(), port);
        office.await_parties(3);
        let session = office.ask(&["sign", "--account", &account, "--message", DIGEST]);
        assert_eq!(session["state"], "completed", "{session}");
        office.kill();
    }
    let office = office(data.path(), port);
    office.await_parties(3);
}

/// Gateway and coordinator alone.
fn office(data: &Path, gateway: SocketAddr) -> RunningNode {
    let mut command = node_at(data, &gateway.to_string());
    RunningNode::spawn(command.args(["--parties", "0"]).env("MPC_API_KEY", KEY))
}

/// Runs the data folder's parties in this process, on a thread that ends with it.
fn run_parties(data: PathBuf, gateway: SocketAddr) {
    thread::spawn(move || {
        actix_rt::System::new().block_on(async move {
            let cpu = CpuPool::for_this_machine().unwrap();
            let mut parties = Vec::new();
            for number in 1..=MAX_PARTIES {
                let folder = data.join(format!("party-{number}"));
                if !folder.exists() {
                    break;
                }
                let key = KeySource::File(folder.join("master.key"));
                let vault =
                    Vault::open_or_create(&folder.join("vault.sqlite"), &key).await.unwrap();
                let config = PartyConfig {
                    policy: LivePolicy::of_profile(Profile::Development).unwrap(),
                    control: None,
                    transport: Transport::Loopback,
                    gateway_url: format!("ws://{gateway}{CONNECT_PATH}"),
                    server_name: SERVER_NAME.to_owned(),
                    label: format!("party-{number}"),
                    enrolment_token: None,
                    cpu: cpu.clone(),
                };
                parties.push(Party::start(config, vault).unwrap());
            }
            std::future::pending::<()>().await;
        });
    });
}
