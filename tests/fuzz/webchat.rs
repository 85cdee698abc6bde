//! Pages and scripts that may configure Web Chat: in whatever pieces one comes the same goes on, without the configuration
//! nothing changes, and what was changed is not changed again. To look costs no more than the bytes are worth (P2, P8, P12).

#![no_main]

mod budget;

use forgetgate::domain::webchat::{Finding, Findings, Page, Script};
use libfuzzer_sys::fuzz_target;

/// What stands for the bytes that are no ASCII: of these a page is made in which something happens.
const WORDS: [&[u8]; 48] = [
    b"<script>",
    b"</script>",
    b"</script ",
    b"<script src=a>",
    b"<script type='",
    b"<!--",
    b"-->",
    b"--!>",
    b"<title>",
    b"</title>",
    b"<svg>",
    b"</svg>",
    b"<![CDATA[",
    b"]]>",
    b"<meta charset=big5>",
    b"<meta http-equiv=content-security-policy content='sha256-",
    b" integrity='sha384-",
    b"watsonAssistantChatOptions",
    b"watsonAssistantChatOptions={",
    b"window.watsonAssistantChatOptions = {a: 1};",
    b"loadWatsonAssistantChat(",
    b"loadWatsonAssistantChat",
    b"learningOptOut",
    b"learningOptOut: false",
    b"integrationID: ''",
    b"region: b",
    b"window.",
    b"=",
    b"{",
    b"}",
    b"(",
    b")",
    b"[",
    b"]",
    b"'",
    b"\"",
    b"`",
    b"${",
    b"/",
    b"\\",
    b",",
    b":",
    b"true",
    b"//",
    b"/*",
    b"*/",
    b"...",
    b"\xe2\x80\xa8",
];

fuzz_target!(|data: &[u8]| {
    let Some(([mode, step], rest)) = data.split_first_chunk::<2>().map(|(first, rest)| (*first, rest)) else { return };
    let what = What {
        is_page: mode & 1 == 0,
        is_xhtml: mode & 2 != 0,
        held_max: [40, 400, 1 << 20][usize::from(mode >> 2) % 3],
    };
    let text = spelt_out(rest);
    let (whole, findings) = what.read(&text, text.len().max(1));
    let pieces = what.read(&text, usize::from(step % 32) + 1);
    assert!(pieces == (whole.clone(), findings), "pieces are read differently");
    if !text.windows(6).any(|part| part.eq_ignore_ascii_case(b"watson")) {
        assert!(whole == text, "something else than Web Chat was changed");
    }
    assert_eq!(whole != text, findings.has(Finding::Set), "what is said is not what was done");
    if what.held_max == 1 << 20 {
        let (again, _) = what.read(&whole, whole.len().max(1));
        assert!(again == whole, "what was changed is changed again");
    }
    budget::keeps(rest, 128, |data| {
        let text = spelt_out(data);
        drop(what.read(&text, 4096));
        text.len()
    });
});

fn spelt_out(data: &[u8]) -> Vec<u8> {
    let word =
        |byte: &u8| byte.checked_sub(0x80).map_or(vec![*byte], |at| WORDS[usize::from(at) % WORDS.len()].to_vec());
    data.iter().flat_map(word).collect()
}

#[derive(Clone, Copy)]
struct What {
    is_page: bool,
    is_xhtml: bool,
    held_max: usize,
}

impl What {
    fn read(self, text: &[u8], step: usize) -> (Vec<u8>, Findings) {
        let mut out = Vec::new();
        if self.is_page {
            let mut page = Page::new(self.is_xhtml, self.held_max, &[]);
            text.chunks(step).for_each(|piece| page.push(piece, &mut out));
            page.end(&mut out);
            assert_eq!(page.has_changed(), out != text);
            (out, page.findings())
        } else {
            let mut script = Script::new(self.held_max);
            text.chunks(step).for_each(|piece| script.push(piece, &mut out));
            script.end(|_| false, &mut out);
            (out, script.findings())
        }
    }
}
