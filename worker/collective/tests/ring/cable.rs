//! A connection that breaks or stalls after a given number of bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use crate::world::loopback;

/// What happens when the bytes are used up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Both ends find the connection closed.
    Cut,
    /// Nothing arrives any more and nobody is told.
    Stall,
}

/// Forwards connections to a listener.
pub(crate) struct Cable {
    address: SocketAddr,
    used_up: mpsc::Receiver<Vec<TcpStream>>,
}

impl Cable {
    /// Forwards one connection after the other: so many bytes towards `target` (answers are not counted), then `fate`.
    pub(crate) fn lay(target: SocketAddr, connections: &[usize], fate: Fate) -> Self {
        let listener = TcpListener::bind(loopback()).unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, used_up) = mpsc::channel();
        let connections = connections.to_vec();
        thread::spawn(move || {
            for bytes in connections {
                let (from, _) = listener.accept().unwrap();
                let Ok(to) = TcpStream::connect(target) else {
                    return;
                };
                let back = (to.try_clone().unwrap(), from.try_clone().unwrap());
                thread::spawn(move || copy(back.0, &back.1, usize::MAX));
                copy(from.try_clone().unwrap(), &to, bytes);
                let ends = vec![from, to];
                if let Fate::Cut = fate {
                    ends.iter()
                        .for_each(|end| drop(end.shutdown(Shutdown::Both)));
                }
                // Kept open by the receiver until the test is through.
                let _ = tell.send(ends);
            }
        });
        Self { address, used_up }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns once the bytes are used up; the connection closes when the result is dropped.
    pub(crate) fn wait_until_used_up(&self) -> Vec<TcpStream> {
        self.used_up.recv().unwrap()
    }
}

fn copy(mut from: TcpStream, mut to: &TcpStream, mut bytes: usize) {
    let mut portion = [0; 1 << 14];
    while bytes > 0 {
        let room = bytes.min(portion.len());
        match from.read(&mut portion[..room]) {
            Ok(0) | Err(_) => break,
            Ok(received) => {
                if to.write_all(&portion[..received]).is_err() {
                    break;
                }
                bytes -= received;
            }
        }
    }
    if bytes > 0 {
        let _ = to.shutdown(Shutdown::Write);
    }
}
