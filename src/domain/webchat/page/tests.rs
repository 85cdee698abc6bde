//! P2: where a page's scripts are, whatever stands around them; and that the rest passes byte for byte.

use proptest::prelude::*;

use super::super::super::steps;
use super::super::Finding::{self, Already, Pinned, Set, TooLong, Unseen};
use super::Page;

const CHAT: &str = "window.watsonAssistantChatOptions = {a: 1};";
const OUT: &str = "window.watsonAssistantChatOptions = {a: 1, learningOptOut: true};";

fn passed(mut page: Page, text: &[u8]) -> (Vec<u8>, Vec<Finding>) {
    let mut out = Vec::new();
    page.push(text, &mut out);
    page.end(&mut out);
    assert_eq!(page.has_changed(), out != text);
    (out, page.findings().iter().collect())
}

fn page() -> Page {
    Page::new(false, 1 << 20, &[])
}

#[track_caller]
fn becomes(page: Page, before: &str, after: &str, findings: &[Finding]) {
    let (out, found) = passed(page, before.as_bytes());
    assert_eq!((String::from_utf8(out).unwrap().as_str(), found.as_slice()), (after, findings), "{before}");
}

#[test]
fn p2_a_script_is_found_wherever_it_stands() {
    for around in [
        "<script>{}</script>",
        "<!DOCTYPE html><html><head><title>a</title><SCRIPT\n>{}</ScRiPt\t></head>",
        "<script type=\"text/javascript\" data-a='>' defer>{}</script >",
        "<script type=module async/>{}</script/>",
        "<script type=' Application/JavaScript'>{}</script a=\"</script>\">",
        "<script a=\"1\"b='2'c=3 d>{}</script><p>",
        "<p title=\"<script>\">a < b <3 <> </> </3 <!> <!-> <!doctype a \"b\"> <?a?>{no}<script>{}</script>",
        "<!-- <script> --><script>{}</script><!----><!--><!---><!-- --!><script>1</script>",
        "<!--!> <script> --><!---!> <script> --><script>{}</script>",
        "<title><script></title><textarea><script></textarea ><style></styles><script></style><script>{}</script>",
        "<noscript><script></noscript><iframe><script></iframe><xmp><script></xmp><script>{}</script>",
        "<![CDATA[ <script>1</script> ]]><script>{}</script>",
        "<svg><![CDATA[ <script> ]]><script href='a'/><title/></svg><script>{}</script>",
        "<script src=a></script><script>{}</script>",
        "<script type=application/json>{no}</script><script type=importmap>{}</script><script>{}</script>",
        "<script><!--\n{}\n//--></script>",
        "<script><!-- <script> '</script>' -->\n{}</script>",
        "<script><!--><script></script><script>{}</script>",
        "<template><script>{}</script></template>",
    ] {
        let around = around.replace("{no}", "").replacen("importmap>{}", "importmap>", 1);
        becomes(page(), &around.replace("{}", CHAT), &around.replace("{}", OUT), &[Set]);
    }
    becomes(
        Page::new(true, 1 << 20, &[]),
        &format!("<html><script src='a'/><title/><script>//<![CDATA[\n{CHAT}\n//]]></script></html>"),
        &format!("<html><script src='a'/><title/><script>//<![CDATA[\n{OUT}\n//]]></script></html>"),
        &[Set],
    );
}

#[test]
fn p8_a_page_without_it_passes_byte_for_byte() {
    for text in [
        "",
        "<",
        "<script",
        "<script>",
        "<script>var a = 1",
        "<script></script",
        "<!-- window.watsonAssistantChatOptions = {a: 1}; <script>window.watsonAssistantChatOptions = {}</script> -->",
        "<script src='https://a/loadWatsonAssistantChat.js'></script>",
        "<plaintext><script>",
        "\u{feff}<p>ü</p>\0<script>ü</script>",
    ] {
        becomes(page(), text, text, &[]);
    }
}

#[test]
fn p11_a_configuration_outside_a_script_is_counted() {
    for text in [
        format!("<body onload=\"{CHAT}\">"),
        format!("<iframe srcdoc=\"<script>{CHAT}</script>\">"),
        format!("<script type=application/json>{CHAT}</script>"),
        format!("<script type=text/template>{CHAT}</script>"),
        format!("<noscript><script>{CHAT}</script></noscript>"),
        format!("<p>{CHAT}</p>"),
        "<p>loadWatsonAssistantChat({})".to_owned(),
    ] {
        becomes(page(), &text, &text, &[Unseen]);
    }
    let two = format!("<p>{CHAT}</p><script>{CHAT}</script><script>{OUT}</script>");
    becomes(
        page(),
        &two,
        &two.replacen(&format!("<script>{CHAT}"), &format!("<script>{OUT}"), 1),
        &[Set, Already, Unseen],
    );
}

#[test]
fn p12_a_script_that_is_too_long_passes_and_is_counted_if_it_names_the_configuration() {
    let filler = " ".repeat(100);
    for (script, findings) in [
        (format!("{CHAT}{filler}"), &[TooLong, Set][..]),
        (format!("{filler}{CHAT}"), &[TooLong, Set]),
        (filler, &[Set]),
    ] {
        let whole = |second| format!("<script>{script}</script><script>{second}</script>");
        let mut findings = findings.to_vec();
        findings.sort_by_key(|finding| *finding as usize);
        becomes(Page::new(false, 80, &[]), &whole(CHAT), &whole(OUT), &findings);
    }
    becomes(
        Page::new(false, CHAT.len() + "</script>".len(), &[]),
        &format!("<script>{CHAT}</script>"),
        &format!("<script>{OUT}</script>"),
        &[Set],
    );
}

/// The hash is that of `printf 'window.watsonAssistantChatOptions = {a: 1};\n' | openssl dgst -sha256 -binary | base64`.
#[test]
fn p8_a_script_that_a_policy_allows_by_its_hash_stays_as_it_is() {
    let hash = "sha256-3PJ+P4EzEVnK1yTfs6LfMd/WJZ6hIV97xKdLfRtK84U=";
    let text = format!("<script>{CHAT}\r\n</script>");
    let policy = format!("script-src 'self' '{hash}'");
    becomes(Page::new(false, 1 << 20, policy.as_bytes()), &text, &text, &[Pinned]);
    let meta = format!("<META content=\"{policy}\" HTTP-EQUIV='Content-Security-Policy'>{text}");
    becomes(page(), &meta, &meta, &[Pinned]);
    // A browser compares them in either alphabet of Base64, whatever the case of the algorithm's name (CSP 3 §6.7.3.3).
    for spelt in [hash.replace('+', "-").replace('/', "_"), hash.replace('=', ""), hash.replace("sha", "SHA")] {
        let policy = format!("script-src '{spelt}'");
        becomes(Page::new(false, 1 << 20, policy.as_bytes()), &text, &text, &[Pinned]);
    }
    let long = meta.replacen("'self'", &"https://a.example ".repeat(1_000), 1);
    becomes(page(), &long, &long, &[Pinned]);
    let other = "<meta http-equiv=content-security-policy content=\"script-src 'sha256-AAAA' 'nonce-a'\">";
    becomes(page(), &format!("{other}{text}"), &format!("{other}{}", text.replace(CHAT, OUT)), &[Set]);
}

/// A page may have as many scripts as policies allow hashes, and each is looked for among all of them.
#[test]
fn p12_a_page_of_many_scripts_and_many_hashes_is_read_in_one_go() {
    let scripts = format!("<script>{CHAT}</script>").repeat(2_000);
    let hashes: String = (0..1_400).map(|number| format!("'sha256-{number:043}=' ")).collect();
    let html = format!("<meta http-equiv=content-security-policy content=\"script-src {hashes}\">{scripts}");
    let steps = steps::of(|| passed(page(), html.as_bytes()));
    assert!((html.len()..=16 * html.len()).contains(&steps), "{steps} for {}", html.len());
}

/// In these charsets a byte below 0x80 may be the second half of a character: `ソ` ends in a backslash in Shift_JIS.
#[test]
fn p11_a_page_in_a_charset_that_cannot_be_read_is_counted() {
    let text = b"<script>window.watsonAssistantChatOptions = {a: '\x83\\', b: '}'};</script>";
    for meta in [
        "<meta charset=Shift_JIS>",
        "<META CHARSET=' gb18030 '>",
        "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=x-sjis\">",
        "<meta content='text/html;charset=big5' http-equiv=content-type>",
    ] {
        let html = [meta.as_bytes(), text].concat();
        assert_eq!(passed(page(), &html), (html.clone(), vec![Unseen]), "{meta}");
        let without = format!("{meta}<script>1</script>");
        becomes(page(), &without, &without, &[]);
    }
    for meta in ["<meta charset=windows-1252>", "<meta name=charset content=big5>", "<p charset=big5>"] {
        let html = format!("{meta}<script>{CHAT}</script>");
        becomes(page(), &html, &html.replace(CHAT, OUT), &[Set]);
    }
}

#[test]
fn what_a_page_pins_is_learnt() {
    let mut page = page();
    page.push(
        b"<script src=a integrity=\"sha256-a sha384-b\"></script><link integrity='sha512-c' rel=preload>",
        &mut Vec::new(),
    );
    assert_eq!(page.take_integrity(), b"sha256-a sha384-b sha512-c ");
    assert_eq!(page.take_integrity(), b"");
}

fn html() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "<script>",
        "</script>",
        "<script src=a>",
        "<script/>",
        "<!--",
        "-->",
        "--!>",
        "<title>",
        "</title>",
        "<svg>",
        "</svg>",
        "<![CDATA[",
        "]]>",
        "<p a=\"",
        "\"",
        "'",
        ">",
        "<",
        "/",
        "=",
        " ",
        CHAT,
        OUT,
        "watsonAssistantChatOptions",
        "= {",
        "}",
        "learningOptOut: false",
        "<meta http-equiv=content-security-policy content='",
        "<plaintext",
        "\n",
        "-",
    ]);
    let piece =
        prop_oneof![6 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => any::<u8>().prop_map(|byte| vec![byte])];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn p8_however_a_page_is_divided_the_same_goes_on(
        html in html(), cuts in prop::collection::vec(0..1000_usize, 0..8), is_xhtml: bool, held_max in prop::sample::select(vec![10, 60, 1 << 20]),
    ) {
        let new = || Page::new(is_xhtml, held_max, &[]);
        let whole = passed(new(), &html);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(html.len())).collect();
        cuts.extend([0, html.len()]);
        cuts.sort_unstable();
        let (mut page, mut out) = (new(), Vec::new());
        cuts.windows(2).for_each(|pair| page.push(&html[pair[0]..pair[1]], &mut out));
        page.end(&mut out);
        prop_assert_eq!(&out, &whole.0);
        prop_assert_eq!(page.findings().iter().collect::<Vec<_>>(), whole.1);
        if !html.windows(6).any(|part| part.eq_ignore_ascii_case(b"watson")) {
            prop_assert_eq!(out, html);
        }
    }
}
