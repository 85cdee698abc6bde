//! P2: the forms in which pages configure Web Chat, and what becomes of each; and that nothing else changes.

use proptest::prelude::*;

use super::super::super::steps;
use super::super::Finding::{self, Already, Set, Unseen};
use super::edited;

/// A script before and after. In both, `·` stands where the opt-out is added.
fn becomes(before: &str, after: &str, findings: &[Finding]) {
    let found = edited(before.as_bytes());
    let text = found.text.map_or_else(|| before.to_owned(), |text| String::from_utf8(text).unwrap());
    assert_eq!(text, after, "{before}");
    assert_eq!(found.findings.iter().collect::<Vec<_>>(), findings, "{before}");
}

/// The opt-out is added where the `·` stands.
fn set_at(marked: &str) {
    becomes(&marked.replace('·', ""), &marked.replace('·', " learningOptOut: true"), &[Set]);
}

fn added_at(marked: &str) {
    becomes(&marked.replace('·', ""), &marked.replace('·', ", learningOptOut: true"), &[Set]);
}

fn stays(script: &str, findings: &[Finding]) {
    becomes(script, script, findings);
}

#[test]
fn p2_every_form_of_the_configuration_is_made_to_opt_out() {
    for marked in [
        "window.watsonAssistantChatOptions = { integrationID: \"a\", region: 'us-south'· };",
        "watsonAssistantChatOptions={integrationID:'a'·}",
        "var watsonAssistantChatOptions = {integrationID: `a`·};",
        "self\n  .watsonAssistantChatOptions\n  =\n  {\n  region: 'eu-gb'·\n}",
        "window /* a { */ . watsonAssistantChatOptions // b {\n = /* c */ { a: 1· /* } */ // }\n }",
        "window['watsonAssistantChatOptions'] = { a: 1· }",
        "globalThis[\"watsonAssistantChatOptions\"]={a:1·}",
        "window.watsonAssistantChatOptions = ({ a: 1· });",
        "window.watsonAssistantChatOptions ||= { a: 1· };",
        "window.watsonAssistantChatOptions = { onLoad: function(instance) { instance.render({ a: { b: 1 } }); }· };",
        "window.watsonAssistantChatOptions = { onLoad: async (instance) => { await instance.render(); }· };",
        "window.watsonAssistantChatOptions = { async onLoad(instance) { await instance.render() }· };",
        "window.watsonAssistantChatOptions = { get region() { return 'a' }, set x(y) {}· };",
        "window.watsonAssistantChatOptions = { a: '}', b: \"\\\"}\", c: `}${ {d: '}'} + `}` }}`, e: /[/}]}/· };",
        "window.watsonAssistantChatOptions = { learningOptOutNot: false, a: { learningOptOut: false }· };",
        "if (a / 2 > b / c) window.watsonAssistantChatOptions = { a: 4 / 2, b: x[0] / 2· };",
        "if (x) /'/.test(y); window.watsonAssistantChatOptions = { a: 1· };",
        "x = y++ / 2 + '/'; window.watsonAssistantChatOptions = { a: 1· };",
        "var z = a\n/'{'.length/g; window.watsonAssistantChatOptions = { a: 1· };",
        "`${ a / b }`; window.watsonAssistantChatOptions = { a: 1· };",
        "<!-- it's hidden\nwindow.watsonAssistantChatOptions = { a: 1· };\n// -->",
        "#!it's\nwindow.watsonAssistantChatOptions = { a: 1· };\n--> it's",
        "// it's\u{2028}window.watsonAssistantChatOptions\u{a0}=\u{feff}{ a: 'ü'· };",
        "!function(){window.watsonAssistantChatOptions={integrationID:\"a\",region:\"b\",onLoad:function(t){t.render()}·}}();",
        "loadWatsonAssistantChat({ a: 1· })",
        "window.loadWatsonAssistantChat?.({ a: 1· })",
        "window.loadWatsonAssistantChat({\n integrationID: 'a', // The ID.\n region: 'us-south'· // The region.\n}).then(f);",
        "const o = { integrationID: 'a', region: r· };\nwindow.loadWatsonAssistantChat(o).then(f);",
        "const o = f({ integrationID: 'a', 'region': r· }); window.watsonAssistantChatOptions = o;",
    ] {
        added_at(marked);
    }
    for marked in [
        "window.watsonAssistantChatOptions = {·}",
        "window.watsonAssistantChatOptions = {·/* nothing */};",
        "window.watsonAssistantChatOptions = { a: 1,· };",
        "window.watsonAssistantChatOptions = Object.assign({}, { integrationID: \"a\", region: \"b\",· }, c);",
        "window.watsonAssistantChatOptions = {\n  region: \"us-south\",· // The region.\n};",
    ] {
        set_at(marked);
    }
}

#[test]
fn p2_an_opt_out_that_says_otherwise_is_replaced() {
    for (before, after) in [
        ("learningOptOut: false", "learningOptOut: true"),
        ("'learningOptOut': 'false'", "'learningOptOut': true"),
        ("\"learningOptOut\" : !1, a: 2", "\"learningOptOut\" : true, a: 2"),
        ("learningOptOut: isProduction() ? true : { a: [false, 1] }, b: 1", "learningOptOut: true, b: 1"),
        (
            "a: 1, learningOptOut /* why */: /* not */ 0 /* ? */",
            "a: 1, learningOptOut /* why */: /* not */ true /* ? */",
        ),
        ("learningOptOut", "learningOptOut: true"),
        ("learningOptOut, b", "learningOptOut: true, b"),
        ("learningOptOut: false, learningOptOut: 0", "learningOptOut: true, learningOptOut: true"),
        ("...others", "...others, learningOptOut: true"),
        ("learningOptOut: true, ...others", "learningOptOut: true, ...others, learningOptOut: true"),
        ("learningOptOut: false, [name]: false", "learningOptOut: true, [name]: false, learningOptOut: true"),
        ("get learningOptOut() { return false }", "get learningOptOut() { return false }, learningOptOut: true"),
        ("learningOptOut() {}", "learningOptOut() {}, learningOptOut: true"),
        ("\"learning\\u004fptOut\": false", "\"learning\\u004fptOut\": false, learningOptOut: true"),
    ] {
        let whole = |properties| format!("window.watsonAssistantChatOptions = {{ {properties} }};");
        becomes(&whole(before), &whole(after), &[Set]);
    }
    for properties in
        ["learningOptOut: true", "\"learningOptOut\":true,a:1", "a:1,learningOptOut:!0", "...a, learningOptOut: true"]
    {
        stays(&format!("window.watsonAssistantChatOptions = {{ {properties} }};"), &[Already]);
    }
}

#[test]
fn p8_a_script_that_configures_nothing_stays_as_it_is() {
    for script in [
        "",
        "var a = { integrationID: 'a', region: 'b' };",
        "// window.watsonAssistantChatOptions = { a: 1 };",
        "/* window.watsonAssistantChatOptions = { a: 1 }; */",
        "t.src = 'https://a/' + (window.watsonAssistantChatOptions.clientVersion || 'latest') + '/b.js';",
        "if (window.watsonAssistantChatOptions == {}) {}",
        "window.watsonAssistantChatOptionsOfMine = { a: 1 };",
        "window.watsonAssistantChatOptions = null;",
        "t.src = 'https://a/loadWatsonAssistantChat.js'",
        "function loadWatsonAssistantChat({ integrationID, region }) { return 1 }",
        "if (window.loadWatsonAssistantChat && typeof loadWatsonAssistantChat == 'function') {}",
        "window.loadWatsonAssistantChat = function(a) {}; export { loadWatsonAssistantChat };",
        "import { loadWatsonAssistantChat } from 'a';",
        "class A { loadWatsonAssistantChat({ integrationID, region: b }) { return 1 } }",
    ] {
        stays(script, &[]);
    }
}

#[test]
fn p11_a_configuration_that_cannot_be_read_is_counted() {
    for script in [
        "window.watsonAssistantChatOptions = options;",
        "window.watsonAssistantChatOptions = JSON.parse('{}');",
        "const { integrationID: a, region } = o; window.watsonAssistantChatOptions = f(a, region);",
        "window.loadWatsonAssistantChat(options);",
        "s.text = 'window.watsonAssistantChatOptions = {};'",
        "s.text = `window.loadWatsonAssistantChat({});`",
        "window.watsonAssistantChatOptions = { a: 1",
        "window.watsonAssistantChatOptions = { a: '1\n };",
        "x = 'it;\nwindow.watsonAssistantChatOptions = { a: 1 }",
        "window['watsonAssistantChatOptions' + x] = {};",
        "const load = window.loadWatsonAssistantChat; load({ a: 1 });",
        "import { loadWatsonAssistantChat as load } from 'a'; load({ a: 1 });",
        "loadWatsonAssistantChat.call(window, { a: 1 });",
        "window.loadWatsonAssistantChat?.apply(window, [{ a: 1 }]);",
        "window.loadWatsonAssistantChat?.(options);",
        "window['loadWatsonAssistantChat']({ a: 1 });",
    ] {
        stays(script, &[Unseen]);
    }
    let set = "window.watsonAssistantChatOptions = {learningOptOut: true}; window.watsonAssistantChatOptions";
    stays(&format!("{set}.learningOptOut = false;"), &[Already, Unseen]);
    stays(&format!("{set}['learningOptOut'] = f();"), &[Already, Unseen]);
    stays(&format!("{set}.learningOptOut = !0;"), &[Already]);
    stays(&format!("{set} = other;"), &[Already, Unseen]);
}

/// Each of these was quadratic in a first reading of the kind, or looked at what stands in brackets once for each bracket.
#[test]
fn p12_a_long_script_is_read_in_one_go() {
    let name = "window.watsonAssistantChatOptions=0;";
    let deep = "watsonAssistantChatOptions={a:";
    for piece in [
        ")/",
        "/[",
        "({",
        "`${",
        "{integrationID:'',",
        "}/",
        "watsonAssistantChatOptions={",
        "<!--",
        "/*",
        "loadWatsonAssistantChat.",
        "watsonAssistantChatOptions=((",
        "watsonAssistantChatOptions||",
        "1,",
    ] {
        let text = format!("{name}{}", piece.repeat(200_000 / piece.len()));
        let nested = format!("{}{}{}", deep.repeat(60), piece.repeat(2_000), "}".repeat(60));
        for text in [text, nested] {
            let steps = steps::of(|| edited(text.as_bytes()));
            assert!((text.len() / 2..=16 * text.len()).contains(&steps), "{piece}: {steps} for {}", text.len());
        }
    }
}

/// Bytes of which scripts are made, often enough those that matter.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "watsonAssistantChatOptions",
        "loadWatsonAssistantChat",
        "learningOptOut",
        "integrationID",
        "region",
        "window.",
        "=",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "'",
        "\"",
        "`",
        "${",
        "/",
        "\\",
        ",",
        ":",
        "true",
        "false",
        "//",
        "/*",
        "*/",
        "\n",
        "<!--",
        "...",
        " ",
        "a",
        "ü",
    ]);
    let piece =
        prop_oneof![4 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => any::<u8>().prop_map(|byte| vec![byte])];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn p8_nothing_is_ever_taken_away_but_the_value_of_an_opt_out(script in script()) {
        let found = edited(&script);
        if let Some(text) = found.text {
            prop_assert!(found.findings.has(Set));
            // A second reading finds nothing more to do.
            let again = edited(&text);
            prop_assert!(again.text.is_none(), "{:?}", String::from_utf8_lossy(&again.text.unwrap()));
            if !script.windows(14).any(|part| part == b"learningOptOut") {
                let mut rest = text.iter();
                prop_assert!(script.iter().all(|byte| rest.any(|other| other == byte)));
            }
        }
    }
}
