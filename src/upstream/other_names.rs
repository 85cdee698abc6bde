//! Hosts under another name: whether an address belongs to one of some hosts, whatever name was used for it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::addresses::Addresses;

/// Some hosts, by their names.
#[derive(Debug)]
pub struct Hosts(Vec<Addresses>);

impl Hosts {
    /// Those of these names; what is an address already is left out.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().filter(|name| name.parse::<IpAddr>().is_err());
        Self(names.map(|name| Addresses::new(name, 0)).collect())
    }

    /// Whether one of their names leads to one of these addresses now. A name that leads nowhere within that time is no
    /// host of anybody's; the others are still judged.
    pub async fn have(&self, addresses: &[SocketAddr], within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let found = join_all(self.0.iter().map(|host| timeout_at(deadline, host.found()))).await;
        let mut found = found.iter().flatten().flatten().flat_map(|found| found.iter());
        found.any(|host| addresses.iter().any(|address| address.ip().to_canonical() == host.ip().to_canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn at(address: &str) -> [SocketAddr; 1] {
        [address.parse().unwrap()]
    }

    #[tokio::test]
    async fn p9_a_host_is_the_same_under_every_name_and_at_every_port() {
        let hosts = Hosts::new(["localhost", "10.1.2.3", "nowhere.invalid"]);
        assert!(hosts.have(&at("127.0.0.1:443"), SOON).await);
        assert!(hosts.have(&at("[::ffff:127.0.0.1]:9"), SOON).await);
        assert!(!hosts.have(&at("127.0.0.2:443"), SOON).await);
        assert!(!Hosts::new(["nowhere.invalid"]).have(&at("127.0.0.1:443"), SOON).await);
    }
}
