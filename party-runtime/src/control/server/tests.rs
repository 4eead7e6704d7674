use super::super::client::{ControlClientError, ask};
use super::*;
use crate::control::SOCKET;
use mpc_wire::SessionId;
use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::process::Command;
use std::rc::Rc;
use tempfile::TempDir;

/// Serves a socket that says what it was asked, while `body` speaks to it in another thread.
async fn talk<T: Send + 'static>(
    folder: &TempDir,
    body: impl FnOnce(std::path::PathBuf) -> T + Send + 'static,
) -> (T, usize) {
    let socket = ControlSocket::bind(&folder.path().join(SOCKET)).unwrap();
    let asked = Rc::new(Cell::new(0));
    let count = Rc::clone(&asked);
    let serve = socket.serve(move |request, _| {
        count.set(count.get() + 1);
        Box::pin(async move { ControlAnswer::done(format!("{request:?}")) })
    });
    let folder = folder.path().to_owned();
    let body = tokio::task::spawn_blocking(move || body(folder));
    tokio::select! {
        () = serve => panic!("the socket ended"),
        result = body => (result.unwrap(), asked.get()),
    }
}

/// Sends bytes and reads all of the answer.
fn send(folder: &Path, bytes: &[u8]) -> String {
    let mut stream = StdStream::connect(folder.join(SOCKET)).unwrap();
    // The other side may have heard enough before the end.
    let _ = stream.write_all(bytes);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[tokio::test]
async fn asks_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let session = SessionId::generate();
    let (answers, asked) = talk(&folder, move |folder| {
        [
            ask(&folder, &ControlRequest::Status).unwrap(),
            ask(&folder, &ControlRequest::Approve { session }).unwrap(),
        ]
    })
    .await;
    assert_eq!(asked, 2);
    assert_eq!(answers[0], ControlAnswer::done("Status"));
    let ControlAnswer::Done { detail } = &answers[1] else { panic!("{answers:?}") };
    assert!(detail.contains(&session.to_string()));
    // The file goes with its party.
    assert!(!folder.path().join(SOCKET).exists());
    let refused = ask(folder.path(), &ControlRequest::Status);
    assert!(matches!(refused, Err(ControlClientError::NoParty { .. })), "{refused:?}");
}

#[tokio::test]
async fn only_its_owner_can_open_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SOCKET);
    let _socket = ControlSocket::bind(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_socket_of_a_dead_process_is_replaced_and_that_of_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SOCKET);
    // What a process leaves behind that is killed.
    drop(StdListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = ControlSocket::bind(&path).unwrap();
    let again = ControlSocket::bind(&path);
    assert!(matches!(again, Err(ControlSocketError::InUse { .. })), "{again:?}");
    drop(socket);
    ControlSocket::bind(&path).unwrap();

    let deep = folder.path().join("x".repeat(MAX_SOCKET_PATH));
    let error = ControlSocket::bind(&deep).unwrap_err();
    assert!(matches!(error, ControlSocketError::PathTooLong { .. }));
    let nowhere = ControlSocket::bind(&folder.path().join("no").join(SOCKET)).unwrap_err();
    assert!(matches!(nowhere, ControlSocketError::Io { .. }));
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_never_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (answers, asked) = talk(&folder, |folder| {
        let mut answers = Vec::new();
        for line in [
            "\n",
            "{}\n",
            "status\n",
            "[\"status\"]\n",
            "{\"command\": \"sign\"}\n",
            "{\"command\": \"approve\"}\n",
            "{\"command\": \"approve\", \"session\": \"x\"}\n",
            "{\"command\": \"ban\", \"party\": \"00\", \"also\": 1}\n",
        ] {
            answers.push(send(&folder, line.as_bytes()));
        }
        let endless = [b'x'].repeat(2 * MAX_REQUEST);
        answers.push(send(&folder, &endless));
        answers
    })
    .await;
    assert_eq!(asked, 0);
    for answer in answers.iter().take(8) {
        assert!(answer.contains("\"bad_request\""), "{answer}");
    }
    // Cut off: the answer may be lost with the rest of what was sent.
    let cut = answers.last().unwrap();
    assert!(cut.is_empty() || cut.contains("bad_request"), "{cut}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    // The longest `detail` that fits beside `{"answer":"done","detail":""}` and the line's end.
    let longest = MAX_ANSWER - serde_json::to_vec(&ControlAnswer::done("")).unwrap().len() - 1;
    for (length, fits) in [(longest, true), (longest + 1, false), (2 * MAX_ANSWER, false)] {
        let answer = ControlAnswer::done("x".repeat(length));
        let socket = ControlSocket::bind(&folder.path().join(SOCKET)).unwrap();
        let given = answer.clone();
        let serve = socket.serve(move |_, _| {
            let given = given.clone();
            Box::pin(async move { given })
        });
        let path = folder.path().to_owned();
        let asked = tokio::task::spawn_blocking(move || ask(&path, &ControlRequest::Status));
        let heard = tokio::select! {
            () = serve => panic!("the socket ended"),
            heard = asked => heard.unwrap().unwrap(),
        };
        let too_long = ControlAnswer::refused(ControlError::AnswerTooLong);
        assert!(heard == if fits { answer } else { too_long }, "{length}");
    }
}

/// Connections that say nothing neither keep others out for long nor for ever.
#[tokio::test]
async fn silent_connections_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (answer, asked) = talk(&folder, |folder| {
        let path = folder.join(SOCKET);
        let silent: Vec<_> =
            (0..MAX_CONNECTIONS).map(|_| StdStream::connect(&path).unwrap()).collect();
        let answer = ask(&folder, &ControlRequest::Approvals { session: None }).unwrap();
        drop(silent);
        answer
    })
    .await;
    assert_eq!((answer, asked), (ControlAnswer::done("Approvals { session: None }"), 1));
}

#[test]
fn the_owner_and_root_are_let_in() {
    let own = rustix::process::geteuid().as_raw();
    assert!(Person { uid: own }.is_allowed() && Person { uid: 0 }.is_allowed());
    for uid in [own + 1, 65_534, u32::MAX] {
        assert!(!Person { uid }.is_allowed(), "{uid}");
    }
}

/// Needs root, to become somebody else, and a Perl that everybody may run.
#[tokio::test]
async fn other_users_are_refused() {
    const PERL: &str = "/usr/bin/perl";
    if !rustix::process::geteuid().is_root() || !Path::new(PERL).exists() {
        eprintln!("SKIPPED: only root can become somebody else, and with {PERL} only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (answer, asked) = talk(&folder, |folder| {
        // As if the file's mode had let them in.
        let path = folder.join(SOCKET);
        for path in [&folder, &path] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
        }
        let script = "use IO::Socket::UNIX;\n\
                      my $party = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die \"$!\";\n\
                      print $party qq({\"command\": \"status\"}\\n);\n\
                      print <$party>;\n";
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", PERL, "-e", script])
            .arg(&path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    })
    .await;
    assert!(answer.contains("\"not_allowed\""), "{answer}");
    assert_eq!(asked, 0);
}
