//! The way between one party and the gateway, in the hands of a test: it can be cut, and each
//! direction can fall silent without either end being told.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often a carrier looks whether the link is still whole.
const LOOK: Duration = Duration::from_millis(50);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the party to the gateway.
    Up,
    /// From the gateway to the party.
    Down,
}

/// A link that forwards TCP connections. It listens as long as the process lives.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Where the party connects.
    pub(crate) at: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Nobody gets through, and who was through is cut off.
    is_cut: bool,
    /// Bytes of these directions vanish.
    silent: Vec<Way>,
    connections: Vec<TcpStream>,
}

impl Link {
    /// A link to the gateway at this address, which may not be there all the time.
    pub(crate) fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let link = Self { at, state: Arc::default() };
        let accepting = link.clone();
        thread::spawn(move || {
            for party in listener.incoming() {
                accepting.accept(party.unwrap(), gateway);
            }
        });
        link
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts every connection, and lets none through until it is mended.
    pub(crate) fn cut(&self) {
        let mut state = self.state();
        state.is_cut = true;
        for connection in state.connections.drain(..) {
            // The other end may have closed it before.
            let _closed = connection.shutdown(Shutdown::Both);
        }
    }

    /// Has bytes of one direction vanish, of connections that there are and that come.
    pub(crate) fn silence(&self, way: Way) {
        self.state().silent.push(way);
    }

    /// Makes the link whole. Connections that have lost bytes are cut: nothing fits behind a gap.
    pub(crate) fn mend(&self) {
        self.cut();
        let mut state = self.state();
        state.is_cut = false;
        state.silent.clear();
    }

    fn accept(&self, party: TcpStream, gateway: SocketAddr) {
        if self.state().is_cut {
            return;
        }
        // A gateway that is not there: the party's connection ends.
        let Ok(server) = TcpStream::connect(gateway) else { return };
        for stream in [&party, &server] {
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(LOOK)).unwrap();
            self.state().connections.push(stream.try_clone().unwrap());
        }
        let (party_too, server_too) = (party.try_clone().unwrap(), server.try_clone().unwrap());
        let (up, down) = (self.clone(), self.clone());
        thread::spawn(move || up.carry(party, server, Way::Up));
        thread::spawn(move || down.carry(server_too, party_too, Way::Down));
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, way: Way) {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let read = match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    continue;
                }
                Err(_) => break,
            };
            if self.state().silent.contains(&way) {
                continue;
            }
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}
