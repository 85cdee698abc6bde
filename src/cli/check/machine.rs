//! What a start would meet on this machine beside the file: the store's key, the places to listen at.
//! Nothing is made, and nothing is listened at.

use std::io::{self, ErrorKind};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Address, Engine, Fault, Loaded};
use crate::store::seal::key_file;
use crate::telemetry::chain;

/// What a start would refuse.
pub(super) fn faults(loaded: &Loaded) -> Vec<Fault> {
    let mut faults: Vec<Fault> = key(loaded).into_iter().collect();
    for (key, address) in places(loaded) {
        let Err(error) = bound(address) else { continue };
        if error.kind() != ErrorKind::AddrInUse {
            let what = format!("{address} cannot be listened at: {error}");
            faults.push(loaded.fault(&key, what, "an address of this machine, and a port that its user may open"));
        }
    }
    faults.sort();
    faults
}

/// What an operator should know.
pub(super) fn warnings(loaded: &Loaded) -> Vec<String> {
    let taken = places(loaded)
        .into_iter()
        .filter(|(_, address)| bound(address).is_err_and(|error| error.kind() == ErrorKind::AddrInUse));
    let said =
        |(key, address)| format!("{key}: {address} is in use; a start succeeds once who listens there has ended");
    taken.map(said).collect()
}

fn key(loaded: &Loaded) -> Option<Fault> {
    let store = &loaded.config.store;
    if store.engine == Engine::Memory {
        return None;
    }
    let failure = match key_file::read(&store.key_file) {
        Ok(Some(_)) => return None,
        // A server may hold a store that this machine has no key of: the start says so.
        Ok(None) if store.engine == Engine::Postgres || !store.path.join("db").exists() => return None,
        Ok(None) => key_file::Failure::Missing { path: store.key_file.clone() },
        Err(failure) => failure,
    };
    Some(loaded.fault(
        "store.key",
        chain(&failure),
        "the key that the store was made with, in a file of the gate's user, mode 0600",
    ))
}

fn places(loaded: &Loaded) -> Vec<(String, &Address)> {
    let listeners = loaded.config.listen.iter().zip(1_usize..);
    let listeners = listeners.map(|(listener, number)| (format!("listen[{number}].address"), &listener.address));
    listeners.chain([("admin.address".to_owned(), &loaded.config.admin.address)]).collect()
}

/// Binds and lets go.
fn bound(address: &Address) -> io::Result<()> {
    match address {
        Address::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.bind(&(*address).into())
        }
        Address::Unix(path) => {
            let folder = key_file::directory_of(path);
            if folder.is_dir() { Ok(()) } else { Err(io::Error::new(ErrorKind::NotFound, "its folder is missing")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::{faults, warnings};
    use crate::config::{Loaded, load};

    fn loaded(folder: &Path, address: &str, url: &str) -> Loaded {
        let text = format!(
            "[[listen]]\naddress = \"{address}\"\n[admin]\naddress = \"127.0.0.1:0\"\n[store]\nkey = {{ file = \"key\" }}\npath = \"store\"\n\
             [[upstream]]\nname = \"one\"\nprofile = \"watson-discovery\"\nurl = \"{url}\"\nroute = {{ path = \"/one\" }}\n"
        );
        let path = folder.join("config.toml");
        std::fs::write(&path, text).unwrap();
        load(&path).unwrap()
    }

    const HERE: &str = "http://127.0.0.1:1";

    #[test]
    fn p11_check_sees_a_key_that_a_start_would_refuse() {
        let folder = tempfile::tempdir().unwrap();
        let found = || {
            let faults = faults(&loaded(folder.path(), "127.0.0.1:0", HERE));
            faults.iter().map(|fault| format!("{} {}", fault.key, fault.what)).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(found(), "", "the first start makes both");
        let key = folder.path().join("key");
        std::fs::write(&key, "ab".repeat(32)).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(found().contains("store.key ") && found().contains("mode 0644"), "{}", found());
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(found(), "");
        std::fs::write(&key, "no key").unwrap();
        assert!(found().contains("does not hold a key"), "{}", found());
    }

    #[test]
    fn p11_check_sees_a_place_that_cannot_be_listened_at() {
        let folder = tempfile::tempdir().unwrap();
        let faults_at = |address: &str| faults(&loaded(folder.path(), address, HERE));
        // TEST-NET-1, which no machine has.
        for (address, key) in
            [("192.0.2.1:8080", "listen[1].address"), ("unix:/nowhere/gate.sock", "listen[1].address")]
        {
            let faults = faults_at(address);
            assert!(faults.len() == 1 && faults[0].key == key && faults[0].line == 2, "{faults:?}");
        }
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert_eq!(faults_at(&address), [], "a gate may run already");
        assert!(warnings(&loaded(folder.path(), &address, HERE))[0].contains("is in use"));
    }
}
