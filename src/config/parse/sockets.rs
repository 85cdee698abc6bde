//! Where is listened: an IP address and a port, or a Unix socket, and who may connect to that.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use super::super::Address;
use super::super::file::{Table, Value};

/// The owner and their group: an application that calls is in the gate's group, and nobody else can erase.
const MODE: u32 = 0o660;
const MODE_FORM: &str = "who may connect, as a file's mode: \"0660\" is the owner and their group";
/// A name of the system's may have no more bytes, and one less for its end.
const PATH_BYTES_MAX: usize = 107;

/// `address`, of a listener or of the admin API.
pub(super) fn address(value: &Value<'_>, form: &str) -> Option<Address> {
    let text = value.text(form)?;
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(value, path, form).map(Address::Unix);
    }
    let address = text.parse::<SocketAddr>();
    if address.is_err() {
        value.fault("is no address to listen at", form);
    }
    address.ok().map(Address::Tcp)
}

/// A path that means the same wherever the gate is started.
fn unix(value: &Value<'_>, text: &str, form: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let fault = if text.len() > PATH_BYTES_MAX {
        "is longer than the 107 bytes that the system allows"
    } else if !path.is_absolute() || !plain || text.ends_with('/') || text.contains('\0') {
        "is no absolute path of a file"
    } else {
        return Some(path.to_owned());
    };
    value.fault(fault, form);
    None
}

/// `socket_mode`, which only a Unix socket has.
pub(super) fn mode(table: &Table<'_>, address: Option<&Address>) -> u32 {
    let Some(value) = table.get("socket_mode") else { return MODE };
    let Some(text) = value.text(MODE_FORM) else { return MODE };
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && text.len() <= 4);
    if mode.is_none_or(|mode| mode & 0o600 != 0o600) {
        value.fault("is no mode with which its owner can connect", MODE_FORM);
    }
    if let Some(Address::Tcp(_)) = address {
        value.fault("is read by nobody: the address is no Unix socket", "leave it out");
    }
    mode.unwrap_or(MODE)
}
