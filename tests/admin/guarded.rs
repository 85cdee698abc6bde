//! Who may call: token, host and origin.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::caller::call;
use crate::described::{concrete, operations};
use crate::world::{TOKEN, Wish, World};

/// P10: with a token, every call but the two of health needs it.
#[tokio::test]
async fn nobody_gets_in_without_the_token_wherever_they_knock() {
    let world = World::new(Wish { token: true, ..Wish::default() }).await;
    for (method, path) in operations(&world).await {
        let open = ["/healthz", "/readyz"].contains(&path.as_str());
        let wrong = format!("Authorization: Bearer {TOKEN}x");
        let twice = format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}");
        let basic = format!("Authorization: Basic {TOKEN}");
        for line in ["X-Nothing: here", &wrong, &twice, &basic] {
            let reply = call(world.address, &method, &concrete(&path), &[line], "").await;
            if open {
                assert_eq!(reply.status, 200, "{method} {path} {line}");
            } else {
                assert_eq!((reply.status, reply.problem().as_str()), (401, "unauthorised"), "{method} {path} {line}");
                assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"));
            }
        }
    }
}

/// One customer's request or delete moves the counters by one: whoever reads them knows what became of it.
#[tokio::test]
async fn p10_metrics_are_open_only_where_the_operator_says_so() {
    let read = async |world: &World, line: &str| call(world.address, "GET", "/metrics?name[]=x", &[line], "").await;
    let world = World::new(Wish { token: true, ..Wish::default() }).await;
    let refused = read(&world, "X-Nothing: here").await;
    assert_eq!((refused.status, refused.problem().as_str()), (401, "unauthorised"));
    assert_eq!(read(&world, &format!("Authorization: Bearer {TOKEN}")).await.status, 200);

    let world = World::new(Wish { token: true, open_metrics: true, ..Wish::default() }).await;
    assert!(read(&world, "X-Nothing: here").await.body.ends_with("# EOF\n"));
    assert_eq!(call(world.address, "GET", "/api/v1/upstreams", &[], "").await.status, 401);

    let world = World::new(Wish::default()).await;
    assert_eq!(read(&world, "X-Nothing: here").await.status, 200);
}

#[tokio::test]
async fn a_token_that_cannot_be_read_lets_nobody_in() {
    let world = World::new(Wish { token: true, ..Wish::default() }).await;
    assert_eq!(world.get("/api/v1/upstreams").await.status, 200);
    std::fs::remove_file(world.folder.path().join("token")).unwrap();
    let reply = world.get("/api/v1/upstreams").await;
    assert_eq!((reply.status, reply.problem().as_str()), (503, "token_unreadable"));
}

/// A page in a browser on the same machine, whose name was made to point to 127.0.0.1.
#[tokio::test]
async fn without_a_token_a_name_in_the_header_host_is_refused() {
    let world = World::new(Wish::default()).await;
    let reply = call(world.address, "GET", "/api/v1/config", &["Host: evil.example:8081"], "").await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "host_refused"));
    let reply = call(world.address, "GET", "/api/v1/config", &["Host: 127.0.0.1", "Host: evil.example"], "").await;
    assert_ne!(reply.status, 200);
    for host in ["Host: localhost", "Host: [::1]:8081"] {
        assert_eq!(call(world.address, "GET", "/api/v1/config", &[host], "").await.status, 200, "{host}");
    }
    let with_token = World::new(Wish { token: true, ..Wish::default() }).await;
    let lines = ["Host: gate.internal", &format!("Authorization: Bearer {TOKEN}")];
    assert_eq!(call(with_token.address, "GET", "/api/v1/config", &lines, "").await.status, 200);
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let world = World::new(Wish::default()).await;
    let body = "{\"customer_id\": \"someone\"}";
    for line in
        ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"]
    {
        let reply = call(world.address, "POST", "/api/v1/erasures", &[line], body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (403, "cross_origin"), "{line}");
    }
    assert_eq!(world.get("/api/v1/erasures").await.json()["erasures"], serde_json::json!([]));
    let own = format!("Origin: http://{}", world.address);
    assert_eq!(
        call(world.address, "POST", "/api/v1/erasures", &[&own, "Sec-Fetch-Site: same-origin"], body).await.status,
        202
    );
}

#[tokio::test]
async fn a_unix_socket_is_its_owners_alone_and_answers_to_any_host() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new(Wish { unix: true, ..Wish::default() }).await;
    assert_eq!(std::fs::metadata(world.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(world.socket()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
}
