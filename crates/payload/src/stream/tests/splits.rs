//! However a stream is cut, the result is the same.

use proptest::prelude::*;

use super::*;

fn streams() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"é\\n\"}}]}"),
        Just("data:{\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":3}}"),
        Just("data: {\"type\":\"message_start\",\"message\":{\"model\":\"mm\"}}"),
        Just("data: {\"model\":"),
        Just("data: \"x\"}"),
        Just("data: [DONE]"),
        Just("data"),
        Just("event: error"),
        Just("event: ping"),
        Just(": comment"),
        Just("\u{feff}"),
        Just("id:1"),
        Just(""),
        Just(""),
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    let lines = proptest::collection::vec((line, end.clone()), 0..14);
    (lines, end, any::<bool>()).prop_map(|(lines, other, mixed)| {
        lines
            .into_iter()
            .map(|(line, end)| format!("{line}{}", if mixed { end } else { other }))
            .collect()
    })
}

proptest! {
    #[test]
    fn splits_do_not_matter(
        stream in streams(),
        cuts in proptest::collection::vec(1usize..12, 1..40),
        rename in any::<bool>(),
        hide in any::<bool>(),
        api in prop_oneof![Just(Api::ChatCompletions), Just(Api::Other)],
    ) {
        let reader = || {
            let reader = StreamReader::new(api, renaming("new").filter(|_| rename));
            if hide { reader.hiding_usage() } else { reader }
        };
        let at_once = read(reader(), [stream.clone().into_bytes()]);
        let mut pieces = Vec::new();
        let mut rest = stream.as_bytes();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            pieces.push(piece.to_vec());
            rest = after;
        }
        prop_assert_eq!(&read(reader(), pieces), &at_once);
        let bytes = stream.bytes().map(|byte| vec![byte]);
        prop_assert_eq!(&read(reader(), bytes), &at_once);
        if !rename && !hide && !at_once.out.is_empty() {
            prop_assert!(at_once.out.starts_with(&stream) || stream.starts_with(&at_once.out));
        }
    }

    #[test]
    fn any_bytes_pass_through(bytes in proptest::collection::vec(prop_oneof![
        Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'"'), Just(b'{'), Just(b'd'), any::<u8>()
    ], 0..200), cut in 1usize..50) {
        let mut reader = StreamReader::new(Api::Other, renaming("n"));
        let mut out = Vec::new();
        for piece in bytes.chunks(cut) {
            reader.push(Bytes::copy_from_slice(piece), &mut |piece| out.extend_from_slice(&piece));
        }
        reader.finish(&mut |piece| out.extend_from_slice(&piece));
        prop_assert_eq!(out, bytes);
    }
}

#[test]
fn every_split_of_the_samples() {
    for (api, stream) in [
        (Api::ChatCompletions, "\r\ndata: {\r\n"),
        (Api::ChatCompletions, CHAT),
        (Api::AnthropicMessages, ANTHROPIC),
        (Api::Responses, RESPONSES),
    ] {
        for stream in [
            stream.to_owned(),
            stream.replace('\n', "\r\n"),
            stream.replace('\n', "\r"),
        ] {
            let reader = || StreamReader::new(api, renaming("other-model"));
            let at_once = read(reader(), [stream.clone().into_bytes()]);
            assert_eq!(
                at_once.out.matches("other-model").count(),
                stream.matches("\"model\":").count()
            );
            for cut in 1..stream.len() {
                let (a, b) = stream.as_bytes().split_at(cut);
                assert_eq!(
                    read(reader(), [a.to_vec(), b.to_vec()]),
                    at_once,
                    "cut at {cut}"
                );
            }
        }
    }
}
