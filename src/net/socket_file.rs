//! The file of a Unix socket: whose it is, who may connect, and that it goes when the listener does.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Why a path cannot be listened at.
#[derive(Debug, thiserror::Error)]
enum Occupied {
    #[error("another process listens there")]
    Live,
    #[error("there is a file that is no socket")]
    OtherFile,
    #[error("whether somebody listens there cannot be seen")]
    Unknown(#[source] io::Error),
}

/// A file that was made here. Dropped, it is removed, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number.
    identity: (u64, u64),
}

impl SocketFile {
    /// Binds a socket to a path. What a process that is gone left there is replaced. Nobody can connect before the mode is
    /// set: the socket does not listen yet.
    pub(super) fn bind(socket: &Socket, path: &Path, mode: u32) -> io::Result<Self> {
        clear(path)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let identity = identity(path)?;
        let file = Self { path: path.to_owned(), identity };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok(file)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // A file that cannot be removed is replaced by the next start.
            fs::remove_file(&self.path).ok();
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Makes way for a new socket.
fn clear(path: &Path) -> io::Result<()> {
    let taken = |why| Err(io::Error::new(ErrorKind::AddrInUse, why));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => taken(Occupied::OtherFile),
        Ok(_) => match ask(path) {
            // Of a process that is gone.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
            Ok(()) => taken(Occupied::Live),
            // Its queue is full.
            Err(error) if error.kind() == ErrorKind::WouldBlock => taken(Occupied::Live),
            Err(error) => taken(Occupied::Unknown(error)),
        },
    }
}

/// Knocks, without waiting where nobody accepts.
fn ask(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;

    use crate::config::Address;
    use crate::net::{ActivatedSockets, BoundSocket};

    fn open(path: &Path) -> std::io::Result<BoundSocket> {
        BoundSocket::at(&Address::Unix(path.to_owned()), 0o640, &mut ActivatedSockets::default())
    }

    #[test]
    fn a_socket_has_its_mode_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.sock");
        let opened = open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        UnixStream::connect(&path).unwrap();
        drop(opened);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_process_left_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves it");
        let first = open(&path).unwrap();

        let said = open(&path).unwrap_err().to_string();
        assert_eq!(said, "another process listens there");
        UnixStream::connect(&path).unwrap();

        // Another socket in its place is not the first one's to remove.
        fs::remove_file(&path).unwrap();
        let second = UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);

        let file = folder.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert_eq!(open(&file).unwrap_err().to_string(), "there is a file that is no socket");
        std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
        assert_eq!(open(&folder.path().join("link")).unwrap_err().to_string(), "there is a file that is no socket");
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }
}
