use proptest::prelude::*;

use super::*;

const BOUNDARY: &str = "----abc";

fn part(headers: &str, content: &[u8]) -> Vec<u8> {
    [
        b"------abc\r\n",
        headers.as_bytes(),
        b"\r\n\r\n",
        content,
        b"\r\n",
    ]
    .concat()
}

fn field(name: &str, content: &[u8]) -> Vec<u8> {
    part(
        &format!("Content-Disposition: form-data; name=\"{name}\""),
        content,
    )
}

fn file(content: &[u8]) -> Vec<u8> {
    let headers = "Content-Disposition: form-data; name=\"file\"; filename=\"a;name=model\"\r\n\
                   Content-Type: audio/wav";
    part(headers, content)
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), b"------abc--\r\n".to_vec()].concat()
}

fn read(body: &[u8], chunk: usize) -> Result<Facts, BodyError> {
    let mut form = Form::new(BOUNDARY.as_bytes());
    for chunk in body.chunks(chunk) {
        form.feed(chunk);
    }
    form.finish()
}

fn model(body: &[u8]) -> Option<String> {
    read(body, body.len())
        .unwrap()
        .model
        .map(|model| model.to_string())
}

#[test]
fn finds_the_model_before_or_after_a_file() {
    let noise = b"RIFF\r\n------ab\r\n--\r\r\n------abX\0".repeat(1000);
    for parts in [
        [
            field("model", b"whisper"),
            file(&noise),
            field("stream", b"true"),
        ],
        [
            field("stream", b"True"),
            file(&noise),
            field("model", b"whisper"),
        ],
    ] {
        let body = form(&parts);
        for chunk in [1, 2, 3, 7, 64, body.len()] {
            let facts = read(&body, chunk).unwrap();
            assert_eq!(facts.model.as_deref(), Some("whisper"));
            assert!(facts.stream && facts.model_in_form);
            assert_eq!(&body[facts.model_span.unwrap()], b"whisper");
        }
    }
}

#[test]
fn odd_but_legal_forms() {
    let preamble = [b"a preamble\r\n".to_vec(), form(&[field("model", b"m")])].concat();
    assert_eq!(model(&preamble).as_deref(), Some("m"));
    let padded =
        b"------abc \t\r\ncontent-disposition:form-data;name=model\r\n\r\nm\r\n------abc--";
    assert_eq!(model(padded).as_deref(), Some("m"));
    let bare = b"------abc\r\n\r\nno headers\r\n------abc\r\nContent-Disposition: form-data; \
                 name=\"model\"\r\n\r\n\r\n------abc--";
    let facts = read(bare, 5).unwrap();
    assert_eq!(facts.model, None);
    assert_eq!(facts.model_span.map(|span| span.len()), Some(0));
}

#[test]
fn the_last_model_wins_and_files_do_not_count() {
    let body = form(&[
        field("model", b"first"),
        field("model", b"last"),
        file(b"x"),
    ]);
    assert_eq!(model(&body).as_deref(), Some("last"));
    let disguised = part(
        "Content-Disposition: form-data; name=\"model\"; filename=\"m\"",
        b"no",
    );
    assert_eq!(model(&form(&[disguised])), None);
    let nested = file(&form(&[field("model", b"inner")]).replace(b"----abc", b"----xyz"));
    assert_eq!(
        model(&form(&[nested, field("model", b"outer")])).as_deref(),
        Some("outer")
    );
}

trait Replace {
    fn replace(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl Replace for Vec<u8> {
    fn replace(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let text = String::from_utf8(self.clone()).unwrap();
        let (from, to) = (str::from_utf8(from).unwrap(), str::from_utf8(to).unwrap());
        str::replace(&text, from, to).into_bytes()
    }
}

#[test]
fn broken_forms_name_no_model() {
    for body in [
        &b""[..],
        b"no form at all",
        b"------abc--\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n------abc",
        b"------abc\r\nContent-Disposition: form-data; name=model\r\n\r\nnever ends",
    ] {
        assert_eq!(read(body, 4).unwrap().model, None);
    }
}

#[test]
fn long_names_and_headers_are_bounded() {
    let long = form(&[field("model", &[b'm'; MAX_NAME_BYTES + 1])]);
    let error = BodyError::TooLong {
        field: "model",
        limit: MAX_NAME_BYTES,
    };
    assert_eq!(read(&long, 100), Err(error));
    assert!(model(&form(&[field("model", &[b'm'; MAX_NAME_BYTES])])).is_some());
    assert_eq!(
        read(&form(&[field("model", b"\xff")]), 9),
        Err(BodyError::NotText { field: "model" })
    );
    let headers = format!("X: {}", "y".repeat(3 * MAX_HEADERS));
    let body = form(&[part(&headers, b"skipped"), field("model", b"m")]);
    assert_eq!(model(&body).as_deref(), Some("m"));
}

proptest! {
    #[test]
    fn splits_do_not_matter(
        noise in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), any::<u8>()], 0..60),
        name in "[a-z\r\n-]{0,12}",
        cuts in proptest::collection::vec(1usize..9, 1..80),
    ) {
        let body = form(&[file(&noise), field("model", name.as_bytes()), field("stream", b"1")]);
        let whole = read(&body, body.len());
        let mut pieces = Form::new(BOUNDARY.as_bytes());
        let mut rest = &body[..];
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            pieces.feed(piece);
            rest = after;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(pieces.finish(), whole);
    }
}
