//! A browser loads pages through the gate, and says what its Web Chat would be configured with.

use std::process::Command;

use super::{answer, assert_counted, before, gzipped};
use crate::upstream::{Connection, Upstream};

/// Longest time that the browser may take, in seconds.
const LIMIT_S: &str = "90";

/// The pages, each with what comes before the configuration and what stands in it.
const PAGES: [(&str, &str); 9] = [
    ("inline", "<script>window.watsonAssistantChatOptions = { integrationID: 'a' };</script>"),
    ("external", "<script src='config.js'></script>"),
    ("external-coded", "<script src='coded.js'></script>"),
    (
        "said-otherwise",
        "<script>watsonAssistantChatOptions = { a: /[/}]'/, 'learningOptOut': false, b: `${ {} }}` };</script>",
    ),
    (
        "functions",
        "<script>\n// It's { here\nwindow['watsonAssistantChatOptions'] = {\n  onLoad: async (instance) => { await instance.render({}); },\n  \
         on: function() { return '}'; }, // last }\n};\n</script>",
    ),
    (
        "spread",
        "<script>var rest = { learningOptOut: false }; window.watsonAssistantChatOptions = { ...rest };</script>",
    ),
    (
        "coded",
        "<script>window.watsonAssistantChatOptions = { learningOptOut };</script><script>var learningOptOut</script>",
    ),
    (
        "old",
        "<script>function loadWatsonAssistantChat(o) { window.watsonAssistantChatOptions = o }</script>\
             <script>window.loadWatsonAssistantChat({ integrationID: 'a', region: 'b' })</script>",
    ),
    (
        "strange",
        "<!-- <script> --><textarea><script></textarea><script><!-- <script> </script> -->\n\
                 window.watsonAssistantChatOptions = {};</script>",
    ),
];

const REPORT: &str =
    "<script>parent.report(location.pathname, window.watsonAssistantChatOptions.learningOptOut)</script>";

/// A page with all of the others in it, which says what they report.
fn frames() -> String {
    let frames: String = PAGES.iter().map(|(name, _)| format!("<iframe src='{name}'></iframe>")).collect();
    format!(
        "<ul></ul><script>function report(page, value) {{ var li = document.createElement('li');\
         li.textContent = page + ' ' + typeof value + ' ' + value; document.querySelector('ul').append(li); }}</script>{frames}"
    )
}

fn page(path: &str) -> Vec<u8> {
    let script = "window.watsonAssistantChatOptions={integrationID:'a',onLoad:function(t){t.render()}};";
    let name = path.rsplit('/').next().unwrap();
    match name {
        "frames" => answer("text/html", &[], frames()),
        "config.js" => answer("text/javascript", &[], script),
        "coded.js" => answer("application/javascript", &["Content-Encoding: gzip"], gzipped(script)),
        "coded" => {
            let body = format!("<script>var learningOptOut = false</script>{}{REPORT}", PAGES[6].1);
            answer("text/html", &["Content-Encoding: gzip"], gzipped(body))
        }
        _ => PAGES.iter().find(|(each, _)| *each == name).map_or_else(
            || b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            |(_, body)| answer("text/html; charset=utf-8", &["ETag: \"a\""], format!("{body}{REPORT}")),
        ),
    }
}

fn serve(connection: &mut Connection) {
    while let Some(seen) = connection.request() {
        let path = seen.line().split(' ').nth(1).unwrap().to_owned();
        connection.write(page(&path));
    }
}

/// The page as the browser has made it.
fn loaded(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .args([
            "--kill-after=5",
            LIMIT_S,
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--no-default-browser-check",
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args([
            "--disable-sync",
            "--disable-default-apps",
            "--disable-extensions",
            "--metrics-recording-only",
            "--no-proxy-server",
        ])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_ne!(
        output.status.code(),
        Some(127),
        "this test needs Chromium: install the Debian package chromium. {errors}"
    );
    assert!(output.status.success(), "chromium: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn p2_in_a_browser_web_chat_is_configured_to_opt_out() {
    let world = before(Upstream::serving(serve), "");
    let dom = loaded(&format!("http://{}/api/frames", world.address));
    for (name, _) in PAGES {
        let line = format!("<li>/api/{name} boolean true</li>");
        assert!(dom.contains(&line), "{name}: {dom}");
    }
    // The stand-in for IBM's function hands on what it is given, which could be anything.
    assert_counted(&world, &[("set", PAGES.len() as u64), ("unseen", 1)]);
}

/// What makes the test above worth something: without the gate the same pages do not opt out.
#[test]
fn without_the_gate_the_same_pages_do_not_opt_out() {
    let service = Upstream::serving(serve);
    let dom = loaded(&format!("http://{}/frames", service.address));
    for (name, _) in PAGES {
        assert!(dom.contains(&format!("<li>/{name} ")), "{name}: {dom}");
        assert!(!dom.contains(&format!("<li>/{name} boolean true</li>")), "{name}: {dom}");
    }
}
