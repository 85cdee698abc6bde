//! Which hosts a URL names, with TLS or without, and what is said of one that cannot be used.

use super::*;

fn read(rest: &str) -> Result<PostgresUrl, PostgresUrlFault> {
    PostgresUrl::read(&format!("postgres://gate:s%40cret@{rest}"))
}

/// Hosts as they are said, each with whether TLS is spoken.
fn hosts(rest: &str) -> Vec<(String, bool)> {
    let url = read(rest).unwrap_or_else(|fault| panic!("{rest}: {fault}"));
    url.hosts().iter().map(|host| (host.to_string(), host.tls)).collect()
}

#[test]
fn p11_tls_is_spoken_with_every_host_but_this_machine_unless_the_url_says_otherwise() {
    let here = ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "%2Frun%2Fpostgresql", "db.test?hostaddr=127.0.0.1"];
    for rest in here {
        assert!(!hosts(rest)[0].1, "{rest}");
        assert!(!read(rest).unwrap().is_in_the_clear(), "{rest}");
    }
    for rest in
        ["db.test", "10.0.0.1", "[fd00::1]", "localhost?hostaddr=10.0.0.1", "localhost.test", "[::ffff:10.0.0.1]"]
    {
        assert!(hosts(rest)[0].1, "{rest}");
        let join = if rest.contains('?') { '&' } else { '?' };
        for mode in ["require", "verify-ca", "verify-full"] {
            assert!(hosts(&format!("{rest}{join}sslmode={mode}"))[0].1, "{rest} {mode}");
        }
        for mode in ["allow", "prefer"] {
            assert!(matches!(read(&format!("{rest}{join}sslmode={mode}")), Err(PostgresUrlFault::WeakTls(_))));
        }
        let plain = read(&format!("{rest}{join}sslmode=disable")).unwrap();
        assert!(!plain.hosts()[0].tls && plain.is_in_the_clear(), "{rest}");
    }
    assert!(hosts("127.0.0.1?sslmode=require")[0].1);
    assert!(!hosts("%2Frun?sslmode=require")[0].1, "a Unix socket has no TLS");
    assert!(!hosts("127.0.0.1?sslmode=prefer")[0].1);
}

#[test]
fn hosts_keep_their_order_and_their_ports() {
    let expected = [("a:1".to_owned(), true), ("b:5432".to_owned(), true), ("[::1]:3".to_owned(), false)];
    assert_eq!(hosts("a:1,b,[::1]:3/db"), expected);
    assert_eq!(hosts("a/db?host=b&port=6000"), [("a:5432".to_owned(), true), ("b:6000".to_owned(), true)]);
    assert!(matches!(read("a,b?hostaddr=10.0.0.1"), Err(PostgresUrlFault::Uneven { hosts: 2, addresses: 1, .. })));
    assert_eq!(read("/db").unwrap_err(), PostgresUrlFault::NoHost);
    assert_eq!(read("a%20b/db").unwrap_err(), PostgresUrlFault::BadHost);
}

#[test]
fn p11_a_server_that_can_be_written_to_is_asked_for() {
    let asks = |rest: &str| {
        let url = read(rest).unwrap();
        let config = url.towards(&url.hosts()[0]);
        assert_eq!((config.get_user(), config.get_password()), (Some("gate"), Some(&b"s@cret"[..])));
        config.get_target_session_attrs()
    };
    assert_eq!(asks("a"), TargetSessionAttrs::ReadWrite);
    assert_eq!(asks("a?target_session_attrs=primary"), TargetSessionAttrs::ReadWrite);
    assert_eq!(asks("a?target_session_attrs=any"), TargetSessionAttrs::Any);
    assert_eq!(read("a?target_session_attrs=standby").unwrap_err(), PostgresUrlFault::ReadOnly);
}

#[test]
fn p7_no_fault_repeats_what_could_be_a_password() {
    for text in [
        "host=a password=s3cret",
        "postgres://u:s3cret",
        "postgres://u:p@s3cret@a/db",
        "postgres://a/db?user=u&password=x&s3cret=y",
        "postgres://u:p@a/db?s3cret",
        "postgres://u:p@s3cret%2F/db",
        "postgres://u:p@a:s3cret/db",
        "postgres://u:p@a/db?sslmode=s3cret",
    ] {
        let fault = PostgresUrl::read(text).unwrap_err();
        assert!(!format!("{fault} {fault:?}").contains("s3cret"), "{text}: {fault}");
    }
    let refused = read("a?sslrootcert=s3cret").unwrap_err().to_string();
    assert!(refused.contains("sslrootcert") && refused.contains("store.tls") && !refused.contains("s3cret"));
    assert!(hosts("a?sslrootcert=system&gssencmode=disable")[0].1);
}
